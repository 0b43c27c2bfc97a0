#!/usr/bin/env bash
# ci/gate.sh against an endpoint: the first run becomes the baseline, a like one passes, one against an
# endpoint that got slower fails, and the baseline stays the good one.
# usage: tests/real/gate.sh [URL]; without a URL against the simulator. RUNNER: the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
runner=$(realpath "${RUNNER:-target/release/runner}") gate=$PWD/ci/gate.sh work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
plan() {
  cat >"$1.yaml" <<PLAN
version: 1
name: gate
endpoint: $2
prompt: { text: "Say {{ i }}.", max_tokens: 8 }
stages:
  - { id: ask, kind: load, rate: 200, requests: 600, max_lag: 5s, thresholds: [error_rate <= 0%] }
PLAN
}
expect() {
  local code=$1 what=$2
  shift 2
  RUNNER=$runner "$gate" "$@" >out.txt 2>err.txt && got=0 || got=$?
  if [ "$got" -ne "$code" ]; then
    echo "FAILED: $what: exit $got instead of $code"
    cat out.txt err.txt
    exit 1
  fi
  echo "ok: $what"
}
baseline() { sha256sum .runner-baseline/summary.json; }

simulator='{ simulator: { decode_rate: 400, overhead: 5ms } }'
slower='{ simulator: { decode_rate: 200, overhead: 40ms } }'
plan good "${1:-$simulator}"
plan slow "$slower"
plan dead http://127.0.0.1:9/v1
expect 0 "the first run becomes the baseline" good.yaml
first=$(baseline)
expect 4 "an endpoint that is not there fails the gate" dead.yaml
[ "$first" = "$(baseline)" ] || { echo "FAILED: a run that failed became the baseline"; exit 1; }
sed 's/requests: 600/requests: 3/' good.yaml >few.yaml
expect 0 "a run of too few requests to compare passes" few.yaml
[ "$first" = "$(baseline)" ] || { echo "FAILED: a run that could not be compared became the baseline"; exit 1; }
expect 0 "a like run passes" good.yaml
second=$(baseline)
[ "$first" != "$second" ] || { echo "FAILED: a run that passed did not become the baseline"; exit 1; }
if [ $# -eq 0 ]; then
  expect 10 "a slower endpoint fails the gate" slow.yaml
  [ "$second" = "$(baseline)" ] || { echo "FAILED: a worse run became the baseline"; exit 1; }
  grep -q worse runner-compare.md || { echo "FAILED: the comparison does not say what got worse"; exit 1; }
fi
