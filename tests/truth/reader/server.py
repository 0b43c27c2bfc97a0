"""What the server said of itself while a unit ran: its readings, from the lines of the log.

A reading belongs to the unit in whose lines it stands (the runner writes the one before the first request
into the unit, too). Counters are told by their growth; one that fell began anew.
"""

TIMES = {
    "queue": ("queue_seconds", "queue_requests"),
    "prefill": ("prefill_seconds", "prefill_requests"),
    "decode": ("decode_seconds", "decode_requests"),
    "ttft": ("ttft_seconds", "ttft_requests"),
}


def growth(readings):
    """By how much each counter grew, over all its label sets (`name{labels}` in the log).

    Each is followed by itself; a reading that lacks one leaves its last value; one that appears is not counted from
    zero, since it may have counted for long, unless another of the same labels began anew in the same reading.
    Counters that a reading left out, since they have too many label sets, have no growth at all.
    """
    def labels(key):
        inside = key.split("{", 1)[1].rstrip("}") if "{" in key else ""
        part, _, rest = inside.partition(",")
        return inside if "=" in part else rest

    grown, last = {}, {}
    for reading in readings:
        counters = reading.get("counters") or {}
        restarted = {labels(key) for key, now in counters.items() if now < last.get(key, now)}
        for key, now in counters.items():
            before = last.get(key, 0.0 if labels(key) in restarted else now)
            name = key.split("{")[0]
            grown[name] = grown.get(name, 0.0) + (now if now < before else now - before)
        last.update(counters)
    left_out = {name for reading in readings for name in reading.get("left_out") or []}
    return {name: by for name, by in grown.items() if name not in left_out}


def unit(differ, said, unit_, log):
    if unit_.end is None or not said:
        return
    inside = [s for s in log.server if s["endpoint"] == unit_.start["endpoint"] and unit_.start["seq"] < s["seq"] < unit_.end["seq"]]
    good = [s for s in inside if not s.get("error")]
    where = f"{unit_.name()}: server"
    differ(f"{where}.readings", said["readings"], len(good))
    differ(f"{where}.failed", said.get("failed", 0), len(inside) - len(good))
    grown = growth(good) if len(good) > 1 else {}
    differ(f"{where}.counters", said.get("counters") or {}, grown, 1e-9, 1e-6)
    hits, asked = grown.get("prefix_cache_hits"), grown.get("prefix_cache_queries")
    share = hits / asked if hits is not None and asked and hits <= asked else None
    differ(f"{where}.prefix_hit_share", said.get("prefix_hit_share"), share)
    means = {}
    for name, (seconds, count) in TIMES.items():
        if grown.get(count) and seconds in grown:
            means[name] = grown[seconds] * 1e3 / grown[count]
    differ(f"{where}.mean_ms", said.get("mean_ms") or {}, means, 1e-6)
    gauges = {}
    for reading in good:
        for name, value in (reading.get("gauges") or {}).items():
            gauges.setdefault(name, []).append(value)
    right = {n: {"mean": sum(v) / len(v), "max": max(v), "last": v[-1]} for n, v in gauges.items()}
    differ(f"{where}.gauges", said.get("gauges") or {}, right)
