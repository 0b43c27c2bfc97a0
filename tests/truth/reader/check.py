"""`python3 -m reader.check --runner RUNNER RUN...`: compares what each run says with what its records show."""

import argparse
import json
import pathlib
import subprocess
import sys

from . import capacity, charts, claims, coverage, exports, figures, judged, pages, server, stages, words
from .differ import Differences
from .log import Log


def report(runner, folder, *flags):
    done = subprocess.run([runner, "report", str(folder), "--color", "never", *flags], capture_output=True, text=True, check=False)
    return done.stdout


def check(folder, runner):
    """All differences of one run."""
    folder = pathlib.Path(folder)
    log, differ, ids = Log(folder), Differences(), set()
    said = coverage.tracked(json.loads((folder / "summary.json").read_text(encoding="utf-8")), differ.book)
    differ("entries of summary.json", len(said["stages"]), len(log.units))
    for entry, unit in zip(said["stages"], log.units):
        place = (entry["id"], entry.get("cell"), entry.get("rung"))
        differ("order of stages", place, unit.key[:3])
        figures.unit(differ, entry, unit, log, ids)
        stages.unit(differ, entry, unit, log)
        judged.unit(differ, entry, unit, log)
        server.unit(differ, entry.get("server"), unit, log)
    stages.run(differ, said, log)
    capacity.check(differ, said, log)
    code = judged.exit_code(said, log)
    if code is not None:
        differ("exit code", said["verdict"]["exit_code"], code)
    pages.summary_csv(differ, folder, said)
    console, marked = report(runner, folder, "-v"), report(runner, folder, "--format", "markdown")
    pages.console(differ, console, said["stages"])
    pages.console(differ, report(runner, folder), said["stages"])
    words.console(differ, console, said)
    html = report(runner, folder, "--format", "html")
    page = pages.page(differ, html, said)
    charts.check(differ, html, said, log, pages.slug)
    exports.check(differ, log, folder, runner, said)
    pages.markdown(differ, marked, said)
    claims.check(differ, said, log, console, page, marked)
    return differ


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runner", required=True)
    arguments.add_argument("--all", action="store_true", help="show every difference")
    arguments.add_argument("folders", nargs="+")
    given = arguments.parse_args()
    failed = 0
    for folder in given.folders:
        differ = check(folder, given.runner)
        failed += bool(differ.found)
        print(f"{folder}: {differ.checked} figures, {len(differ.found)} differences")
        for line in differ.found[: None if given.all else 8]:
            print(f"    {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
