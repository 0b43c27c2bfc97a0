#!/usr/bin/env bash
# llama.cpp's own server with a real model. Every API it speaks: our counts of cached, computed and
# generated tokens are those of the server's own log, request by request, and those of its metrics.
# Then what workloads say of a cache: conversations find their own history, a stated shared prefix is
# what is found, rows of a dataset are counted by everyone, a full context fits. Then cache-eviction,
# twice: with its host-RAM prompt cache off, where the flush is proven, and with its defaults, where
# neither slot erase nor foreign traffic flushes and the run must say so. Needs python3 and curl;
# prints one line per check.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=checks.sh
. "$here/checks.sh"
port=${LLAMA_PORT:-18091}
url=http://127.0.0.1:$port/v1

# start_llama NAME=VALUE…
start_llama() {
  start_server "http://127.0.0.1:$port/health" env "$@" "$here/start-llama.sh" "$port"
}

# eviction NAME EXPECTED_EXIT_CODE: three documents fit into the server's four slots
eviction() {
  run_plan "$1" "$root/scenarios/cache-eviction.yaml" "$2" --endpoint "$url" \
    -p docs=3 -p context_tokens=600 -p output_tokens=8 -p flush_tokens=8k
  "$runner" report "$work/results-$1"/*/*/ || true # its exit code is the run's verdict again
}

# run_api API: two prompts cold, the same two warm, one after another; so long that the template's
# prefix is under the tenth from which on llama.cpp gives a prompt the slot of one that is like it
run_api() {
  local lines
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
  run_plan "$1" "$work/$1.yaml" 0
  sleep 1 # its log is a thread of its own
  tail -n "+$((lines + 1))" "$work/server.log" >"$work/$1.log"
}

# logged NAME WORDS: the tokens that the server's log gives to each request for these words
logged() { sed -nE "s/.*\| +$2 time = .*\/ +([0-9]+) tokens.*/\1/p" "$work/$1.log" | tr '\n' ' '; }

# recorded NAME JQ: a figure of each record, in the order in which they were sent
recorded() { jq -s -r "sort_by(.sent_ns)[] | $2" "$work/$1.records" | tr '\n' ' '; }

start_llama LLAMA_CACHE_RAM=0
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
  holds "$api" "every warm request hit the cache, and no cold one" \
    'stage("cold").cache.hit_requests == 0 and (stage("warm").cache | .hit_requests == 2 and .judged_requests == 2)'
  holds "$api" "nothing is contaminated" '[.stages[] | has("contamination") | not] | all'
  holds "$api" "server and tokenizer count the same prompts, but for the template" \
    '[.stages[].tokens.input.divergence[] | .requests == 2 and .tokens <= .against_tokens and (.is_large | not)] | length == 2 and all'
done

echo "-- conversations: each turn finds the one before it in the cache"
cat >"$work/sessions.py" <<'PY'
import json
words = "the keeper of the lighthouse wrote down ships, weather and the price of oil ".split()
for session in range(2):
    for turn in range(3):
        text = " ".join(words[(session * 7 + turn * 3 + at) % len(words)] for at in range(160))
        row = {"session": f"s{session}", "messages": [{"role": "user", "content": text}]}
        print(json.dumps(row))
PY
python3 "$work/sessions.py" >"$work/sessions.jsonl"
cat >"$work/conversation.yaml" <<YAML
version: 1
endpoint: { url: "$url", tokenizer: server }
prompt: { dataset: sessions.jsonl, unique: request, max_tokens: 12, body: { ignore_eos: true } }
stages:
  - { id: chats, kind: conversation, concurrency: 1 }
YAML
run_plan conversation "$work/conversation.yaml" 0
records conversation "six turns, each answered with twelve tokens" \
  'length == 6 and all(.outcome == "ok" and .output_tokens.server == 12)'
# What the server generated is not always what it reads again: text may be cut into tokens otherwise.
records conversation "a later turn finds nearly all of the turn before it, answer included" \
  '[.[0:3], .[3:6]] | all([.[0:2], .[1:3]] | all(.[1].cached_tokens + 16 > .[0].input_tokens.server))'
records conversation "cached tokens grow turn by turn" \
  '[.[0:3], .[3:6]] | all(.[0].cached_tokens < .[1].cached_tokens and .[1].cached_tokens < .[2].cached_tokens)'
holds conversation "the server's metrics count the same cached tokens" \
  'stage("chats") | .server.counters.prefix_cache_hits == .cache.cached_tokens'

echo "-- synthetic prompts: the stated share of them is found in the cache"
cat >"$work/synthetic.yaml" <<YAML
version: 1
endpoint: { url: "$url", tokenizer: server }
prompt: { synthetic: { input_tokens: 600, output_tokens: 4, prefix: { share: 0.5 } } }
stages:
  - { id: shared, kind: load, concurrency: 1, requests: 5 }
YAML
run_plan synthetic "$work/synthetic.yaml" 0
records synthetic "after the first, half of each prompt comes from the cache" \
  'length == 5 and (.[1:] | all(.cached_tokens / .input_tokens.server | . > 0.4 and . < 0.6))'
holds synthetic "the requests that hit it are counted" \
  'stage("shared").cache | .hit_requests == 4 and .judged_requests == 5'

echo "-- rows of a dataset: a malformed one is left out and counted, the rest are counted by everyone"
cat >"$work/rows.py" <<'PY'
import json
for row in range(4):
    if row == 2:
        print('{"prompt": ')
    text = " ".join(f"word{row}x{at} stands here" for at in range(60))
    print(json.dumps({"prompt": text, "max_tokens": 5}))
PY
python3 "$work/rows.py" >"$work/rows.jsonl"
cat >"$work/rows.yaml" <<YAML
version: 1
endpoint: { url: "$url", tokenizer: server }
prompt: { dataset: { path: rows.jsonl, on_malformed: skip }, body: { ignore_eos: true } }
stages:
  - { id: cold, kind: cold }
YAML
run_plan rows "$work/rows.yaml" 0
records rows "four rows, each as long as it asks" 'length == 4 and all(.output_tokens.server == 5)'
holds rows "the malformed row is named" '.run.notes | any(contains("1 malformed row was left out") and contains("rows.jsonl:3"))'
holds rows "answers are counted by server, tokenizer and events" \
  'stage("cold").tokens.output.sums | .server == 20 and .tokenizer > 0 and .events > 0'

echo "-- documents: tools and images go out as they are written, or the run is refused"
cat >"$work/documents.jsonl" <<'JSON'
{"messages":[{"role":"user","content":"Weather?"}],"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{}}}}]}
{"messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]}
JSON
cat >"$work/documents.yaml" <<YAML
version: 1
params: { api: { type: string, default: openai-chat } }
endpoint: { url: "$url", api: "\${api}" }
prompt: { dataset: documents.jsonl, max_tokens: 4 }
stages:
  - { id: ask, kind: load, concurrency: 1, requests: 2 }
YAML
run_plan documents "$work/documents.yaml" 0
records documents "the server saw the image, for it says that its model has no eyes" \
  '.[0].outcome == "ok" and (.[1].error.message | contains("image input is not supported"))'
code=0
"$runner" run "$work/documents.yaml" -p api=llamacpp-completion 2>"$work/refused" || code=$?
check "documents: an API without tools and parts refuses the rows" test "$code" = 3
check "documents: and names what it can't send" grep -q "documents.jsonl:1: .tools. can't be sent" "$work/refused"

echo "-- a server that is restarted: users wait until its model is loaded"
cat >"$work/away.yaml" <<YAML
version: 1
endpoint: { url: "$url", tokenizer: estimate, metrics: off }
prompt: { text: "Name a colour, number {{ i }}.", max_tokens: 4 }
stages:
  - { id: ask, kind: load, concurrency: 2, requests: 24, unreachable: { wait: 120s } }
YAML
"$runner" run "$work/away.yaml" --results "$work/results-away" --output-format json --progress none >"$work/away.json" &
run=$!
until [ "$(cat "$work"/results-away/*/*/records-*.jsonl 2>/dev/null | grep -c '"outcome":"ok"')" -ge 4 ]; do sleep 0.1; done
stop_server
sleep 1
start_llama LLAMA_CACHE_RAM=0
wait "$run"
holds away "nobody asked while the model was loaded" 'stage("ask").errors | has("http.503") | not'
holds away "every request is accounted for, and most were answered" \
  'stage("ask").counts | .planned == 24 and .ok + .errors == 24 and .ok >= 14'
holds away "it is said that the endpoint was away, and how long" \
  'stage("ask").unreachable | .recovery_s > 0 and (.to_the_end | not)'

echo "-- a document as long as the context of a slot"
cat >"$work/context.yaml" <<YAML
version: 1
endpoint: { url: "$url", tokenizer: server }
prompt: { context: { from: filler, max_ctx_tokens: 3000 }, text: Summarize., max_tokens: 4 }
stages:
  - { id: full, kind: cold, requests: 1 }
YAML
run_plan context "$work/context.yaml" 0
records context "it has the tokens asked for, and the template's" \
  'length == 1 and (.[0].input_tokens.server | . >= 3000 - 2048 and . < 3000)'

echo "-- llama.cpp without its host-RAM cache: a flush is real"
eviction flushed 0
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
start_llama RUNNER_NOTHING=1
eviction unflushed 10
holds unflushed "cold is cold" 'stage("cold").cache.verdict == "cold"'
holds unflushed "warm is warm" 'stage("warm").cache.verdict == "warm"'
holds unflushed "the flush failed" 'stage("flush").flush.state == "failed"'
holds unflushed "both means were tried" 'stage("flush").flush.attempts | length >= 2'
holds unflushed "the conclusion names it" 'stage("flush").flush.summary | startswith("flush failed: still warm")'
holds unflushed "after the flush it is still warm" 'stage("after_flush").cache.verdict == "warm"'
holds unflushed "the run did not pass" '.verdict.pass == false'
stop_server

echo "$passed passed, 0 failed"
