"""Runs a scenario with every sink at once and reads each output back with somebody else's reader.

Usage: sinks.py RUNNER ROOT. The truth is the run directory's record log; every count must equal it.
"""

import csv
import http.server
import json
import pathlib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import xml.etree.ElementTree as xml

import pyarrow.parquet
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from prometheus_client.parser import text_string_to_metric_families

runner, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
posts = {"/metrics/job/runner": [], "/v1/metrics": []}


def check(what, holds):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


class Gateway(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        posts[self.path].append((self.headers["Content-Type"], body.decode()))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=gateway.serve_forever, daemon=True).start()
there = f"http://127.0.0.1:{gateway.server_port}"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    metrics = f"127.0.0.1:{free.getsockname()[1]}"

out = pathlib.Path(tempfile.mkdtemp())
sinks = ["jsonl:records.jsonl", "csv:requests.csv", "stages:stages.csv", "summary:summary.json",
         "sqlite:run.sqlite", "parquet:requests.parquet", "junit:checks.xml", "html:report.html",
         "markdown:report.md", "svg:charts.svg", "png:charts.png",
         f"prometheus:{metrics}", f"prometheus:{there}", f"otlp:{there}"]
command = [runner, "run", root / "scenarios/cache-eviction.yaml", "--results", "results",
           "-p", "docs=12", "--output-format", "none", "--progress", "none"]
for sink in sinks:
    command += ["--sink", sink]
run = subprocess.Popen(command, cwd=out)
scrapes, partial = [], {"parquet": 0, "sqlite": 0, "csv": 0}
while run.poll() is None:
    time.sleep(0.5)
    try:
        scrapes.append(urllib.request.urlopen(f"http://{metrics}/metrics", timeout=5).read().decode())
        rows = pyarrow.parquet.read_table(out / "requests.parquet").num_rows
        partial["parquet"] = max(partial["parquet"], rows)
        reader = sqlite3.connect(f"file:{out / 'run.sqlite'}?mode=ro", uri=True)
        partial["sqlite"] = reader.execute("SELECT count(*) FROM requests").fetchone()[0]
        partial["csv"] = len((out / "requests.csv").read_text().splitlines()) - 1
    except (OSError, pyarrow.ArrowInvalid, sqlite3.OperationalError):
        pass
check("the run passed with 14 sinks at once", run.returncode == 0)

(log,) = out.glob("results/*/*/records-000001.jsonl")
lines = [json.loads(line) for line in log.read_text().splitlines()]
ends = [line for line in lines if line["type"] == "end"]
ids = [end["request_id"] for end in ends]
stages = json.loads((log.parent / "summary.json").read_text())["stages"]
checks = [result for stage in stages for result in stage["thresholds"]]
check(f"the log has {len(ends)} records", len(ends) > 30)

jsonl = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
check("jsonl: every record as in the log", [line for line in jsonl if line["type"] == "end"] == ends)
with open(out / "requests.csv", newline="") as file:
    check("csv: every request", [row["request_id"] for row in csv.DictReader(file)] == ids)
with open(out / "stages.csv", newline="") as file:
    check("stages: every stage", [row["stage"] for row in csv.DictReader(file)] == [s["id"] for s in stages])
check("summary: the run's own", json.loads((out / "summary.json").read_text())["stages"] == stages)

table = pyarrow.parquet.read_table(out / "requests.parquet")
check(f"parquet: {table.num_rows} rows of {table.num_columns} columns in pyarrow",
      table.column("request_id").to_pylist() == ids)
check("parquet: whole numbers, numbers, flags and nulls as in the log",
      table.column("first_token_ns").to_pylist() == [end["first_token_ns"] for end in ends]
      and table.column("rung").null_count == table.num_rows
      and table.column("connection_reused").to_pylist() == [e["connection"]["reused"] for e in ends]
      and all(abs(ttft - (end["first_token_ns"] - end["sent_ns"]) / 1e6) < 1e-9
              for ttft, end in zip(table.column("ttft_ms").to_pylist(), ends)))
facts = table.schema.metadata
check("parquet: says which run it is", facts[b"runner.run_id"].decode() == lines[0]["run_id"])

database = sqlite3.connect(out / "run.sqlite")
check("sqlite: sound", database.execute("PRAGMA integrity_check").fetchone() == ("ok",))
check("sqlite: every request",
      [row[0] for row in database.execute("SELECT request_id FROM requests ORDER BY rowid")] == ids)
count = "SELECT (SELECT count(*) FROM stages), (SELECT count(*) FROM thresholds)"
check("sqlite: every stage and check", database.execute(count).fetchone() == (len(stages), len(checks)))

suites = xml.parse(out / "checks.xml").getroot()
check("junit: a case per check and stage, one for the run, none failed",
      int(suites.get("tests")) == len(checks) + len(stages) + 1
      and suites.get("failures") == suites.get("errors") == "0")
check("svg: sound XML", xml.parse(out / "charts.svg").getroot().tag.endswith("svg"))
check("png: a PNG", (out / "charts.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n")
check("html and markdown: the verdict stands in both",
      all("PASS" in (out / name).read_text() for name in ("report.html", "report.md")))


def sent(page):
    families = {family.name: family for family in text_string_to_metric_families(page)}
    return families, sum(sample.value for sample in families["runner_requests"].samples)


check(f"prometheus: {len(scrapes)} scrapes while the run went on, all sound",
      len(scrapes) > 3 and all(sent(page) for page in scrapes))
check("prometheus: what was scraped only rises",
      sorted(sent(page)[1] for page in scrapes) == [sent(page)[1] for page in scrapes])
pushed = posts["/metrics/job/runner"]
families, requests = sent(pushed[-1][1])
check(f"prometheus: the last of {len(pushed)} pushes has every request", requests == len(ends))
check("prometheus: and the verdict", families["runner_run_passed"].samples[0].value == 1)

collected = [json_format.Parse(body, metrics_service_pb2.ExportMetricsServiceRequest())
             for _, body in posts["/v1/metrics"]]
metrics = {metric.name: metric for metric in collected[-1].resource_metrics[0].scope_metrics[0].metrics}
check(f"otlp: the last of {len(collected)} pushes has every request",
      sum(point.as_int for point in metrics["runner.requests"].sum.data_points) == len(ends))
points = metrics["runner.ttft"].histogram.data_points
check("otlp: every TTFT, in as many buckets as there are bounds and one",
      sum(point.count for point in points) == len(ends)
      and all(len(point.bucket_counts) == len(point.explicit_bounds) + 1 for point in points))
check(f"partial results while the run went on: {partial}", all(rows > 0 for rows in partial.values()))
