"""Where the steady part of a load lies, found anew from its records.

Written from docs/statistics.md ("Steady parts"). `place` gives the part in nanoseconds from the stage's (or
round's) start and how it was told, or what the sentence on why there is none must hold.
"""

import math

from . import effective, metrics, stats
from .log import ok

BATCH, BATCHES, MOST, LEVEL, NAMED, SWINGS = 5, 10, 400, 5, 4.0, 3.0
DRIFT, LEAST_MS, ERRORS, STEP_ERRORS, UNSURE = 0.1, 2.0, 3.0, 4.5, 0.5
OPENING, KEPT = 4, 16_384


class Unsteady(Exception):
    """Why there is none: `words` stand in the sentence, `figures` are its times in milliseconds."""

    def __init__(self, words, *figures):
        super().__init__(words)
        self.words, self.figures = words, figures


class TooFew(Unsteady):
    pass


class Stepped(Unsteady):
    pass


def place(line, requests, began, ended_by_plan):
    """(by, from, to, whole); raises `Unsteady`. `line` is the load's `steady` of the log."""
    due = [r for r in requests if r.get("due_ns") is not None]
    end = max(0, max((r["due_ns"] for r in due), default=0) - began) + 1
    if ended_by_plan and line.get("length_ms") is not None:
        end = round(line["length_ms"] * 1e6)
    by = "windows" if "warmup_ms" in line or "cooldown_ms" in line else "plateau"
    nanoseconds = lambda key: round((line.get(key) or 0) * 1e6)
    climb, burst = nanoseconds("climb_ms"), _burst(line, due, began)
    low, high = max(nanoseconds("warmup_ms"), climb, burst), end - nanoseconds("cooldown_ms")
    if low >= high:
        raise Unsteady("leave nothing of it" if by == "windows" else "climbed until it ended" if climb > burst else "as short as the burst")
    whole = (low, high) == (0, end)
    if by == "windows":
        return by, low, high, whole
    answered = sorted(ok(due), key=lambda r: (r["due_ns"], r["index"]))
    points = lambda name: [(r["due_ns"] - began, v) for r in answered if (v := metrics.PER_REQUEST[name](r)) is not None and low <= r["due_ns"] - began < high]
    try:
        plateau(points("ttft_due"), low, high)
    except Stepped as step:
        raise Stepped("its TTFT stepped", *step.figures) from step
    except Unsteady:
        pass  # the whole answers decide
    times = points("e2e_due")
    try:
        found = plateau(times, low, high)
    except TooFew as few:
        raise TooFew("to tell a trend from chance" if len(times) >= BATCH * BATCHES else f"({len(times)} answer") from few
    return (by, *found, whole and found == (low, high))


def _burst(line, due, began):
    """How long a closed loop's opening burst lasts: its users' first requests, where they were sent at once."""
    users = line.get("users") or 0
    if line.get("climb_ms") is not None or users < 2:
        return 0
    early = [(r["sent_ns"], r.get("last_token_ns") or r.get("end_ns") or r["due_ns"]) for r in due if r.get("sent_ns") is not None][: users * OPENING]
    first = sorted(early)[:users]
    if len(first) < 2:
        return 0
    lengths = sorted(end - sent for sent, end in first)
    if first[-1][0] - first[0][0] > lengths[len(lengths) // 2] // 10:
        return 0
    return max(end for _, end in first) - began


def plateau(points, low, high):
    """(from, to) of the settled part of a series of (nanoseconds, milliseconds)."""
    size = max(BATCH, math.ceil(len(points) / MOST))
    batches = [points[at : at + size] for at in range(0, len(points) - size + 1, size)]
    levels = [sorted(v for _, v in batch)[size // 2] for batch in batches]
    n = len(levels)
    if n < BATCHES:
        raise TooFew("too few answers")
    step = _step(levels)
    if step is not None:
        before, after = stats.mean(levels[:step]), stats.mean(levels[step:])
        if not (4 * step <= n and after < before):  # else a warm-up, which is cut off
            raise Stepped("stepped", before, after, batches[step][0][0] / 1e6)
    head = _cut(levels)
    last = n - _cut(levels[head:][::-1])
    all_of_it, rest = Line(levels), Line(levels[head:last])
    if rest.drifts(n):
        raise rest.trend()
    up = math.copysign(1, all_of_it.slope)
    goes_on = last - head <= BATCHES or up * rest.slope + ERRORS * rest.error > up * all_of_it.slope / 2
    if rest.n < n and goes_on and all_of_it.drifts(n):
        raise all_of_it.trend()
    if (abs(rest.slope) + 2 * rest.error) * rest.n > max(UNSURE * abs(rest.level), LEAST_MS):
        raise TooFew("too few answers")
    return batches[head][0][0] if head else low, batches[last][0][0] if last < n else high


def _squares(values):
    middle = stats.mean(values)
    return math.fsum((v - middle) ** 2 for v in values)


def _cut(values):
    """White's rule: as many off the front as make the mean of the rest most certain, half at most; where that differs."""
    share = lambda cut: _squares(values[cut:]) / len(values[cut:]) ** 2
    cut = min(range(len(values) // 2 + 1), key=share) if len(values) > 1 else 0
    if not cut:
        return 0
    head, rest = values[:cut], values[cut:]
    variance = lambda v: _squares(v) / (len(v) - 1) if len(v) > 1 else 0.0
    error = math.sqrt(max(variance(head), variance(rest)) / len(head) + variance(rest) / len(rest))
    apart = abs(stats.mean(rest) - stats.mean(head))
    return cut if apart > DRIFT * abs(stats.mean(rest)) and apart > ERRORS * error else 0


class Line:
    """Least squares over a series; its slope's error counts the memory of what the line leaves."""

    def __init__(self, values):
        self.n, self.level = len(values), stats.mean(values)
        x = [at - (self.n - 1) / 2 for at in range(self.n)]
        spread = math.fsum(a * a for a in x)
        self.slope = math.fsum(a * (v - self.level) for a, v in zip(x, values)) / spread if spread else 0.0
        rest = [v - self.level - self.slope * a for a, v in zip(x, values)]
        self.squares = math.fsum(r * r for r in rest)
        self.error = math.sqrt(self.squares * effective.memory(rest) / max(1, self.n - 2) / max(1.0, spread))

    def drifts(self, of):
        """Over half of the series `of` so many values that it was cut from."""
        change = abs(self.slope * of / 2)
        return change > max(DRIFT * abs(self.level), LEAST_MS) and abs(self.slope) > ERRORS * self.error

    def trend(self):
        """Named from four standard errors on; below that too little was seen."""
        if abs(self.slope) <= NAMED * self.error:
            return TooFew("too few answers")
        return Unsteady("still rose" if self.slope > 0 else "still fell")


def _swing(values):
    """How far apart the means of the thirds lie."""
    third = math.ceil(len(values) / 3)
    means = [stats.mean(values[at : at + third]) for at in range(0, len(values), third)]
    return max(means) - min(means)


def _step(values):
    """The place from which on another level explains the series better than a line does; None without one."""
    n = len(values)
    least = max(LEVEL, n // 20)
    if n + 1 - least <= least:
        return None
    left = lambda place: _squares(values[:place]) + _squares(values[place:])
    at = min(range(least, n + 1 - least), key=left)
    before, after = values[:at], values[at:]
    low, high = stats.mean(before), stats.mean(after)
    rest = [v - low for v in before] + [v - high for v in after]
    variance = left(at) / (n - 2) * effective.memory(rest)
    size = abs(high - low)
    stands_out = size > max(DRIFT * abs(min(low, high)), LEAST_MS) and size > STEP_ERRORS * math.sqrt(variance * (1 / len(before) + 1 / len(after)))
    return at if stands_out and left(at) < Line(values).squares and not any(Line(part).drifts(2 * len(part)) or SWINGS * _swing(part) > size for part in (before, after)) else None
