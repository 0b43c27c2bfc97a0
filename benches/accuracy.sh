#!/usr/bin/env bash
# How far the runner's times are above those of the hyper floor, at the same server in the same run.
#
#   benches/accuracy.sh [ROUNDS]
#
# Needs the release build: cargo build --release --bin runner --examples
# The server says its first token after 50 ms and 31 more, 10 ms apart. Floor and runner see the same
# distribution of true times, so what their percentiles differ by is the error of one above that of
# the other, neighbours included. Both open their connections ahead; the opening burst is in it.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3}
bin=${BIN:-target/release}
runner=${RUNNER:-$bin/runner}
floor=${FLOOR:-$bin/examples/hyper_floor}
server=${SERVER:-$bin/examples/stream_server}
client_core=${CLIENT_CORE:-0}
server_core=${SERVER_CORE:-1}
cases=${CASES:-64 256 1024}
port=${PORT:-8124}
work=$(mktemp -d)
serving=
trap 'if [ -n "$serving" ]; then kill "$serving"; fi; rm -rf "$work"' EXIT
ulimit -n "$(ulimit -Hn)"

taskset -c "$server_core" "$server" --port "$port" --tokens 32 --first-ms 50 --gap-ms 10 \
    2>"$work/server" &
serving=$!
for _ in $(seq 100); do
    grep -q listening "$work/server" && break
    sleep 0.05
done
url=http://127.0.0.1:$port/v1

for streams in $cases; do
    count=$((streams * 8))
    for round in $(seq "$rounds"); do
        taskset -c "$client_core" "$floor" "$url/chat/completions" --times \
            --concurrency "$streams" --requests "$count" >"$work/floor.$streams.$round"
        taskset -c "$client_core" "$runner" run benches/floor.yaml -p "url=$url" \
            -p "streams=$streams" -p "requests=$count" --results "$work/results" --no-report \
            --progress none --output-format json >"$work/runner.$streams.$round" 2>"$work/err" ||
            { cat "$work/err" >&2; exit 1; }
        rm -rf "$work/results"
    done
done

python3 - "$work" "$rounds" $cases <<'PYTHON'
import json
import statistics
import sys

work, rounds, *cases = sys.argv[1:]
print("medians of rounds, ms; p50 / p99 and how far the runner is above the floor")
for streams in cases:
    for metric in "ttft", "e2e", "itl":
        rows = {"floor": [], "runner": []}
        for number in range(1, int(rounds) + 1):
            floor = json.load(open(f"{work}/floor.{streams}.{number}"))["times"][f"{metric}_ms"]
            stage = json.load(open(f"{work}/runner.{streams}.{number}"))["stages"][0]
            rows["floor"].append((floor["p50"], floor["p99"]))
            rows["runner"].append(tuple(stage["metrics"][metric][key] for key in ("p50", "p99")))
        middle = {who: [statistics.median(column) for column in zip(*row)] for who, row in rows.items()}
        (a50, a99), (b50, b99) = middle["floor"], middle["runner"]
        print(f"{streams:>5} {metric:<5} floor {a50:8.3f} / {a99:8.3f}   runner {b50:8.3f} / {b99:8.3f}"
              f"   above {b50 - a50:+7.3f} / {b99 - a99:+7.3f}")
PYTHON
