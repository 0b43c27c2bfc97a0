"""Reads records-*.jsonl: what happened, by unit (a stage, a rung of it, a probe of a search).

Nothing is computed here. A unit is what stands between a `stage_start` and its `stage_end`; a line
belongs to the unit of its stage, cell and rung that was begun last.
"""

import json
import pathlib


def was_stopped(unit):
    """Whether the plan's `stop_when` ended it, or kept it from beginning."""
    end = unit.end or {}
    return end.get("state") == "completed" and (end.get("reason") or "").startswith("stopped: ")


class Unit:
    """One stage, one rung of a ladder, or one probe of a search."""

    def __init__(self, start):
        self.start = start
        self.end = None
        self.requests = []  # `end` lines, in the order in which they were written
        self.begun = {}  # index -> `start` line
        self.unmade = []  # (first, count) of requests that were planned and never made
        self.rounds = []
        self.flush = None

    @property
    def key(self):
        """Stage, cell, rung, probe."""
        search = (self.start.get("load") or {}).get("search") or {}
        return (self.start["stage"], self.start.get("cell"), self.start.get("rung"), search.get("probe"))

    def never_started(self, first=0, planned=None):
        """Requests that never started: with a line of their own, or counted in one; of `planned` numbers from `first` on."""
        last = float("inf") if planned is None else first + planned
        alone = [r for r in self.requests if r["outcome"] == "never_started" and first <= r["index"] < last]
        return len(alone) + sum(max(0, min(last, at + count) - max(first, at)) for at, count in self.unmade)

    @property
    def load(self):
        return self.start.get("load")

    @property
    def is_search(self):
        return bool((self.load or {}).get("search"))

    @property
    def planned(self):
        """The stage's end knows best: answers or time may decide how many there are."""
        if self.end and self.end.get("planned") is not None:
            return self.end["planned"]
        return self.start["planned"]

    @property
    def from_ns(self):
        return self.start["at_ns"]

    def name(self):
        stage, cell, rung, probe = self.key
        name = stage + (f"@{rung:g}" if rung is not None else "") + (f"#{probe}" if probe is not None else "")
        return name + (f" [{cell}]" if cell else "")


class Log:
    """All units of a run, in the order in which they began, and the server's readings."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.units, self.server, self.run = [], [], None
        self.last_ns = 0
        now = {}
        for file in sorted(self.folder.glob("records-*.jsonl")):
            for text in file.read_text(encoding="utf-8").splitlines():
                try:
                    line = json.loads(text)
                except ValueError:
                    continue  # the torn last line of a run that was killed
                self._take(line, now)

    def path_of(self, unit):
        """The URL that the unit's requests went to, by the manifest; empty for the simulator."""
        manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        same = [e for e in manifest.get("endpoints") or [] if e["name"] == unit.start["endpoint"]]
        return (same[0].get("request_url") or "") if same else ""

    def _take(self, line, now):
        kind = line["type"]
        for stamp in ("at_ns", "end_ns", "sent_ns"):
            if line.get(stamp) is not None:
                self.last_ns = max(self.last_ns, line[stamp])
        place = (line.get("stage"), line.get("cell"), line.get("rung"))
        if kind == "run":
            self.run = line
        elif kind == "server":
            self.server.append(line)
        elif kind == "stage_start":
            now[place] = Unit(line)
            self.units.append(now[place])
        elif kind in ("flush", "round"):
            # They name no rung; the stage's unit that is open is theirs.
            unit = now[(line["stage"], line.get("cell"), None)]
            if kind == "flush":
                unit.flush = line
            else:
                unit.rounds.append(line)
        elif kind == "start":
            now[place].begun[line["index"]] = line
        elif kind == "end":
            now[place].requests.append(line)
        elif kind == "never_started":
            now[place].unmade.append((line["first"], line["count"]))
        elif kind == "stage_end" and place in now:
            now[place].end = line

    def end_ns(self, unit):
        """When the unit was over; the last thing known of the run where it never ended."""
        return unit.end["at_ns"] if unit.end else self.last_ns


def outcome(requests, word):
    return [r for r in requests if r["outcome"] == word]


def ok(requests):
    return outcome(requests, "ok")


FAILED = ("http", "timeout", "connect", "stream", "protocol")


def failed(requests):
    return [r for r in requests if r["outcome"] in FAILED]
