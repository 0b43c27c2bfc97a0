#!/usr/bin/env bash
# gate.sh PLAN [ARGUMENTS OF `runner run`]
#
# Runs a plan, compares it with the last run that passed, and keeps it as the next baseline if it
# passes. Exits as `runner run` does; if the run itself passed, as `runner compare --fail-on worse`.
#
#   RUNNER           the binary (runner)
#   RUNNER_BASELINE  the folder that keeps the last good run (.runner-baseline); cache it between jobs
#   RUNNER_COMMENT   the file for the comparison in Markdown (runner-compare.md)
#   RUNNER_COMPARE   further arguments of `runner compare`, such as --min-effect 10%
set -uo pipefail
runner=${RUNNER:-runner} baseline=${RUNNER_BASELINE:-.runner-baseline} comment=${RUNNER_COMMENT:-runner-compare.md}
[ $# -ge 1 ] || { echo "usage: gate.sh PLAN [ARGUMENTS OF \`runner run\`]" >&2; exit 2; }

results=$(mktemp -d "${TMPDIR:-/tmp}/runner-gate.XXXXXX") || exit 1
"$runner" run "$@" --results "$results/now"
code=$?
run=$(find "$results/now" -mindepth 2 -maxdepth 2 -type d 2>/dev/null | sort | tail -n 1)
# What the job uploads, whatever happens next.
mkdir -p results && [ -n "$run" ] && cp -R "$results/now/." results/
if [ "$code" -ne 0 ]; then
  echo "gate: the run exited with $code; the baseline stays as it is" >&2
  rm -rf "$results"
  exit "$code"
fi

if [ -f "$baseline/summary.json" ]; then
  # shellcheck disable=SC2086 # several arguments in one variable
  "$runner" compare "$baseline" "$run" --format markdown --output "$comment" ${RUNNER_COMPARE:-} &&
    "$runner" compare "$baseline" "$run" --fail-on worse ${RUNNER_COMPARE:-}
  code=$?
  [ -n "${GITHUB_STEP_SUMMARY:-}" ] && cat "$comment" >>"$GITHUB_STEP_SUMMARY"
  # 5: too few samples to tell. The run stands, and so does the baseline it could not be held against.
  if [ "$code" -eq 5 ]; then
    echo "gate: too few samples to compare with the baseline, which stays as it is" >&2
    rm -rf "$results"
    exit 0
  fi
else
  echo "gate: no baseline yet; this run becomes the first"
fi
if [ "$code" -eq 0 ]; then
  rm -rf "$baseline.new" && cp -R "$run" "$baseline.new" && rm -rf "$baseline" && mv "$baseline.new" "$baseline"
fi
rm -rf "$results"
exit "$code"
