"""Judges every threshold again, from the records.

Rules learned from the code: a stage that a check names is found by its id, then by cell, then by rung;
`over` slides in tenths of its length over the stage, both ends of a stretch belong to it, and a sample
belongs to the moment at which its request was over; shares of a stretch are of what was answered or failed.
"""

import re

from . import figures, metrics, stages, stats
from .log import failed, ok, was_stopped


def is_late(of, unit, since=None):
    """Whether a latency counts from due: where the check, or else its stage or the figure itself, says so."""
    name = of["metric"]
    if unit is None or metrics.from_due(name) == name:
        return False
    found = metrics.samples(unit.requests)
    sent, due = (value_of(of.get("aggregate"), found.get(n, [])) for n in (name, metrics.from_due(name)))
    stage = metrics.times_from(unit) == "due" or (sent is not None and due is not None and metrics.differs(sent, due))
    return since == "due" or (since is None and stage)


def basis(threshold, unit, owner, log):
    """Where both sides of a check count from: one of them from due means both, as far as both have due times."""
    since, times = threshold.get("from"), threshold["right"].get("times")
    if since or not times:
        return since
    base = resolve(times["of"].get("stage"), unit, log.units)
    sides = [(threshold["left"], owner), (times["of"], base)]
    if base is None or len({is_late(of, whose) for of, whose in sides}) == 1:
        return None
    return "due" if all(figure(of, whose, log, "due")[0] is not None for of, whose in sides) else "sent"


def value_of(aggregate, values):
    if aggregate == "count":
        return float(len(values))
    if not values:
        return None
    if isinstance(aggregate, dict):
        return stats.percentile(values, aggregate["percentile"])
    return {"mean": stats.mean, "std": stats.std, "min": min, "max": max}[aggregate](values)


def resolve(name, unit, units):
    """The unit that a reference means."""
    if not name or name == unit.key[0]:
        return unit
    before = [u for u in units[: units.index(unit)] if u.key[0] == name]
    if len(before) == 1:
        return before[0]
    in_cell = [u for u in before if u.key[1] == unit.key[1]]
    if len(in_cell) == 1:
        return in_cell[0]
    return next((u for u in in_cell if u.key[2] == unit.key[2]), None)


def figure(of, unit, log, since=None):
    """The number that a reference means, and the samples behind it; latencies count from due where the stage's
    do, or the figure itself says something else from there, unless the check says since when."""
    name, aggregate = of["metric"], of.get("aggregate")
    if metrics.from_due(name) != name:
        if is_late(of, unit, since):
            name = metrics.from_due(name)
    if name in metrics.PER_REQUEST or name in ("itl", "schedule_lag"):
        values = metrics.samples(unit.requests).get(name, [])
        return value_of(aggregate, values), len(values)
    counts = figures.counted(unit)
    finished = counts["ok"] + counts["errors"]
    seconds = (log.end_ns(unit) - unit.from_ns) / 1e9
    rate = figures.over_rounds(unit) if unit.load else None
    seconds = counts["ok"] / rate if rate else seconds
    through = figures.throughput(unit.requests, seconds, counts["planned"])
    if name in ("goodput", "goodput_share"):
        found = figures.goodput(unit, counts, through) or {}
        per_second = name == "goodput"
        return found.get("per_second" if per_second else "share"), finished if per_second else counts["planned"]
    if name == "success_rate":
        return figures.rate(counts["ok"], finished), finished
    if name == "error_rate":
        return figures.rate(counts["errors"], finished), finished
    takes = {"output_tokens_per_second": metrics.output_tokens, "input_tokens_per_second": metrics.input_tokens}
    if name in takes:
        return through[name], len([r for r in ok(unit.requests) if takes[name](r) is not None])
    if name in through:
        return through[name], finished
    if name == "cached_share":
        pairs = metrics.cached_pairs(unit.requests)
        return figures.rate(sum(c for c, _ in pairs), sum(p for _, p in pairs)), len(pairs)
    if name == "cache_hit_rate":
        told = [r["cache"] for r in ok(unit.requests) if r["cache"] != "unknown"]
        return figures.rate(len([c for c in told if c != "cold"]), len(told)), len(told)
    raise KeyError(name)


def worst_stretch(threshold, unit, log):
    """The worst figure of any stretch of `over_ms`."""
    name, aggregate = threshold["left"]["metric"], threshold["left"].get("aggregate")
    name = name if threshold.get("from") == "sent" else metrics.from_due(name)
    samples = []
    for r in unit.requests:
        at = r["end_ns"] if r.get("end_ns") is not None else r.get("due_ns")
        if name in ("error_rate", "success_rate"):
            if r["outcome"] in ("ok",) + tuple(failed([r]) and (r["outcome"],)):
                samples.append((at, float((r["outcome"] == "ok") == (name == "success_rate"))))
        elif r["outcome"] == "ok" and name == "itl":
            samples += [(at, gap) for gap in metrics.itl(r)]
        elif r["outcome"] == "ok" and metrics.PER_REQUEST.get(name, lambda _: None)(r) is not None:
            samples.append((at, metrics.PER_REQUEST[name](r)))
    samples.sort()
    over, begin = threshold["over_ms"] * 1_000_000, unit.from_ns
    last = max(begin, log.end_ns(unit) - over)
    found = []
    while True:
        held = [v for at, v in samples if begin <= at <= begin + over]
        if len(held) >= max(1, threshold["min_samples"]):
            found.append(stats.mean(held) if aggregate is None else value_of(aggregate, held))
        if begin >= last:
            break
        begin = min(last, begin + over // 10)
    if not found:
        return None
    return max(found) if threshold["op"] in ("<", "<=") else min(found)


def check(differ, where, told, threshold, unit, log, entry):
    """One result of summary.json against its threshold."""
    where, left = f"{where}: check `{threshold['check']}`", threshold["left"]
    place = threshold["location"]
    differ(f"{where} as written", [told["check"], told["level"], told["location"]], [threshold["check"], threshold["level"], f"{place['file']}:{place['line']}:{place['column']}"])
    differ(f"{where} unit", told["unit"], stages.unit_of(left["metric"], left.get("aggregate")))
    if not unit.end or unit.end["state"] != "completed":
        # Of a stage that was cut short only what failed is judged; of one whose requests never ended, nothing.
        ended = len(ok(unit.requests)) + len(failed(unit.requests))
        if told["pass"] or not ended:
            differ(f"{where} judged", told.get("judged", True), False)
            differ.held(told["reason"])
        if not ended:
            return
    elif was_stopped(unit) and not any(r.get("sent_ns") is not None for r in unit.requests) and unit.planned:
        differ(f"{where} judged", told.get("judged", True), False)
        return
    right = threshold["right"]
    if "cache" in right:
        owner = resolve(threshold["left"].get("stage"), unit, log.units)
        if owner is unit and not entry["cache"].get("by_counters"):
            verdict = figures.cache(entry["cache"], unit)[1]["verdict"]
            differ(f"{where} actual", told.get("actual"), verdict)
            differ(f"{where} limit", told.get("limit"), right["cache"])
            share = entry["cache"].get("cached_tokens"), entry["cache"].get("prompt_tokens")
            reason(differ, where, told, [share[0] / share[1] if None not in share and share[1] else None])
            if told["pass"] and verdict != right["cache"] and not threshold["implicit"] and not threshold.get("allow_no_data"):
                differ.wrong(f"{where}: passes, though the cache was {verdict}")
        return
    owner = resolve(threshold["left"].get("stage"), unit, log.units)
    if owner is None:
        differ(f"{where} pass", told["pass"], bool(threshold.get("allow_no_data")))
        return
    origin = basis(threshold, unit, owner, log)
    actual, samples = figure(threshold["left"], owner, log, origin)
    if threshold.get("over_ms") is not None:
        actual = worst_stretch(threshold, owner, log)
    if told.get("actual") is None and actual is not None and "no data" in told["reason"]:
        # It says why the figure cannot be told: such a check may only fail.
        differ.held(told["reason"])
        differ(f"{where} pass without data", told["pass"], bool(threshold.get("allow_no_data")))
        return
    differ(f"{where} actual", told.get("actual"), actual, 1e-6)
    limit = None
    if "value" in right:
        limit = right["value"]
    elif "times" in right:
        base = resolve(right["times"]["of"].get("stage"), unit, log.units)
        base = figure(right["times"]["of"], base, log, origin)[0] if base else None
        limit = right["times"]["factor"] * base if base is not None else None
    elif "baseline" in right:
        same = [v["value"] for v in right["baseline"]["values"] if v.get("cell") == owner.key[1] and v.get("rung") == owner.key[2]]
        limit = same[0] * (1 + right["baseline"]["share"]) if same else None
    if actual is not None:
        differ(f"{where} limit", told.get("limit"), limit, 1e-6)
        if threshold.get("over_ms") is None:
            differ(f"{where} samples", told["samples"], samples)
        reason(differ, where, told, [actual, limit])
    if actual is None or limit is None:
        differ.held(told["reason"])
        differ(f"{where} pass without data", told["pass"], bool(threshold.get("allow_no_data")))
        return
    enough = threshold.get("over_ms") is not None or samples >= threshold["min_samples"]
    holds = figures.OPS[threshold["op"]](actual, limit)
    differ(f"{where} pass", told["pass"], enough and holds)


def reason(differ, where, told, right):
    """The figures of the sentence: `47.4 ms < 200 ms = 0.5 × cold.ttft.p50 (400 ms); 6 samples`."""
    differ.held(told["reason"])
    sentence = re.match(r"(?:[a-z]+: )?([^;=<>]+?)(?: of the prompt .*?| of re.*?)?(?: (?:<=|>=|==|<|>) ([^;=]+?))?(?: = [^;]*?)?(?:; (\d[\d,]*) .*)?$", told["reason"])
    if not sentence or not told["reason"][:1].isdigit() and "tokens came from" not in told["reason"]:
        return
    for text, value in zip(sentence.groups()[:2], right):
        if text is not None and value is not None:
            differ.shown(f"{where} reason", text, value)
    if sentence.group(3) and told.get("actual") is not None and told["unit"] != "verdict":
        differ(f"{where} reason: samples", int(sentence.group(3).replace(",", "")), told["samples"])


def best(differ, entry, found, where):
    """The check that a search brings along."""
    search = entry["probe"]["search"]
    told = next((t for t in entry["thresholds"] if t["check"].startswith("best >= ")), None)
    least = search.get("at_least")
    differ(f"{where}: `best` is checked", told is not None, least is not None)
    if told is None:
        return
    value = found.get("best")
    right = {"check": f"best >= {least:g}", "level": "fail", "actual": value, "limit": least, "unit": "at a time" if search["whole"] else "requests/s", "samples": found["probes"], "location": search["location"]}
    differ(f"{where}: check of best", {key: told.get(key) for key in right}, right)
    reason(differ, f"{where}: check of best", dict(told, reason=told["reason"]), [value, least])
    if found.get("withheld"):
        # Of the run it is not made; of levels that can't be held against each other it has no data, and fails.
        apart = found["withheld"] in ("its levels met different caches", "answers had no text")
        differ(f"{where}: check of best, withheld", (told["pass"], told.get("judged", True)), (not apart, apart))
        differ(f"{where}: check of best says why", found["withheld"] in told["reason"], True)


def unit(differ, entry, unit_, log):
    """All results of one entry, in the order of its thresholds."""
    told = list(entry["thresholds"]) + list((entry.get("probe") or {}).get("checks") or [])
    for threshold in unit_.start.get("thresholds") or []:
        same = [t for t in told if t["check"] == threshold["check"] and t["location"].endswith(f":{threshold['location']['line']}:{threshold['location']['column']}")]
        same = same or [t for t in told if t["check"] == threshold["check"]]
        if not same:
            if not threshold.get("where") and unit_.end and unit_.end["state"] == "completed":
                differ.wrong(f"{unit_.name()}: check `{threshold['check']}` was not judged")
            continue
        if "is of" in same[0]["reason"] or (threshold.get("where") and "no rung has" in same[0]["reason"]):
            continue
        check(differ, unit_.name(), same[0], threshold, unit_, log, entry)


def nothing(entry):
    """Whether a stage that was to measure, and was neither ended nor left out by `stop_when`, has no answer."""
    counts = entry["counts"]
    if entry["counts"]["ok"] or not entry["reported"] or entry.get("probe") or entry["kind"] in ("flush", "pause"):
        return False
    return not (counts["planned"] and counts["never_started"] == counts["planned"]) and not (entry.get("reason") and counts["errors"])


def exit_code(said, log):
    """The exit code from the states and results; None where the log cannot tell."""
    run = said["run"]
    if run["state"] == "interrupted":
        return None
    complete = run["state"] == "finished" and all(s["state"] == "completed" and not nothing(s) for s in said["stages"])
    if not run["valid"] or not complete:
        return 5
    fails = [t for s in said["stages"] for t in s["thresholds"] if not t["pass"] and t["level"] == "fail"]
    return 10 if fails else 0
