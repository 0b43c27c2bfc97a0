"""What ladders, ramps and searches found, from the figures of their levels.

Written from the schema's words on `saturation` and `searches` and from docs/statistics.md. A level fails where fewer
than 99 % of what was asked was answered, where the endpoint fell behind, or where a threshold failed; a generator at
its limit, a level that never came about and one that cannot be told count neither way. Along a ramp a higher level is
worth it where it brings 5 % more, and 10 % more for each doubling of the median (E2E or TTFT, whichever grows more).
The levels' own figures are recomputed elsewhere (figures.py, pace.py).
"""

import math
import re

from . import judged, metrics
from .log import was_stopped

NAMES = ("saturated_at", "signs", "sustainable", "best_requests_per_second", "best_interval", "best_at", "best_output_tokens_per_second", "errors_rise_at", "p99_rises_at", "recommended")


def check(differ, said, log):
    stages, settling, before = {}, {}, 0
    for entry, _ in zip(said["stages"], log.units):
        counts = entry["counts"]
        if entry.get("probe"):
            settling[id(entry)] = before
        before = counts["planned"] - counts["never_started"] if entry["kind"] == "settle" else 0
    for entry, unit in zip(said["stages"], log.units):
        key = entry["id"] + (f"[{entry['cell']}]" if entry.get("cell") else "")
        if entry["reported"] and entry["kind"] in ("qps_ladder", "concurrency_ramp"):
            stages.setdefault(("saturation", key), []).append((entry, unit))
        elif entry.get("probe"):
            stages.setdefault(("searches", key), []).append((entry, unit))
    for kind in ("saturation", "searches"):
        differ(f"stages of {kind}", sorted(said.get(kind) or {}), sorted(key for of, key in stages if of == kind))
    for (kind, key), pairs in stages.items():
        found = (said.get(kind) or {}).get(key)
        if found:
            if bool(apart(pairs)) != (found.get("withheld") == WHY_APART):
                differ.wrong(f"{kind} {key}: withheld for {found.get('withheld')!r}, and its levels met {apart(pairs) or 'one cache'}")
            if bool(no_text(pairs)) != (found.get("withheld") == WHY_NO_TEXT) and not apart(pairs):
                differ.wrong(f"{kind} {key}: withheld for {found.get('withheld')!r}, and of its levels had no text: {no_text(pairs)}")
            if kind == "saturation":
                ladder(differ, f"{kind} {key}", found, pairs)
            else:
                search(differ, f"{kind} {key}", found, pairs, settling)


class Level:
    def __init__(self, entry, unit):
        counts, load = entry["counts"], entry.get("load") or {}
        asked = counts["ok"] + counts["errors"] + counts["cancelled"] + counts["dropped_late"]
        self.complete = entry["state"] == "completed" and asked > 0
        # The plan's own end of a ladder: what it cut says something if it failed, what it left out nothing.
        self.stopped = was_stopped(unit)
        self.forgone = self.stopped and asked == 0
        self.level, self.rate, self.answers = entry["rung"], load.get("achieved_rate") or 0.0, max(1, counts["ok"])
        self.interval, self.tokens = load.get("achieved_interval"), entry["throughput"].get("output_tokens_per_second")
        latency = entry["metrics"].get("e2e_due") or entry["metrics"].get("e2e") or {}
        self.p50, self.p99 = latency.get("p50"), latency.get("p99")
        self.ttft = (entry["metrics"].get("ttft_due") or entry["metrics"].get("ttft") or {}).get("p50")
        scheduled, told = load.get("target_rate") is not None, load.get("keeping_up")
        failed = [t for t in entry["thresholds"] if not t["pass"] and t["level"] == "fail"]
        # A check without data says nothing of the level, for or against it.
        untold = [t for t in failed if t.get("actual") is None or t.get("limit") is None or t["reason"].startswith("too little data")]
        failing = len(failed) > len(untold)
        signs = [("errors", counts["ok"] / max(1, asked) < 0.99), ("throughput", told == "fell_behind"), ("threshold", failing)]
        self.signs = [name for name, holds in signs if holds]
        self.limited, self.needed = load.get("generator_limited"), None if untold else load.get("needed_s")
        self.missed = not scheduled and metrics.peak(unit.requests) < (unit.start.get("concurrency") or 0)
        unclear = told == "unclear" or not scheduled and self.interval is None or bool(untold)
        self.unclear = unclear and not self.signs and not self.limited and not self.missed


WHY_APART = "its levels met different caches"
WHY_NO_TEXT = "answers had no text"


def no_text(pairs):
    """(level, answers without text, answers) of the first level where they are more than 1 % of them."""
    for entry, unit in pairs:
        answered = [r for r in unit.requests if r["outcome"] == "ok"]
        empty = len([r for r in answered if "no_text" in (r.get("flags") or [])])
        if empty > 0.01 * len(answered):
            return entry["rung"], empty, len(answered)
    return None


def apart(pairs):
    """(level, share) of the level that met least of its prompts in the cache and of the one that met most, where they are more than 10 points apart."""
    shares = []
    for entry, _ in pairs:
        cache = entry["cache"]
        if entry["counts"]["ok"] and cache["verdict"] != "unknown" and cache.get("cached_tokens") is not None and cache.get("prompt_tokens"):
            shares.append((entry["rung"], cache["cached_tokens"] / cache["prompt_tokens"]))
    least, most = (pick(shares, key=lambda it: it[1], default=(0, 0)) for pick in (min, max))
    return (least, most) if most[1] - least[1] > 0.1 else None


def ladder(differ, where, said, pairs):
    levels = [Level(*pair) for pair in pairs]
    left_out = [it for it in levels if it.forgone]
    incomplete = len([it for it in levels if it.complete]) + len(left_out) < len(levels)
    run = sorted((it for it in levels if it.complete and (it.signs or not it.stopped)), key=lambda it: it.level)
    for name, of in (("generator_limited", "limited"), ("not_reached", "missed")):
        differ(f"{where}: {name}", sorted(said.get(name) or []), [it.level for it in run if getattr(it, of)])
    differ(f"{where}: incomplete", said.get("incomplete", False), incomplete)
    judged = [it for it in run if not (it.limited or it.missed or it.unclear)]
    right, unclear = dict.fromkeys(NAMES), [it.level for it in run if it.unclear]
    if not said.get("incomplete") and not said.get("withheld") and any(it.rate > 0 for it in judged):
        right, more = figures_of(judged, pairs[0][0]["kind"] == "concurrency_ramp")
        unclear = sorted(unclear + more)
    differ(f"{where}: axis", said["axis"], "rate" if pairs[0][0]["kind"] == "qps_ladder" else "concurrency")
    if not said.get("withheld"):
        differ(f"{where}: unclear", said.get("unclear") or [], unclear)
        needed = [it.needed for it in run if it.unclear]
        differ(f"{where}: needed_s", said.get("needed_s"), None if None in needed else max(needed, default=None))
    differ(where, {name: said.get(name) for name in NAMES}, {**right, "signs": right["signs"] or []}, 1e-6)


def figures_of(judged, ramp):
    best, interval, at = most(judged)
    if any(it.level == at and it.stopped for it in judged):
        best, interval, at = None, None, None
    bad = next((n for n, it in enumerate(judged) if it.signs), None)
    held, more = judged[:bad], []
    if not ramp and interval and any("throughput" in it.signs for it in judged):
        # A level within what was measured at best may hold by chance.
        more = [it.level for it in held if it.level > interval[0]]
        held = [it for it in held if it.level <= interval[0]]
    knee = next((it for it in held if not any(worth_it(it, up) for up in judged)), None) if ramp else None
    flat = knee if knee and judged[-1].level > knee.level else None
    hold = knee or (held[-1] if held else None)
    limit = flat.level if flat else judged[bad].level if bad is not None else None
    base = next((it.p99 for it in judged if it.p99 is not None), None)
    tokens = [it.tokens for it in judged if it.tokens is not None]
    return {
        "saturated_at": limit,
        "signs": ["flat"] if flat else judged[bad].signs if bad is not None else [],
        "sustainable": hold.level if hold else None,
        "best_requests_per_second": best,
        "best_interval": list(interval) if interval else None,
        "best_at": at,
        "best_output_tokens_per_second": max(tokens, default=None),
        "errors_rise_at": next((it.level for it in judged if "errors" in it.signs), None),
        "p99_rises_at": next((it.level for it in judged if base is not None and it.p99 is not None and it.p99 > 3 * base), None),
        "recommended": [0.7 * hold.level, 0.8 * hold.level] if hold and limit is not None else None,
    }, more


def most(judged):
    """The most that was answered: the mean over levels that can't be told from the highest, each by its
    answers, and its interval."""
    top = max(judged, key=lambda it: it.rate)
    half = lambda it: it.interval[1] - it.rate
    busy = max((it for it in judged if it.interval), key=lambda it: it.rate, default=None)
    if not busy or busy.interval[1] < 0.95 * top.rate:
        return top.rate, None, top.level
    # What was kept up with answers what came: within 5 % it is no more than the endpoint can.
    top = busy
    alike = [it for it in judged if it.interval and top.rate - it.rate <= 1.5 * math.hypot(half(it), half(top))]
    answers = math.fsum(it.answers for it in alike)
    best = math.fsum(it.answers * it.rate for it in alike) / answers
    width = math.sqrt(math.fsum((it.answers * half(it)) ** 2 for it in alike)) / answers
    return best, (best - width, best + width), alike[0].level


def worth_it(low, high):
    if high.level <= low.level or not low.rate:
        return False
    growth = [b / a for a, b in ((low.p50, high.p50), (low.ttft, high.ttft)) if a and b]
    gain = high.rate / low.rate
    return gain >= 1.05 and gain - 1 >= 0.1 * math.log2(max(growth, default=1.0))


MIN_SUCCESS, FREEDOM, POINTS = 0.99, 9, 20_001


class Probe:
    """What a probe showed, from its figures and checks."""

    def __init__(self, entry, unit):
        counts, load = entry["counts"], entry.get("load") or {}
        self.entry, self.level, self.load = entry, entry["rung"], load
        ended = counts["ok"] + counts["errors"] + counts["cancelled"] + counts["dropped_late"]
        self.requests = counts["planned"] - counts["never_started"]
        checks = entry["probe"].get("checks") or []
        failed = [t for t in checks if not t["pass"]]
        unsure = [t for t in failed if t.get("actual") is None or t.get("limit") is None or t["reason"].startswith("too little data")]
        speaks = any(t["check"].startswith(("error_rate", "success_rate")) for t in checks)
        sent = len([r for r in unit.requests if r.get("sent_ns") is not None])
        reached = self.reached = sent if load.get("pauses") else metrics.peak(unit.requests)
        missed = load.get("target_rate") is None and reached < (unit.start.get("concurrency") or 0)
        stopped = entry["state"] != "completed"
        self.unclear = stopped and not (unit.end or {}).get("aborted") or load.get("generator_limited") or missed or bool(counts["ok"] and unsure)
        silent = not ended + counts["lost_in_flight"]
        self.unclear = self.unclear or silent
        against = stopped and bool((unit.end or {}).get("aborted")) or not counts["ok"] and not silent or len(failed) > len(unsure)
        against = against or counts["ok"] / max(1, ended) < MIN_SUCCESS and not speaks
        self.by_checks = "inconclusive" if self.unclear else "fail" if against else "pass"
        self.behind = self.by_checks != "inconclusive" and load.get("keeping_up") == "fell_behind" and bool(load.get("backlog"))
        self.growth = load.get("backlog") if self.by_checks != "inconclusive" else None
        self.verdict = self.by_checks
        if self.behind:
            self.verdict = "fail"
        elif self.verdict == "pass" and load.get("keeping_up") == "unclear":
            self.verdict = "inconclusive"


def search(differ, where, said, pairs, settling):
    last = pairs[-1][0]
    every = [Probe(*pair) for pair in pairs]
    for number, it in enumerate(every):
        told, line = it.entry["probe"], pairs[number][1].load["search"]
        probe = f"{where}: probe {number}"
        differ(f"{probe} as begun", dict(told["search"]), line)
        differ(f"{probe} by_checks", told["by_checks"], it.by_checks)
        differ(f"{probe} verdict", told["verdict"], it.verdict)
        reasons(differ, probe, told.get("reasons") or [], it)
    sent = [it.requests + settling.get(id(it.entry), 0) for it in every]
    differ(f"{where}: probes", said["probes"], len([n for n in sent if n]))
    differ(f"{where}: requests", said["requests"], sum(sent))
    # What was cut short says nothing of its level.
    probes = [it for it in every if it.entry["state"] == "completed"]
    line = last["probe"]["search"]
    differ(f"{where}: axis", said["axis"], "concurrency" if line["whole"] else "rate")
    judged.best(differ, last, said, where)
    if said.get("withheld"):
        return
    gate(differ, where, said, [it.entry for it in every])
    limit = limit_of(probes)
    highest, stop, has_failed, by_limit = bracket(probes, limit)
    # A rate is known to be kept up with where a probe at it, or at a higher one, says so; where the endpoint fell behind,
    # by all probes together.
    kept = max((it.level for it in probes if it.by_checks != "inconclusive" and not it.behind and it.load.get("keeping_up") != "unclear"), default=0)
    passed = [it.level for it in probes if it.by_checks == "pass" and not it.behind and it.level <= (highest or 0)]
    best = max((level for level in passed if by_limit or level <= kept), default=None)
    failed_at = stop if has_failed else None
    unclear_at = min([level for level in passed if not by_limit and level > kept] + ([stop] if stop is not None and not has_failed else []), default=None)
    differ(f"{where}: best", said.get("best"), best)
    differ(f"{where}: failed_at", said.get("failed_at"), failed_at)
    differ(f"{where}: unclear_at", said.get("unclear_at"), unclear_at)
    interval = (limit[1] if by_limit else between(probes, kept)) if stop is not None else None
    # A grid of 2,001 limits, as documented: told to a step of it.
    step = limit[2] if by_limit else 1e-9
    differ(f"{where}: interval", said.get("interval"), list(interval) if interval else None, step)
    ended(differ, where, said, line, probes, limit if by_limit else None)
    passing = [it for it in probes if it.level == best and it.by_checks == "pass"]
    at = passing[-1].entry if passing else {"throughput": {}}
    right = {"requests_per_second": (at.get("load") or {}).get("achieved_rate"), "output_tokens_per_second": at["throughput"].get("output_tokens_per_second")}
    right |= {"goodput": (at.get("goodput") or {}).get("per_second"), "goodput_share": (at.get("goodput") or {}).get("share")}
    differ(where, {key: said.get(key) for key in right}, right, 1e-6)
    advice = best is not None and failed_at is not None and said.get("reason") in ("converged", "spent", "wide")
    of = min(best, said["interval"][0]) if advice and said["reason"] == "wide" else best
    differ(f"{where}: recommended", said.get("recommended"), [0.7 * of, 0.8 * of] if advice else None, 1e-6)
    open_ = failed_at if failed_at is not None else unclear_at
    why = [it.entry["probe"]["reasons"][0] for it in every if it.level == open_ and it.entry["probe"].get("reasons")]
    differ(f"{where}: failed_because", said.get("failed_because"), why[-1] if why else None)


def reasons(differ, where, told, it):
    """Why it did not pass; the checks' own sentences are judged elsewhere."""
    checks = {f"{t['check']}: {t['reason']}" for t in it.entry["probe"].get("checks") or [] if not t["pass"]}
    counts = it.entry["counts"]
    ended_ = counts["ok"] + counts["errors"] + counts["cancelled"] + counts["dropped_late"]
    for text in told:
        differ.held(text)
        if answered := re.match(r"only ([\d.]+ %) of the requests", text):
            differ.shown(f"{where} answered", answered.group(1), counts["ok"] / ended_)
        elif grew := re.match(r"its backlog grew by ([\d.]+ %)", text):
            differ.shown(f"{where} backlog", grew.group(1), it.load["backlog"]["share"])
        elif step := re.match(r"too short to tell whether it keeps up: a step of ([\d.]+) s mostly would tell", text):
            differ(f"{where} needed", float(step.group(1)), it.load.get("needed_s"), 1e-9)
        elif under := re.match(r"at most (\d+) were under way at once, so the level was not reached", text):
            differ(f"{where} reached", int(under.group(1)), it.reached)
            differ(f"{where} below its level", it.reached < it.level, True)
        elif text not in checks and re.search(r"\d", text):
            differ.wrong(f"{where}: a reason that this reader does not know: {text!r}")
    differ(f"{where}: reasons where it did not pass", bool(told), it.verdict != "pass")


def limit_of(probes):
    """(median, 95 % interval, step of the documented grid) of the rate that is just kept up with; None before one fell behind."""
    grew = [it.growth for it in probes if it.growth]
    if not any(it.behind for it in probes):
        return None
    low, high = min(g["came_per_second"] for g in grew) / 4, max(g["came_per_second"] for g in grew) * 4
    at = lambda point: low * (high / low) ** (point / (POINTS - 1))
    logs = []
    for point in range(POINTS):
        away = [(max(0, g["share"]) - max(0, 1 - at(point) / g["came_per_second"])) / g["error"] for g in grew]
        logs.append(-(FREEDOM + 1) / 2 * math.fsum(math.log1p(a * a / FREEDOM) for a in away))
    weights = [math.exp(log - max(logs)) for log in logs]
    whole, so_far, places = math.fsum(weights), 0.0, []
    for point, weight in enumerate(weights):
        so_far += weight
        while len(places) < 3 and so_far >= (0.025, 0.5, 0.975)[len(places)] * whole:
            places.append(at(point))
    return places[1], (places[0], places[2]), math.log(high / low) / 2000 * 1.1


def bracket(probes, limit):
    """(highest that passes, the level that stops it, whether that failed, and whether by what is kept up with)."""
    best = None
    for level in sorted({it.level for it in probes}):
        here = [it for it in probes if it.level == level]
        behind = len([it for it in here if it.behind])
        passes, fails, unclear = (len([it for it in here if it.by_checks == word and not it.behind]) for word in ("pass", "fail", "inconclusive"))
        beyond = limit is not None and level > limit[0]
        if beyond and behind + fails:
            return best, level, True, True
        if not beyond and passes > fails:
            best = level
        elif fails or unclear:
            return best, level, fails + behind > passes, False
    return best, None, False, False


def between(probes, kept):
    """From the highest level below all failures to the lowest above all passes."""
    passes = [it.level for it in probes if it.by_checks == "pass" and not it.behind and it.level <= kept]
    fails = [it.level for it in probes if it.by_checks == "fail" or it.behind]
    low = max((level for level in passes if fails and level < min(fails)), default=None)
    high = min((level for level in fails if passes and level > max(passes)), default=None)
    return (low, high) if low is not None and high is not None else None


def ended(differ, where, said, line, probes, limit):
    """Its reason is so, and the step that it asks for follows from it."""
    best, failed_at, reason = said.get("best"), said.get("failed_at"), said.get("reason")
    tolerance, spent = line["tolerance"], len(probes) >= line["max_probes"] or line.get("max_requests") is not None and said["requests"] >= line["max_requests"]
    width = limit[1][1] / limit[1][0] - 1 if limit else None
    narrow = None not in (best, failed_at) and (failed_at <= best * (1 + tolerance) * 1.001 or line["whole"] and failed_at - best <= 1)
    so = {
        None: True,
        "all_fail": best is None and failed_at is not None,
        "all_pass": best is not None and failed_at is None and best >= (line.get("to") or 0),
        "inconclusive": failed_at is None or any(it.verdict == "inconclusive" for it in probes),
        "spent": spent,
        "converged": width <= tolerance + limit[2] if limit else narrow,
        "wide": limit is not None and width > tolerance - limit[2],
        "unclear": any(it.load.get("keeping_up") == "unclear" for it in probes),
    }
    differ(f"{where}: ended as {reason}", so[reason], True)
    differ.held(reason)
    needed = None
    if reason == "unclear":
        lengths = [it.load.get("needed_s") for it in probes if it.load.get("keeping_up") == "unclear"]
        needed = None if None in lengths else max(lengths)
    elif reason == "wide":
        step = probes[-1].entry["counts"]["planned"] / probes[-1].load["target_rate"]
        needed = 1.7 * step * (width / tolerance) ** 2
    if needed is None or said.get("needed_s") is None:
        differ(f"{where}: needed_s", said.get("needed_s"), needed)
    else:
        differ(f"{where}: needed_s", said["needed_s"], needed, 0.12)  # two digits, not below, of an interval told to a step


def gate(differ, where, said, entries):
    """The search's own check: what cannot be told does not hold."""
    least = entries[-1]["probe"]["search"].get("at_least")
    checks = [check for entry in entries for check in entry["thresholds"] if check["check"].startswith("best >= ")]
    differ(f"{where}: its check", len(checks), 0 if least is None else 1)
    if least is None or not checks:
        return
    best, interval = said.get("best"), said.get("interval")
    known = best is not None and best >= least
    if said["reason"] != "converged" and interval:
        known = known and interval[0] >= least
    differ(f"{where}: its check holds", checks[0]["pass"] and checks[0].get("judged", True), known and said["reason"] is not None)
