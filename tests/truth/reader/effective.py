"""How certain the median of samples in a row is, and how many independent ones they are worth.

Written from the words of src/metrics/effective.rs: memory by Geyer's initial monotone positive sequence
over ranks, that of the number in flight where latencies follow it, batch means of four memories.
"""

import math
from bisect import bisect_left, bisect_right

from . import stats

SERIES, MEMORIES, MEDIAN, STATE, BATCHES, INFLATION, FEW_SEEN, LONGEST = 30, 4, 100, 30, 10, 1.1, 25, 4096
PLAIN, TWO_SIDED = 2.576, 1.96


def certainty(values, times, latencies):
    """(effective sample size, interval of the median), each None where it can't be told.

    `values` are in the order in which answers ended, `times` are (sent, ended) of all complete answers. Only
    latencies have to do with the number in flight.
    """
    flying = None
    if len(times) == len(values):
        order = sorted(range(len(times)), key=lambda at: times[at])
        sent, ended = sorted(t[0] for t in times), sorted(t[1] for t in times)
        values = [values[at] for at in order]
        flying = latencies and [max(0, bisect_left(sent, times[at][0]) - bisect_right(ended, times[at][0])) for at in order]
    n, ranks = len(values), _ranks(values)
    batch, held = 1, 1.0
    if n < SERIES:
        if n and _correlation(ranks, 1) + 1 / n > PLAIN / math.sqrt(n):
            return None, None
    else:
        held = memory(ranks) if _correlated(ranks) else 1.0
        state = memory(flying) if flying else 1.0
        if flying and abs(_together(ranks, _ranks(flying))) * math.sqrt(n) > TWO_SIDED:
            held = max(held, state)
        if n < (MEDIAN * max(held, 2 * held - 2) if held > 1 else STATE * state):
            return None, None
        if held > 1:
            batch = math.ceil(MEMORIES * held)
            if n // batch < BATCHES:
                return None, None
        else:
            batch = math.ceil(n / LONGEST)
    return n / held, _interval(values, batch)


def _interval(values, batch):
    if batch == 1:
        return stats.median_interval(values)
    n, middle = len(values), stats.percentile(values, 50)
    above = [1.0 if v > middle else 0.0 for v in values]
    means = [stats.mean(above[at : at + batch]) for at in range(0, n - batch + 1, batch)]
    single = stats.std(above) ** 2
    effect = max(1.0, (INFLATION + FEW_SEEN / len(means)) * batch * stats.std(means) ** 2 / single) if single else 1.0
    half = stats.student(len(means) - 1) * math.sqrt(0.25 * effect / n)
    ordered = sorted(values)
    place = lambda share: ordered[int(min(max(share * n, 0), n - 1))]
    return [place(0.5 - half), place(0.5 + half + 1 / n)]


def _ranks(values):
    order = sorted(range(len(values)), key=lambda at: values[at])
    ranks, at = [0.0] * len(values), 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for place in order[at:end]:
            ranks[place] = at + (end - at - 1) / 2
        at = end
    return ranks


def _away(values):
    middle = stats.mean(values)
    return [v - middle for v in values]


def _at_lag(away, lag):
    return math.fsum(one * other for one, other in zip(away, away[lag:]))


def _correlation(values, lag):
    away = _away(values)
    whole = _at_lag(away, 0)
    return _at_lag(away, lag) / whole if whole > 0 else 0.0


def _correlated(values):
    parts = _parts(values)
    away, n = _away(parts), len(parts)
    whole, lags = _at_lag(away, 0), min(20, n // 10)
    if whole <= 0 or lags < 1:
        return False
    found = [_at_lag(away, lag) / whole for lag in range(1, lags + 1)]
    return found[0] > TWO_SIDED / math.sqrt(n) or n * math.fsum(f * f for f in found) > CHI_SQUARED[lags]


def _together(one, other):
    one, other = _away(one), _away(other)
    scale = math.sqrt(_at_lag(one, 0) * _at_lag(other, 0))
    return math.fsum(a * b for a, b in zip(one, other)) / scale if scale > 0 else 0.0


def _parts(values):
    size = max(1, math.ceil(len(values) / LONGEST))
    return [stats.mean(values[at : at + size]) for at in range(0, len(values) - size + 1, size)]


def memory(values):
    parts = _parts(values)
    away, n = _away(parts), len(parts)
    whole = _at_lag(away, 0)
    if whole <= 0:
        return 1.0
    total, least, lag = 0.0, math.inf, 0
    while lag + 1 < n:
        pair = (_at_lag(away, lag) + _at_lag(away, lag + 1)) / whole
        if pair <= 0:
            break
        least = min(least, pair)
        total += least
        lag += 2
    found = (2 * total - 1) / max(0.05, 1 - (2 * lag + 1) / n)
    size = math.ceil(len(values) / LONGEST)
    within = size * stats.std(parts) ** 2 / stats.std(values) ** 2 if size > 1 else 1.0
    return max(1.0, found * within)


# The 97.5 % points of the chi-squared law, by degrees of freedom (any table of it).
CHI_SQUARED = [
    0, 5.02389, 7.37776, 9.34840, 11.14329, 12.83250, 14.44938, 16.01276, 17.53455, 19.02277, 20.48318,
    21.92005, 23.33666, 24.73560, 26.11895, 27.48839, 28.84535, 30.19101, 31.52638, 32.85233, 34.16961,
]
