#!/usr/bin/env bash
# Every sink of one run, read back by other people's readers: pyarrow, prometheus_client, the protobuf
# types of OpenTelemetry, and Python's own csv, sqlite3, XML and JSON. Needs python3 and, once, a
# package index; prints one line per check.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
readers=$root/target/sink-readers
packages=(pyarrow prometheus-client opentelemetry-proto)

if ! [ -e "$readers/ready" ]; then
  if ! { python3 -m venv "$readers" && "$readers/bin/pip" install --quiet "${packages[@]}"; }; then
    echo "skipped: the readers (${packages[*]}) can't be installed here"
    exit 0
  fi
  touch "$readers/ready"
fi
exec "$readers/bin/python" "$here/sinks.py" "${RUNNER:-$root/target/release/runner}" "$root"
