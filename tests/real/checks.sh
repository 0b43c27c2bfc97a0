# Sourced by the scripts beside it, with `here` set to this folder: a work folder that goes with the
# script, a server that is stopped whatever happens, and checks of one line each.
root=$(cd "$here/../.." && pwd)
runner=${RUNNER:-$root/target/release/runner}
work=$(mktemp -d)
server=
passed=0

stop_server() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  server=
}
trap 'stop_server; rm -rf "$work"' EXIT

# start_server URL COMMAND…: starts it in the background and waits until URL answers. When the
# server ends before that, so does this function, with its exit code and its last words.
start_server() {
  local url=$1 code=0
  shift
  "$@" >"$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if curl -sf --max-time 2 "$url" >/dev/null 2>&1; then return; fi
    if ! kill -0 "$server" 2>/dev/null; then
      wait "$server" || code=$?
      server=
      tail -n 40 "$work/server.log" >&2
      echo "the server ended with $code before it answered" >&2
      return $((code == 0 ? 1 : code))
    fi
    sleep 1
  done
  tail -n 20 "$work/server.log" >&2
  echo "the server was not ready in 300 s" >&2
  return 1
}

# check WHAT COMMAND…
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

# run_plan NAME PLAN EXPECTED_EXIT_CODE ARGUMENT…: leaves its summary in NAME.json and the records of
# its requests in NAME.records
run_plan() {
  local name=$1 plan=$2 expected=$3 code=0
  shift 3
  "$runner" run "$plan" --results "$work/results-$name" --output-format json --progress none "$@" \
    >"$work/$name.json" || code=$?
  check "$name: exit code $expected" test "$code" = "$expected"
  cat "$work/results-$name"/*/*/records-000001.jsonl | jq -c 'select(.type == "end")' >"$work/$name.records"
}

# records NAME WHAT JQ: an assertion on all records of a run, in the order in which they were sent
records() { check "$1: $2" quietly jq -se "sort_by(.sent_ns) | $3" "$work/$1.records"; }

# holds NAME WHAT JQ: an assertion on a run's summary, with `stage("id")` to find a stage
holds() {
  check "$1: $2" quietly jq -e "def stage(\$id): .stages[] | select(.id == \$id); $3" "$work/$1.json"
}

command -v jq >/dev/null || { apt-get update -q && apt-get install -qy jq; }
