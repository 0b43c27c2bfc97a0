#!/usr/bin/env bash
# Our openai-chat, openai-responses and anthropic-messages against a mock server that others wrote:
# what our records say is what the mock's own log says, streaming and not, and what it breaks is
# named by its class. Then ollama-chat and ollama-generate against another mock. Needs python3, curl and,
# for the second, npm; skips with a message only when PyPI or npm is out of reach.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=checks.sh
. "$here/checks.sh"
port=${MOCK_PORT:-18092}
mock=http://127.0.0.1:$port

code=0
start_server "$mock/v1/models" "$here/start-mock.sh" "$port" || code=$?
[ "$code" != 75 ] || { echo "skipped: PyPI can't be reached, so there is no mock server"; exit 0; }
[ "$code" = 0 ] || exit "$code"

# ask NAME API BASE MODEL STREAM EXPECTED_EXIT_CODE: four requests, two at a time
ask() {
  cat >"$work/$1.yaml" <<YAML
version: 1
endpoint: { url: "$mock/$3", api: $2, model: $4, metrics: off }
prompt: { text: "Say hello to number {{ i }}.", max_tokens: 64, stream: $5 }
stages:
  - { id: ask, kind: load, concurrency: 2, requests: 4 }
YAML
  curl -sf -X DELETE "$mock/_llmock/requests" >/dev/null 2>&1 || true
  run_plan "$1" "$work/$1.yaml" "$6"
  curl -sf "$mock/_llmock/requests" >"$work/$1.log"
}

# log NAME WHAT JQ: an assertion on what the mock logged of the measured path since the run began
log() {
  check "$1: $2" quietly jq -e --slurpfile records "$work/$1.records" \
    "[.requests[] | select(.method == \"POST\")] | .[-4:] | $3" "$work/$1.log"
}

for row in \
  "chat openai-chat v1 gpt-4o /v1/chat/completions" \
  "responses openai-responses v1 gpt-4o /v1/responses" \
  "messages anthropic-messages anthropic/v1 claude-sonnet-4-6 /anthropic/v1/messages"; do
  read -r name api base model path <<<"$row"
  for stream in true false; do
    run=$name-$stream
    echo "-- $api, stream: $stream"
    ask "$run" "$api" "$base" "$model" "$stream" 0
    records "$run" "four complete answers" 'length == 4 and all(.outcome == "ok" and .http_status == 200)'
    records "$run" "the server's token counts" 'all(.output_tokens.server > 0)'
    records "$run" "the finish reason" 'all(.finish_reason | IN("stop", "end_turn", "completed"))'
    if [ "$stream" = true ]; then
      records "$run" "a stamp per event, first to last" \
        'all((.token_ns | length) > 1 and .first_token_ns == .token_ns[0] and .last_token_ns == .token_ns[-1] and .sent_ns < .first_token_ns)'
    else
      records "$run" "no first token without a stream" 'all(.first_token_ns == null and (.flags | index("not_streamed")))'
    fi
    log "$run" "the mock saw the same requests, whole" \
      "length == 4 and all(.path == \"$path\" and .status == 200 and .stream == $stream and .completed)"
  done
done

# breaks NAME BEHAVIOUR CLASS: four answers that the mock breaks
breaks() {
  echo "-- $1"
  curl -sf -X POST "$mock/_llmock/scenario" -H 'content-type: application/json' \
    -d "{\"behaviors\":[$2]}" >/dev/null
  ask "$1" openai-chat v1 gpt-4o true 5
  records "$1" "every request is $3" "length == 4 and all(.error.class == \"$3\")"
}

breaks truncated '{"type":"stream_fault","kind":"truncate","after_chunks":3,"times":4}' stream.truncated
breaks disconnected '{"type":"stream_fault","kind":"disconnect","after_chunks":3,"times":4}' stream.incomplete_body
breaks refused '{"type":"fail","status":429,"times":40}' http.429 # preflight takes some

stop_server

# ollama NAME API STREAM TEXT EXPECTED_EXIT_CODE: four requests, one after another
ollama() {
  cat >"$work/$1.yaml" <<YAML
version: 1
endpoint: { url: "$mock", api: $2, model: gpt-4o, metrics: off }
prompt: { text: "$4", max_tokens: 64, stream: $3 }
stages:
  - { id: ask, kind: load, concurrency: 1, requests: 4 }
YAML
  run_plan "$1" "$work/$1.yaml" "$5"
}

code=0
start_server "$mock/api/tags" "$here/start-aimock.sh" "$port" || code=$?
if [ "$code" = 75 ]; then
  echo "skipped: npm can't be reached, so there is no mock of Ollama"
elif [ "$code" != 0 ]; then
  exit "$code"
else
  for api in ollama-chat ollama-generate; do
    for stream in true false; do
      run=$api-$stream
      echo "-- $api, stream: $stream"
      ollama "$run" "$api" "$stream" "Say hello." 0
      records "$run" "four complete answers" 'length == 4 and all(.outcome == "ok" and .finish_reason == "stop")'
      # Four letters to an event, and 35 of them.
      records "$run" "a stamp per event where there are events" \
        "all(.token_ns | length == if $stream then 9 else 0 end)"
      records "$run" "the server's own times, all of them none" 'all(.timings | .prompt_ms == 0 and .total_ms == 0)'
    done
    echo "-- $api, cut in mid-answer"
    ollama "$api-cut" "$api" true "Say hello #drop" 5
    records "$api-cut" "every request broke" 'length == 4 and all(.error.class | startswith("stream."))'
  done
fi

echo "$passed passed, 0 failed"
