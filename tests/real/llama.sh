#!/usr/bin/env bash
# llama.cpp's own server with a real model. Every API it speaks: our counts of cached, computed and
# generated tokens are those of the server's own log, request by request, and those of its metrics.
# Then cache-eviction, twice: with its host-RAM prompt cache off, where the flush is proven, and with
# its defaults, where neither slot erase nor foreign traffic flushes and the run must say so. Needs
# python3 and jq; prints one line per check.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
runner=${RUNNER:-$root/target/release/runner}
port=${LLAMA_PORT:-18091}
url=http://127.0.0.1:$port/v1
work=$(mktemp -d)
server=
passed=0

stop_server() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  server=
}
trap 'stop_server; rm -rf "$work"' EXIT

# start_server NAME=VALUE…
start_server() {
  env "$@" "$here/start-llama.sh" "$port" >"$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if curl -sf --max-time 2 "http://127.0.0.1:$port/health" >/dev/null 2>&1; then return; fi
    kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; echo "the server died" >&2; exit 1; }
    sleep 1
  done
  tail -n 20 "$work/server.log" >&2
  echo "the server was not ready in 300 s" >&2
  exit 1
}

# run_plan NAME EXPECTED_EXIT_CODE: three documents fit into the server's four slots
run_plan() {
  local code=0
  "$runner" run "$root/scenarios/cache-eviction.yaml" --endpoint "$url" \
    -p docs=3 -p context_tokens=600 -p output_tokens=8 -p flush_tokens=8k \
    --results "$work/results-$1" --output-format json --progress plain >"$work/$1.json" || code=$?
  check "$1: exit code $2" test "$code" = "$2"
  "$runner" report "$work/results-$1"/*/*/ || true # its exit code is the run's verdict again
}

check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok: $what"
  else
    echo "FAILED: $what" >&2
    exit 1
  fi
}

quietly() { "$@" >/dev/null; }

# holds NAME WHAT JQ: an assertion on a run's summary, with `stage("id")` to find a stage
holds() {
  check "$1: $2" quietly jq -e "def stage(\$id): .stages[] | select(.id == \$id); $3" "$work/$1.json"
}

# run_api API: two prompts cold, the same two warm, one after another; so long that the template's
# prefix is under the tenth from which on llama.cpp gives a prompt the slot of one that is like it
run_api() {
  local code=0 lines
  cat >"$work/$1.yaml" <<YAML
version: 1
endpoint: { url: "$url", api: $1, tokenizer: server }
prompt:
  context: { from: filler, tokens: 400 }
  text: Summarize.
  max_tokens: 4
  body: { ignore_eos: true }
stages:
  - { id: cold, kind: cold, requests: 2 }
  - { id: warm, kind: warm, like: cold }
YAML
  lines=$(wc -l <"$work/server.log")
  "$runner" run "$work/$1.yaml" --results "$work/results-$1" --output-format json --progress none \
    >"$work/$1.json" || code=$?
  check "$1: exit code 0" test "$code" = 0
  sleep 1 # its log is a thread of its own
  tail -n "+$((lines + 1))" "$work/server.log" >"$work/$1.log"
  cat "$work/results-$1"/*/*/records-000001.jsonl | jq -c 'select(.type == "end")' >"$work/$1.records"
}

# logged NAME WORDS: the tokens that the server's log gives to each request for these words
logged() { sed -nE "s/.*\| +$2 time = .*\/ +([0-9]+) tokens.*/\1/p" "$work/$1.log" | tr '\n' ' '; }

# recorded NAME JQ: a figure of each record, in the order in which they were sent
recorded() { jq -s -r "sort_by(.sent_ns)[] | $2" "$work/$1.records" | tr '\n' ' '; }

command -v jq >/dev/null || { apt-get update -q && apt-get install -qy jq; }

start_server LLAMA_CACHE_RAM=0
for api in openai-chat openai-completions openai-responses anthropic-messages llamacpp-completion; do
  echo "-- $api: our records against the server's own log, timings and metrics"
  run_api "$api"
  check "$api: four requests in both" test "$(logged "$api" "prompt eval" | wc -w)" = 4
  check "$api: computed prompt tokens are those of the log" test \
    "$(recorded "$api" '.input_tokens.server - .cached_tokens')" = "$(logged "$api" "prompt eval")"
  check "$api: generated tokens are those of the log" test \
    "$(recorded "$api" '.output_tokens.server')" = "$(logged "$api" "eval")"
  check "$api: four generated tokens each, for extra fields pass through" test \
    "$(recorded "$api" '.output_tokens.server')" = "4 4 4 4 "
  if [ "$api" != anthropic-messages ]; then # its stream has no place for timings
    check "$api: cached tokens are those of the request's timings" test \
      "$(recorded "$api" '.cached_tokens')" = "$(recorded "$api" '.timings.cache_n')"
    holds "$api" "the server's prefill time stands beside our TTFT" \
      'stage("cold").metrics | .server_prefill.p50 > 0 and .server_prefill.p50 <= .ttft.p50'
  fi
  holds "$api" "the server's metrics count the same cached tokens" \
    '[.stages[] | .server.counters.prefix_cache_hits == .cache.cached_tokens] | all'
  holds "$api" "the server's metrics count the same prompt tokens" \
    '[.stages[] | .server.counters.prompt_tokens == .cache.prompt_tokens] | all'
  holds "$api" "cold is cold and warm is warm" \
    'stage("cold").cache.verdict == "cold" and stage("warm").cache.verdict == "warm"'
  holds "$api" "nothing is contaminated" '[.stages[] | has("contamination") | not] | all'
done

echo "-- llama.cpp without its host-RAM cache: a flush is real"
run_plan flushed 0
holds flushed "cold is cold" 'stage("cold").cache.verdict == "cold"'
holds flushed "warm is warm" 'stage("warm").cache.verdict == "warm"'
holds flushed "warm TTFT p50 is under half of cold" \
  'stage("warm").metrics.ttft.p50 < 0.5 * stage("cold").metrics.ttft.p50'
holds flushed "the flush is proven" 'stage("flush").flush.state == "proven"'
holds flushed "every slot was erased" \
  'stage("flush").flush.attempts[0] | (.method | contains("/slots/0..4?action=erase")) and (.detail | test("4 slots, [1-9][0-9]* tokens erased"))'
holds flushed "after the flush it is cold" 'stage("after_flush").cache.verdict == "cold"'
holds flushed "every request is accounted for" \
  '[.stages[].counts | .planned == .ok + .errors + .cancelled + .dropped_late + .lost_in_flight + .never_started] | all'
stop_server

echo "-- llama.cpp with its defaults: neither erase nor traffic flushes, and the run says so"
start_server RUNNER_NOTHING=1
run_plan unflushed 10
holds unflushed "cold is cold" 'stage("cold").cache.verdict == "cold"'
holds unflushed "warm is warm" 'stage("warm").cache.verdict == "warm"'
holds unflushed "the flush failed" 'stage("flush").flush.state == "failed"'
holds unflushed "both means were tried" 'stage("flush").flush.attempts | length >= 2'
holds unflushed "the conclusion names it" 'stage("flush").flush.summary | startswith("flush failed: still warm")'
holds unflushed "after the flush it is still warm" 'stage("after_flush").cache.verdict == "warm"'
holds unflushed "the run did not pass" '.verdict.pass == false'
stop_server

echo "$passed passed, 0 failed"
