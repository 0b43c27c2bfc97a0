#!/usr/bin/env bash
# cache-eviction against llama.cpp's own server with a real model, twice: with its host-RAM prompt
# cache off, where the flush is proven, and with its defaults, where neither slot erase nor foreign
# traffic flushes and the run must say so. Needs python3 and jq; prints one line per check.
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

command -v jq >/dev/null || { apt-get update -q && apt-get install -qy jq; }

echo "-- llama.cpp without its host-RAM cache: a flush is real"
start_server LLAMA_CACHE_RAM=0
run_plan flushed 0
holds flushed "cold is cold" 'stage("cold").cache.verdict == "cold"'
holds flushed "warm is warm" 'stage("warm").cache.verdict == "warm"'
holds flushed "warm TTFT p50 is under half of cold" \
  'stage("warm").metrics.ttft.p50 < 0.5 * stage("cold").metrics.ttft.p50'
holds flushed "the flush is proven" 'stage("flush").flush.state == "proven"'
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
