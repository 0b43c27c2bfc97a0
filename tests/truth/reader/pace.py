"""How many requests of a load were answered per second, and whether they were kept up with.

Written from docs/statistics.md ("Keeping up"): a schedule is cut into twelve slices, of which the last ten
are looked at; a closed loop counts from its users' first answers to its last request.
"""

import math

from . import metrics, stats
from .log import ok

SLICES, HEAD, MATERIAL, HARMLESS, LATENCIES, REQUESTS, MOST = 10, 2, 0.01, 0.05, 10, 30, 16_384
ONE_SIDED = 1.383  # Student's t of nine degrees of freedom, 10 % on one side


def of(unit, requests, planned=None, began=None):
    """The figures of `load` in summary.json that follow from when requests were due, sent and over."""
    nothing = {"achieved_rate": None}
    seen = [(r["index"], r.get("due_ns", r["sent_ns"]), r["sent_ns"], _over(r), r["outcome"] == "ok") for r in requests if r.get("sent_ns") is not None and _over(r) is not None]
    answers = len([s for s in seen if s[4]])
    if not answers:
        return nothing
    each = 1
    while len([s for s in seen if s[0] % each == 0]) > MOST:
        each *= 2
    kept = [s for s in seen if s[0] % each == 0]
    load = unit.load
    came = planned if planned is not None else unit.planned - unit.never_started()
    if load.get("target_rate") is None and load.get("arrival") is None:
        return _closed(requests, kept, each, answers, min(unit.start.get("concurrency") or 1, came))
    due = [r["due_ns"] for r in requests if r.get("due_ns") is not None]
    came = max(1, came)
    process = (load.get("arrival") or {}).get("process")
    even = process not in ("poisson", "gamma", "log") and (load.get("steady") or {}).get("climb_ms") is None
    whole = unit.end and unit.end["state"] == "completed" and not unit.end.get("reason")
    if load.get("target_rate") is not None and (came < 2 or even):
        start, seconds = min(due), came / load["target_rate"]
    elif load.get("duration_ms") is not None and (whole or began is not None):
        start, seconds = unit.from_ns if began is None else began, load["duration_ms"] / 1e3
    else:
        start, seconds = min(due), (max(due) - min(due)) / 1e9 * came / max(1, came - 1)
    if seconds <= 0:
        return nothing
    found = _judged(kept, each, start, seconds)
    if found["keeping_up"] != "fell_behind":
        if found["keeping_up"] == "unclear":
            last = (max(s[3] for s in seen if s[4]) - start) / 1e9
            seconds = max(seconds, min(last, seconds + stats.percentile([(s[3] - s[1]) / 1e9 for s in kept if s[4]], 90)))
        return {**found, "achieved_rate": answers / seconds, "achieved_interval": None}
    length = seconds / (SLICES + HEAD)
    rates = [each / length * n for n in _counts([s[3] for s in kept if s[4]], start, length)]
    return {**found, **_mean(rates)}


def _over(r):
    answered = metrics.answered_ns(r)
    return answered if answered is not None else r.get("end_ns")


def _edges(start, length):
    return [start + (HEAD + n) * length * 1e9 for n in range(SLICES + 1)]


def _counts(times, start, length):
    edges = _edges(start, length)
    return [len([t for t in times if low <= t < high]) for low, high in zip(edges, edges[1:])]


def _mean(rates):
    mean = stats.mean(rates)
    half = stats.student(SLICES - 1) * stats.std(rates) / math.sqrt(SLICES)
    return {"achieved_rate": mean, "achieved_interval": [max(0, mean - half), mean + half]}


def _judged(kept, each, start, seconds):
    length = seconds / (SLICES + HEAD)
    waits = [(due, (over - due) / 1e9) for _, due, _, over, _ in kept]
    latencies = LATENCIES * stats.percentile([w for _, w in waits], 50)
    many = len(kept) * each
    unclear = lambda growth, needed: {"keeping_up": "unclear", "backlog": growth, "needed_s": needed}
    if many < REQUESTS:
        return unclear(None, None)
    came = [each * n for n in _counts([s[1] for s in kept], start, length)]
    grew = [c - each * n for c, n in zip(came, _counts([s[3] for s in kept], start, length))]
    edges = _edges(start, length)
    points = []
    for number, (low, high) in enumerate(zip(edges, edges[1:])):
        inside = [w for due, w in waits if low <= due < high]
        if inside:
            points.append((number * length, stats.percentile(inside, 50)))
    if not sum(came) or len(points) < SLICES / 2:
        return unclear(None, None)
    error = max(stats.std(grew) * math.sqrt(SLICES), each) / sum(came)
    share = sum(grew) / sum(came)
    growth = {"came_per_second": sum(came) / (length * SLICES), "share": share, "error": error}
    beyond = stats.student(SLICES - 1) * error
    slope, chance = _trend(points)
    filled = seconds >= 3 * stats.percentile([w for _, w in waits], 10)
    if filled and share > max(MATERIAL, beyond) and slope > chance:
        return {"keeping_up": "fell_behind", "backlog": growth, "needed_s": None}
    bounded = share + ONE_SIDED * error < HARMLESS and slope + chance < HARMLESS
    if bounded and seconds >= latencies:
        return {"keeping_up": "kept_up", "backlog": growth, "needed_s": None}
    needed = max(4 * latencies, seconds * max(2, (1.75 * max(beyond, chance) / HARMLESS) ** 1.5))
    return unclear(growth if seconds >= latencies else None, _two_digits(needed) if needed <= 30 * seconds else None)


def _trend(points):
    """The slope of the least squares' line, and what chance makes of it (95 %)."""
    n, x, y = len(points), stats.mean([p[0] for p in points]), stats.mean([p[1] for p in points])
    spread = math.fsum((p[0] - x) ** 2 for p in points)
    slope = math.fsum((p[0] - x) * (p[1] - y) for p in points) / spread
    away = [p[1] - y - slope * (p[0] - x) for p in points]
    squares = math.fsum(a * a for a in away)
    alike = min(0.9, max(0, math.fsum(a * b for a, b in zip(away, away[1:])) / squares)) if squares else 0
    return slope, stats.student(n - 2) * math.sqrt(squares / (n - 2) / spread * (1 + alike) / (1 - alike))


def _closed(requests, kept, each, answers, users):
    sent = [r["sent_ns"] for r in requests if r.get("sent_ns") is not None]
    first, last = min(sent), max(sent)
    over = sorted(s[3] for s in kept)
    place = max(1, math.ceil(users / each)) - 1
    start = over[place] if place < len(over) else None
    if last <= first or start is None or max(0, last - start) < (last - first) / 3:
        took = (max(_over(r) for r in ok(requests)) - first) / 1e9
        return {"achieved_rate": answers / took if took > 0 else None, "achieved_interval": None}
    length = (last - start) / SLICES
    rates = [0.0] * SLICES
    for _, _, began, ended, is_ok in kept:
        if is_ok:
            began, ended = began - start, max(ended, began + 1) - start
            for n in range(SLICES):
                inside = max(0.0, min(ended, (n + 1) * length) - max(began, n * length))
                rates[n] += inside / (ended - began) * each / length * 1e9
    found = _mean(rates)
    if answers < REQUESTS + users:
        found["achieved_interval"] = None
    return found if found["achieved_rate"] > 0 else {"achieved_rate": None}


def _two_digits(value):
    """Two digits, not below it."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit
