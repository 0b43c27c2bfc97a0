"""Runs plans and compares each run with its records; one line a run. See README.md."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import family
from reader import check, coverage, sent, served
from reader.log import Log

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent


class Job:
    """A plan to run, and what its head says must hold."""

    def __init__(self, name, path, text, scripted, quick=None):
        self.name, self.path, self.scripted, self.quick = name, path, scripted, quick
        directives = re.findall(r"^# (says|never|exit|rows|turns|output|headers|overrides|may-refuse)(?:: (.*))?$", text, re.M)
        self.says = [v for k, v in directives if k == "says"]
        self.never = [v for k, v in directives if k == "never"]
        self.exit = next((int(v) for k, v in directives if k == "exit"), None)
        self.rows = next((v for k, v in directives if k == "rows"), None)
        self.turns = [pair.split("=") for k, v in directives if k == "turns" for pair in v.split()]
        self.output = next((v for k, v in directives if k == "output"), None)
        self.headers = dict(pair.split("=") for k, v in directives if k == "headers" for pair in v.split())
        self.overrides = [w.strip() for k, v in directives if k == "overrides" for w in v.split(",")]
        self.may_refuse = any(k == "may-refuse" for k, _ in directives)


def run(job, runner, results):
    """(figures compared, differences, which leaves of summary.json were compared)."""
    try:
        return compare(job, runner, results)
    except Exception:  # a reader that stumbles over a run has found a difference, too
        return 0, ["the reader broke: " + traceback.format_exc().strip().splitlines()[-1] + " at " + traceback.format_exc().strip().splitlines()[-3].strip()], coverage.Book()


def compare(job, runner, results):
    folder = results / re.sub(r"\W+", "-", job.name)
    folder.mkdir()
    asked = ["quick", *job.quick] if job.quick else ["run", str(job.path)]
    command = [runner, *asked, "--results", str(folder), "--progress", "none", "--color", "never"]
    server = None
    try:
        if job.scripted:
            server = subprocess.Popen([sys.executable, str(HERE / "scripted.py"), str(folder / "served.jsonl")], stdout=subprocess.PIPE, text=True)
            port = server.stdout.readline().strip()
            command = [word.replace("PORT", port) for word in command] if job.quick else [*command, "--param", f"port={port}"]
        for _ in range(4):
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            # A machine that is busy makes a run INVALID, and is right to; where the code is told, it is run anew.
            if done.returncode != 5 or job.exit in (None, 5) or not re.search("generator starved|this machine stood still", done.stdout + done.stderr):
                break
            for run_ in folder.glob("*/*"):
                shutil.rmtree(run_)
            (folder / "served.jsonl").write_text("")
    finally:
        if server:
            server.terminate()
            server.wait()
    found = sorted(folder.glob("*/*/records-*.jsonl"))
    if not found:
        if job.may_refuse and done.returncode in (3, 4) and not served.read(folder / "served.jsonl"):
            return 1, [], coverage.Book()
        return 0, [f"no run (exit {done.returncode}): {done.stderr.strip()[-300:]}"], coverage.Book()
    where = found[0].parent
    differ = check.check(where, runner)
    if job.scripted:
        log, lines = Log(where), served.read(folder / "served.jsonl")
        served.check(differ, log, lines)
        if job.rows:
            ids = {r["request_id"] for unit in log.units for r in unit.requests}
            rows = sent.rows_of(job.path.parent / job.rows)
            sent.check(differ, rows, lines, job.overrides + ["max_tokens"], ids.__contains__, job.output, job.headers)
        for stage, file in job.turns:
            sent.turns(differ, job.path.parent / file, lines, stage, job.headers)
    text = done.stdout + done.stderr
    for words in job.says:
        if not re.search(words, text):
            differ.wrong(f"nothing says {words!r}")
    for words in job.never:
        line = next((line for line in text.splitlines() if re.search(words, line)), None)
        if line:
            differ.wrong(f"says {line.strip()!r} (matches {words!r})")
    if job.exit is not None:
        differ("exit code of the process", done.returncode, job.exit)
    return differ.checked, differ.found, differ.book


def jobs():
    for path in sorted((ROOT / "scenarios").iterdir()):
        if path.suffix in (".yaml", ".toml") and not path.name.endswith(".test.yaml"):
            yield Job(f"scenario {path.name}", path, "", False)
    for path in sorted((HERE / "plans").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        yield Job(f"plan {path.stem}", path, text, "${port}" in text)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runner", required=True)
    arguments.add_argument("--long", action="store_true", help="a family of 120 plans instead of 24")
    arguments.add_argument("--seed", type=int, default=11, help="of the family of random plans")
    arguments.add_argument("--only", default="", help="runs whose name has this in it")
    arguments.add_argument("--keep", help="keep the runs in this folder")
    arguments.add_argument("--jobs", type=int, default=3, help="runs at a time")
    given = arguments.parse_args()
    runner = os.path.abspath(given.runner)
    with tempfile.TemporaryDirectory() as scratch:
        results = pathlib.Path(given.keep or scratch)
        results.mkdir(parents=True, exist_ok=True)
        todo = list(jobs())
        for rows in family.CHAT_ROWS:  # what a plan reads lies beside it
            shutil.copy(family.PLANS / rows, results)
        for number in range(120 if given.long else 24):
            text = family.plan(given.seed, number)
            path = results / f"family-{given.seed}-{number}.yaml"
            path.write_text(text, encoding="utf-8")
            todo.append(Job(f"family {given.seed} {number}", path, text, "${port}" in text))
        for number in range(24 if given.long else 6):
            flags = family.quick(given.seed, number)
            todo.append(Job(f"quick {given.seed} {number}", HERE, "", True, flags))
        todo = [job for job in todo if given.only in job.name]
        failed = figures = 0
        book = coverage.Book()
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            for job, (compared, found, leaves) in zip(todo, pool.map(lambda job: run(job, runner, results), todo)):
                failed += bool(found)
                figures += compared
                book.add(leaves)
                print(f"{'FAIL' if found else 'ok  '} {job.name}: {compared} figures, {len(found)} differences", flush=True)
                for line in found[:6]:
                    print(f"       {line[:400]}")
        # Of some runs only, many a figure has no run that shows it.
        unread = [] if given.only else [f"{name}: no check was given it" for name in book.missing()] + [f"{name}: left out for nothing" for name in book.needless()]
        print(f"{'FAIL' if unread else 'ok  '} coverage: {len(book.compared)} of {len(book.leaves)} keys of summary.json compared")
        for line in unread:
            print(f"       {line}")
        failed += bool(unread)
        todo.append("coverage")
        print(f"{figures} figures compared")
        print(f"{len(todo) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
