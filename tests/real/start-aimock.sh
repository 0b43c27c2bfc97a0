#!/usr/bin/env bash
# start-aimock.sh PORT: aimock, a mock of several providers' APIs that others wrote, Ollama's among them,
# in the foreground on loopback; what it answers stands in aimock.json. It comes from npm and is kept in
# $RUNNER_REAL_HOME (default ~/.cache/runner-real). Exit code 75: there is no npm, or no registry.
set -euo pipefail
port=${1:?usage: $0 PORT}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${RUNNER_REAL_HOME:-$HOME/.cache/runner-real}/aimock
command -v npm >/dev/null || exit 75
mkdir -p "$home"

exec 9>"$home/.lock"
flock 9 # one installer at a time
if [ ! -f "$home/.ready" ]; then
  npm ping --silent >/dev/null 2>&1 || npm view --silent @copilotkit/aimock@1.43.0 version >/dev/null || exit 75
  npm install --silent --ignore-scripts --no-save --prefix "$home" @copilotkit/aimock@1.43.0 >&2
  touch "$home/.ready"
fi
exec 9>&-

exec node "$home/node_modules/.bin/llmock" --port "$port" --host 127.0.0.1 \
  --fixtures "$here/aimock.json" --log-level warn
