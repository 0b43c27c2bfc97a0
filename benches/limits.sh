#!/usr/bin/env bash
# Start, stop, memory and punctuality of whole runs.
#
#   benches/limits.sh [SECONDS]        # of each rate, 20 by default
#   TOKENIZER=FILE benches/limits.sh   # the start with a tokenizer.json of your own
#
# Needs the release build: cargo build --release --bin runner --examples
# The server has one core, the client the other. Every figure is read from the run's own record log,
# beside the clock of this script: from the start of the process to the first request's `sent_ns`, and
# from the last answer's `end_ns` to the end of the process.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
bin=${BIN:-target/release}
export RUNNER=${RUNNER:-$bin/runner} CLIENT_CORE=${CLIENT_CORE:-0} SECONDS_EACH=$seconds
server=${SERVER:-$bin/examples/stream_server}
export TOKENIZER=${TOKENIZER:-datasets/tokenizer.json}
export PORT=${PORT:-8125} COUNTS=${COUNTS:-10000 100000 1000000}
export WORK=$(mktemp -d)
serving=
trap 'if [ -n "$serving" ]; then kill "$serving"; fi; rm -rf "$WORK"' EXIT

taskset -c "${SERVER_CORE:-1}" "$server" --port "$PORT" --tokens 16 2>"$WORK/server" &
serving=$!
for _ in $(seq 100); do
    grep -q listening "$WORK/server" && break
    sleep 0.05
done

python3 - <<'PYTHON'
import datetime
import glob
import json
import os
import shutil
import statistics
import subprocess
import time

WORK, PORT = os.environ["WORK"], os.environ["PORT"]


def run(plan, *more, **params):
    """Runs a plan; gives when it began and ended, its peak memory (MB), summary and record log."""
    shutil.rmtree(f"{WORK}/results", ignore_errors=True)
    command = ["taskset", "-c", os.environ["CLIENT_CORE"], os.environ["RUNNER"], "run", plan]
    for name, value in {"url": f"http://127.0.0.1:{PORT}/v1", **params}.items():
        command += ["-p", f"{name}={value}"]
    command += more
    command += ["--results", f"{WORK}/results", "--no-report", "--progress", "none"]
    began = time.time()
    child = subprocess.Popen(command + ["--output-format", "json"], stdout=open(f"{WORK}/out", "w"), stderr=open(f"{WORK}/err", "w"))
    _, status, used = os.wait4(child.pid, 0)
    ended = time.time()
    assert status == 0, f"{command} ended with {status}:\n" + open(f"{WORK}/err").read()
    return began, ended, used.ru_maxrss / 1024, json.load(open(f"{WORK}/out")), sorted(glob.glob(f"{WORK}/results/*/*/records*"))


def lines(logs, field, stage=""):
    """The run line's moment (s since the epoch), then `field` of the stage's `end` lines (ns)."""
    started, values = None, []
    for log in logs:
        for line in open(log):
            if started is None:
                text = json.loads(line)["started_at"].replace("Z", "")
                head, _, tail = text.partition(".")
                moment = datetime.datetime.fromisoformat(head + "+00:00").timestamp()
                started = moment + float(f"0.{tail or 0}")
            elif line.startswith('{"type":"end"') and f'"stage":"{stage}' in line:
                values.append(json.loads(line)[field])
    return started, values


tokenizer = f"endpoint.tokenizer={os.path.abspath(os.environ['TOKENIZER'])}"
size = os.path.getsize(os.environ["TOKENIZER"]) / 1e6
for what, more in ("", []), (f", a tokenizer of {size:.1f} MB", ["--set", tokenizer]):
    starts = []
    for _ in range(21):
        began, _, _, _, logs = run("benches/floor.yaml", *more, requests=4, streams=1)
        started, sent = lines(logs, "sent_ns")
        starts.append((started + min(sent) / 1e9 - began) * 1e3)
    middle = statistics.median(starts)
    print(f"start to first request{what}: median {middle:.0f} ms, {min(starts):.0f} to {max(starts):.0f}")

for count in os.environ["COUNTS"].split():
    _, ended, peak, _, logs = run("benches/floor.yaml", requests=count, streams=64)
    started, ends = lines(logs, "end_ns")
    assert len(ends) == int(count)
    print(f"{int(count):>9,} requests, 64 streams: peak {peak:.0f} MB, last answer to exit {ended - started - max(ends) / 1e9:.2f} s")

_, _, _, summary, logs = run("benches/punctual.yaml", length=f"{os.environ['SECONDS_EACH']}s")
for stage in summary["stages"]:
    lag, counts = stage["metrics"]["schedule_lag"], stage["counts"]
    _, sent = lines(logs, "sent_ns", stage["id"])
    rate = (len(sent) - 1) / (max(sent) - min(sent)) * 1e9
    print(
        f"{stage['id']}: {counts['planned']} planned, {counts['ok']} ok, sent at {rate:.3f}/s; "
        f"lag p50 {lag['p50']:.3f}, p99 {lag['p99']:.3f}, max {lag['max']:.3f} ms"
    )
PYTHON
