#!/usr/bin/env bash
# Opens the pages that `cargo test` left, and one of a real run, in headless Chromium.
# Installs Debian's chromium where there is none. RUNNER_SKIP_BROWSER=1 leaves it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "${RUNNER_SKIP_BROWSER:-}" = 1 ]; then
  echo "skipped: RUNNER_SKIP_BROWSER=1"
  exit 0
fi
if ! command -v chromium >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

pages=(target/tmp/report/{typical,hostile,large,broken-off-0,broken-off-60,comparison}.html)
runner=target/release/runner
if [ -x "$runner" ]; then
  "$runner" run scenarios/cache-eviction.yaml --results target/ci-results --progress none \
    --sink html:target/tmp/report/scenario.html >/dev/null
  pages+=(target/tmp/report/scenario.html)
fi
exec python3 tests/browser/check.py "$@" "${pages[@]}"
