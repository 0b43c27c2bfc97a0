"""What ladders, ramps and searches found, from the figures of their levels.

Written from the schema's words on `saturation` and `searches` and from docs/statistics.md. A level fails where fewer
than 99 % of what was asked was answered, where the endpoint fell behind, or where a threshold failed; a generator at
its limit, a level that never came about and one that cannot be told count neither way. Along a ramp a higher level is
worth it where it brings 5 % more, and 10 % more for each doubling of the median (E2E or TTFT, whichever grows more).
The levels' own figures are recomputed elsewhere (figures.py, pace.py).
"""

import math

from . import claims

NAMES = ("saturated_at", "signs", "sustainable", "best_requests_per_second", "best_interval", "best_at", "best_output_tokens_per_second", "errors_rise_at", "p99_rises_at", "recommended")


def check(differ, said, log):
    stages = {}
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
            (ladder if kind == "saturation" else search)(differ, f"{kind} {key}", found, pairs)


class Level:
    def __init__(self, entry, unit):
        counts, load = entry["counts"], entry.get("load") or {}
        asked = counts["ok"] + counts["errors"] + counts["cancelled"] + counts["dropped_late"]
        self.complete = entry["state"] == "completed" and asked > 0
        self.level, self.rate = entry["rung"], load.get("achieved_rate") or 0.0
        self.interval, self.tokens = load.get("achieved_interval"), entry["throughput"].get("output_tokens_per_second")
        latency = entry["metrics"].get("e2e_due") or entry["metrics"].get("e2e") or {}
        self.p50, self.p99 = latency.get("p50"), latency.get("p99")
        self.ttft = (entry["metrics"].get("ttft") or {}).get("p50")
        scheduled, told = load.get("target_rate") is not None, load.get("keeping_up")
        failing = [t for t in entry["thresholds"] if not t["pass"] and t["level"] == "fail"]
        signs = [("errors", counts["ok"] / max(1, asked) < 0.99), ("throughput", told == "fell_behind"), ("threshold", bool(failing))]
        self.signs = [name for name, holds in signs if holds]
        self.limited = load.get("generator_limited")
        self.missed = not scheduled and claims.peak(unit.requests) < (unit.start.get("concurrency") or 0)
        unclear = told == "unclear" or not scheduled and self.interval is None
        self.unclear = unclear and not self.signs and not self.limited and not self.missed


def ladder(differ, where, said, pairs):
    levels = [Level(*pair) for pair in pairs]
    run = sorted((it for it in levels if it.complete), key=lambda it: it.level)
    for name, of in (("generator_limited", "limited"), ("not_reached", "missed")):
        differ(f"{where}: {name}", sorted(said.get(name) or []), [it.level for it in run if getattr(it, of)])
    differ(f"{where}: incomplete", said.get("incomplete", False), len(run) < len(levels))
    judged = [it for it in run if not (it.limited or it.missed or it.unclear)]
    right, unclear = dict.fromkeys(NAMES), [it.level for it in run if it.unclear]
    if not said.get("incomplete") and not said.get("withheld") and any(it.rate > 0 for it in judged):
        right, more = figures_of(judged, pairs[0][0]["kind"] == "concurrency_ramp")
        unclear = sorted(unclear + more)
    if not said.get("withheld"):
        differ(f"{where}: unclear", said.get("unclear") or [], unclear)
    differ(where, {name: said.get(name) for name in NAMES}, {**right, "signs": right["signs"] or []}, 1e-6)


def figures_of(judged, ramp):
    best, interval, at = most(judged)
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
    """The most that was answered: the mean over levels that can't be told from the highest, and its interval."""
    top = max(judged, key=lambda it: it.rate)
    if not top.interval:
        return top.rate, None, top.level
    half = lambda it: it.interval[1] - it.rate
    alike = [it for it in judged if it.interval and top.rate - it.rate <= math.hypot(half(it), half(top))]
    best = math.fsum(it.rate for it in alike) / len(alike)
    width = math.sqrt(math.fsum(half(it) ** 2 for it in alike)) / len(alike)
    return best, (best - width, best + width), alike[0].level


def worth_it(low, high):
    if high.level <= low.level or not low.rate:
        return False
    growth = [b / a for a, b in ((low.p50, high.p50), (low.ttft, high.ttft)) if a and b]
    gain = high.rate / low.rate
    return gain >= 1.05 and gain - 1 >= 0.1 * math.log2(max(growth, default=1.0))


def search(differ, where, said, pairs):
    sent = lambda entry: entry["counts"]["planned"] > entry["counts"]["never_started"]
    differ(f"{where}: probes", said["probes"], len([entry for entry, _ in pairs if sent(entry)]))
    if said.get("withheld"):
        return
    probes = [entry for entry, _ in pairs if entry["state"] == "completed"]
    by_checks = lambda entry: entry["probe"]["by_checks"]
    keeping = lambda entry: (entry.get("load") or {}).get("keeping_up")
    behind = lambda entry: keeping(entry) == "fell_behind" and by_checks(entry) != "inconclusive"
    best, failed, unclear = said.get("best"), said.get("failed_at"), said.get("unclear_at")
    at = lambda level: [entry for entry in probes if entry["rung"] == level]
    # A rate is known to be kept up with where a probe at it, or at a higher one, says so; where the endpoint fell behind,
    # by all probes together, as `interval` says.
    joint = any(map(behind, probes)) and said["reason"] in ("converged", "wide", "spent", None)
    kept = [entry["rung"] for entry in probes if by_checks(entry) != "inconclusive" and keeping(entry) in (None, "kept_up")]
    if best is not None:
        passing = [entry for entry in at(best) if by_checks(entry) == "pass" and not behind(entry)]
        differ(f"{where}: a probe passed at best", bool(passing), True)
        differ(f"{where}: best lies below failed_at", failed is None or best < failed, True)
        differ(f"{where}: best was kept up with", joint or max(kept, default=0) >= best, True)
        if passing:
            last = [entry for entry in at(best) if by_checks(entry) == "pass"][-1]
            differ(f"{where}: requests_per_second", said["requests_per_second"], (last.get("load") or {}).get("achieved_rate"), 1e-6)
            differ(f"{where}: output_tokens_per_second", said["output_tokens_per_second"], last["throughput"].get("output_tokens_per_second"), 1e-6)
    else:
        differ(f"{where}: requests_per_second", said.get("requests_per_second"), None)
    if failed is not None:
        differ(f"{where}: a probe failed at failed_at", any(by_checks(entry) == "fail" or behind(entry) for entry in at(failed)), True)
    if unclear is not None:
        differ(f"{where}: a probe was made at unclear_at", bool(at(unclear)), True)
        differ(f"{where}: unclear_at was kept up with", by_checks(at(unclear)[-1]) == "pass" and max(kept, default=0) >= unclear, False)
    if said.get("recommended"):
        of = min(best, said["interval"][0]) if said["reason"] == "wide" else best
        differ(f"{where}: recommended", said["recommended"], [0.7 * of, 0.8 * of], 1e-6)
        differ(f"{where}: advice has a limit above it", failed is not None, True)
    gate(differ, where, said, [entry for entry, _ in pairs])


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
