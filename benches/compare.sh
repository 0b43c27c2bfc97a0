#!/usr/bin/env bash
# The runner beside the hyper floor, round after round, so that a busy machine is busy for both.
#
#   benches/compare.sh [ROUNDS] [REQUESTS]
#
# Needs the release build: cargo build --release --bin runner --examples
# The server has one core, the client the other (CLIENT_CORE and SERVER_CORE). Each line is one run,
# the last lines are medians. `us/req` and `us/ev` are the client's CPU time, of the whole process
# from start to exit, in microseconds a request and an event: they suffer least from neighbours.
# A client that has all of one core to do calls its times INVALID (exit code 5): what is measured
# here is what it costs, not those.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3}
requests=${2:-40000}
bin=${BIN:-target/release}
runner=${RUNNER:-$bin/runner}
floor=${FLOOR:-$bin/examples/hyper_floor}
server=${SERVER:-$bin/examples/stream_server}
client_core=${CLIENT_CORE:-0}
server_core=${SERVER_CORE:-1}
cases=${CASES:-64 512 4096 paced}
port=${PORT:-8123}
work=$(mktemp -d)
serving=
trap 'if [ -n "$serving" ]; then kill "$serving"; fi; rm -rf "$work"' EXIT
ulimit -n "$(ulimit -Hn)"

serve() {
    if [ -n "$serving" ]; then
        kill "$serving"
        wait "$serving" 2>/dev/null || true
    fi
    taskset -c "$server_core" "$server" --port "$port" "$@" 2>"$work/server" &
    serving=$!
    for _ in $(seq 100); do
        grep -q listening "$work/server" && return
        sleep 0.05
    done
    echo "the server did not start: $(cat "$work/server")" >&2
    exit 1
}

# measure NAME CASE EVENTS-PER-REQUEST REQUESTS COMMAND...: runs it on the client's core.
measure() {
    local name=$1 case=$2 events=$3 count=$4
    shift 4
    local rate
    /usr/bin/time -f '%e %U %S %M' -o "$work/time" taskset -c "$client_core" "$@" \
        >"$work/out" 2>"$work/err" || [ $? = 5 ] || { cat "$work/err" >&2; exit 1; }
    rate=$(sed -n 's/.*"requests_per_second":[ ]*\([0-9.]*\).*/\1/p' "$work/out" | head -1)
    read -r _ user system peak < <(tail -n 1 "$work/time")
    awk -v name="$name" -v case="$case" -v rate="$rate" -v u="$user" -v s="$system" -v kb="$peak" \
        -v n="$count" -v e="$events" 'BEGIN {
        us = (u + s) * 1e6 / n
        printf "%s %s %.0f %.2f %.2f %.1f\n", case, name, rate, us, us / e, kb / 1024
    }' | tee -a "$work/rows" |
        awk '{ printf "%-6s %-7s %8s req/s %8s us/req %7s us/ev %7s MB\n", $1, $2, $3, $4, $5, $6 }'
}

for case in $cases; do
    if [ "$case" = paced ]; then
        serve --tokens 64 --first-ms 20 --gap-ms 10
        streams=512 tokens=64 count=${PACED_REQUESTS:-8192}
    else
        serve --tokens 16
        streams=$case tokens=16 count=$requests
    fi
    events=$((tokens + 4))
    url=http://127.0.0.1:$port/v1
    for _ in $(seq "$rounds"); do
        measure floor "$case" "$events" "$count" "$floor" "$url/chat/completions" \
            --concurrency "$streams" --requests "$count"
        measure runner "$case" "$events" "$count" "$runner" run benches/floor.yaml \
            -p "url=$url" -p "streams=$streams" -p "requests=$count" \
            --results "$work/results" --no-report --progress none --output-format json
        rm -rf "$work/results"
    done
done

echo
echo "medians of $rounds rounds; ratio of requests/s, and of CPU time (floor / runner)"
for case in $cases; do
    awk -v case="$case" '
        function median(list, n,   i, j, held) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
                    held = list[j]; list[j] = list[j - 1]; list[j - 1] = held
                }
            return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
        }
        $1 == case && $2 == "floor" { fr[++f] = $3; fu[f] = $4; fe[f] = $5; fm[f] = $6 }
        $1 == case && $2 == "runner" { rr[++r] = $3; ru[r] = $4; re[r] = $5; rm[r] = $6 }
        END {
            a = median(fr, f); b = median(rr, r); c = median(fu, f); d = median(ru, r)
            printf "%-6s floor %6.0f req/s %6.1f us/req %5.2f us/ev %5.0f MB | runner %6.0f req/s", \
                case, a, c, median(fe, f), median(fm, f), b
            printf " %6.1f us/req %5.2f us/ev %5.0f MB | rate %.2f cpu %.2f\n", \
                d, median(re, r), median(rm, r), b / a, c / d
        }' "$work/rows"
done
