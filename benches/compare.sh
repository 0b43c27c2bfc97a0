#!/usr/bin/env bash
# The runner beside two floors, round after round, so that a busy machine is busy for all: hyper's,
# and a bare poll loop, which is the least that a client can cost.
#
#   benches/compare.sh [ROUNDS] [REQUESTS]
#
# Needs the release build: cargo build --release --bin runner --examples
# The server has one core, the client the other (CLIENT_CORE and SERVER_CORE). Each line is one run,
# the last lines are medians. `us/req` and `us/ev` are the client's CPU time, of the whole process
# from start to exit, in microseconds a request and an event: they suffer least from neighbours.
# Where a ratio is below what benches/README.md demands, its line says so.
# A client that has all of one core to do calls its times INVALID (exit code 5): what is measured
# here is what it costs, not those.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3}
requests=${2:-40000}
bin=${BIN:-target/release}
runner=${RUNNER:-$bin/runner}
hyper=${HYPER:-$bin/examples/hyper_floor}
poll=${POLL:-$bin/examples/epoll_floor}
server=${SERVER:-$bin/examples/stream_server}
client_core=${CLIENT_CORE:-0}
server_core=${SERVER_CORE:-1}
cases=${CASES:-64 512 4096 long paced}
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
    elif [ "$case" = long ]; then
        serve --tokens 996
        streams=64 tokens=996 count=$((requests / 20))
    else
        serve --tokens 16
        streams=$case tokens=16 count=$requests
    fi
    events=$((tokens + 4))
    url=http://127.0.0.1:$port/v1
    for _ in $(seq "$rounds"); do
        for floor in hyper poll; do
            measure "$floor" "$case" "$events" "$count" "${!floor}" "$url/chat/completions" \
                --concurrency "$streams" --requests "$count"
        done
        measure runner "$case" "$events" "$count" "$runner" run benches/floor.yaml \
            -p "url=$url" -p "streams=$streams" -p "requests=$count" \
            --results "$work/results" --no-report --progress none --output-format json
        rm -rf "$work/results"
    done
done

# must CASE FLOOR rate|cpu: the least ratio that is demanded, or 0.
must() {
    case "$1 $2 $3" in
    "64 hyper rate") echo 1.2 ;; "512 hyper rate") echo 1.4 ;; "4096 hyper rate") echo 1.6 ;;
    "64 poll rate") echo 0.40 ;; "512 poll rate") echo 0.45 ;; "4096 poll rate") echo 0.50 ;;
    "long poll rate") echo 0.40 ;;
    "paced hyper cpu") echo 0.87 ;;
    *) echo 0 ;;
    esac
}

echo
echo "medians of $rounds rounds; runner / floor in requests/s, floor / runner in CPU time a request"
# median CASE NAME COLUMN
median() {
    awk -v case="$1" -v name="$2" -v column="$3" \
        '$1 == case && $2 == name { print $column }' "$work/rows" | sort -g |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
for case in $cases; do
    for name in runner hyper poll; do
        printf '%-6s %-6s %8.0f req/s %8.1f us/req %6.2f us/ev %6.0f MB' "$case" "$name" \
            "$(median "$case" "$name" 3)" "$(median "$case" "$name" 4)" \
            "$(median "$case" "$name" 5)" "$(median "$case" "$name" 6)"
        if [ "$name" != runner ]; then
            awk -v a="$(median "$case" runner 3)" -v b="$(median "$case" "$name" 3)" \
                -v c="$(median "$case" runner 4)" -v d="$(median "$case" "$name" 4)" \
                -v rate="$(must "$case" "$name" rate)" -v cpu="$(must "$case" "$name" cpu)" 'BEGIN {
                printf "   rate %.2f cpu %.2f", a / b, d / c
                if (a / b < rate) printf "   MISSED: rate must be %.2f", rate
                if (d / c < cpu) printf "   MISSED: cpu must be %.2f", cpu
            }'
        fi
        echo
    done
done
