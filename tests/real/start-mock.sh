#!/usr/bin/env bash
# start-mock.sh PORT: llmock, a mock of several providers' APIs that others wrote, in the foreground
# on loopback. It comes from PyPI and is kept in $RUNNER_REAL_HOME (default ~/.cache/runner-real).
# Exit code 75: the registry can't be reached, so there is nothing to run.
set -euo pipefail
port=${1:?usage: $0 PORT}
home=${RUNNER_REAL_HOME:-$HOME/.cache/runner-real}
python=${PYTHON:-python3}
mkdir -p "$home"

exec 9>"$home/.lock"
flock 9 # one installer at a time
venv=$home/venv-llmock
if [ ! -f "$venv/.ready" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check llmock==0.2.2 >&2; then
    # A package that the registry has and that does not install is a failure like any other.
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$home/probe" pip >&2 || exit 75
    rm -rf "$home/probe"
    exit 1
  fi
  touch "$venv/.ready"
fi
exec 9>&-

exec "$venv/bin/llmock" serve --host 127.0.0.1 --port "$port" --tool-mode off \
  --stream-chunk-delay-ms 10 --log-level warning
