"""Reads what the sinks of one run wrote with readers that have nothing to do with runner.

Usage: read_back.py DIR. DIR holds records.jsonl, requests.csv, stages.csv, run.sqlite and checks.xml;
prints one JSON object with what the others say. Needs nothing but Python's own library.
"""

import csv
import json
import pathlib
import sqlite3
import sys
import xml.etree.ElementTree as xml

here = pathlib.Path(sys.argv[1])
database = sqlite3.connect(f"file:{here / 'run.sqlite'}?mode=ro", uri=True)


def column(sql):
    return [row[0] for row in database.execute(sql)]


with open(here / "requests.csv", newline="") as file:
    requests = list(csv.DictReader(file))
with open(here / "stages.csv", newline="") as file:
    stages = list(csv.DictReader(file))
suites = xml.parse(here / "checks.xml").getroot()
print(json.dumps({
    "csv": {
        "ids": [row["request_id"] for row in requests],
        "ttft_ms": [float(row["ttft_ms"] or "nan") for row in requests],
        "stages": [row["stage"] for row in stages],
        "p50": [row["ttft_ms_p50"] for row in stages],
    },
    "sqlite": {
        "integrity": column("PRAGMA integrity_check"),
        "ids": column("SELECT request_id FROM requests ORDER BY rowid"),
        "first_token_ns": column("SELECT first_token_ns FROM requests ORDER BY rowid"),
        "absent": column("SELECT count(*) FROM requests WHERE ttft_ms IS NULL")[0],
        "stages": column("SELECT stage FROM stages ORDER BY rowid"),
        "p50": column("SELECT p50 FROM figures WHERE metric = 'ttft' ORDER BY rowid"),
        "thresholds": column("SELECT pass FROM thresholds ORDER BY rowid"),
        "limits": column('SELECT "limit" FROM thresholds ORDER BY rowid'),
        "runs": column("SELECT state || ' ' || exit_code FROM manifest"),
    },
    "junit": {
        "tests": int(suites.get("tests")),
        "failures": int(suites.get("failures")),
        "suites": [suite.get("name") for suite in suites],
        "cases": [case.get("name") for case in suites.iter("testcase")],
        "failed": [
            {"line": case.get("line"), "file": case.get("file"), "why": case.find("failure").text}
            for case in suites.iter("testcase")
            if case.find("failure") is not None
        ],
    },
}).replace("NaN", "null"))
