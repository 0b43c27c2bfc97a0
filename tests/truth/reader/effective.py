"""How certain the median of samples in a row is, and how many independent ones they are worth.

Written from the words of docs/statistics.md: memory by Geyer's initial monotone positive sequence over
ranks, that of the number in flight where latencies follow it, and for the interval that of "above the median".
"""

import math
from bisect import bisect_left, bisect_right

from . import stats

SERIES, LONGEST, SHOWN, STATE_SHOWN, STATE_SOON, TIED = 30, 4096, 330, 110, 30, 2
BELOW, ABOVE, MEMORIES, PLAIN, SUSPECTED, PLAIN_TWO_SIDED, TWO_SIDED = 1.75, 2.4, 4, 2.576, 1.645, 2.807, 1.96


def certainty(values, times, latencies, among=None):
    """(effective sample size, interval of the median), each None where it can't be told.

    `values` are in the order in which answers ended, `times` are (sent, ended) of each, `among` those of all complete
    answers, where there are others. Only latencies have to do with the number in flight.
    """
    flying = []
    if len(times) == len(values):
        order = sorted(range(len(times)), key=lambda at: times[at])
        sent, ended = sorted(t[0] for t in among or times), sorted(t[1] for t in among or times)
        values = [values[at] for at in order]
        if latencies and len(values) >= SERIES:
            flying = [max(0, bisect_left(sent, times[at][0]) - bisect_right(ended, times[at][0])) for at in order]
    n, ranks = len(values), _ranks(values)
    held, state = 1.0, memory(flying) if flying else 1.0
    if _alike(ranks):
        held = memory(ranks) if n >= SERIES else float(n)
    if _together(ranks, flying) * n > PLAIN_TWO_SIDED**2:
        held = max(held, state)
    if n < max(held * SHOWN if held > 1 else 0, (state - 1) * min(STATE_SHOWN, STATE_SOON * state)):
        return None, None
    return n / held, _interval(values, flying, held, state)


def _interval(values, flying, held, state):
    ordered, n = sorted(values), len(values)
    if n < 6:
        return None
    middle = stats.percentile(values, 50)
    above = [1.0 if v > middle else 0.0 for v in values]
    is_tied = held > 1 or state > TIED
    followed = max(0.0, _together(above, flying) - 1 / n)
    effect = max(memory(above) if is_tied else 1.0, 1 + followed * (state - 1))
    if is_tied:
        freedom = max(1.0, n / (MEMORIES * max(held, TIED)) - 1)
        t = stats.student(freedom) if freedom < 1e4 else TWO_SIDED
        error = t / TWO_SIDED * math.sqrt(n * effect) / 2
        low, high = n / 2 - BELOW * error, n / 2 + ABOVE * error
    else:
        low, high = stats.median_places(n)
        half = (high - low) / 2 * math.sqrt(effect)
        low, high = (n - 1) / 2 - half, (n - 1) / 2 + half
    place = lambda at: ordered[int(min(max(at, 0), n - 1))]
    return [place(math.floor(low)), place(math.ceil(high))]


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


def _alike(values):
    """Whether samples resemble those before them, plainly or perhaps (of few: plainly)."""
    parts = _parts(values)
    away, n = _away(parts), len(parts)
    whole, lags = _at_lag(away, 0), min(max(1, n // 10), 20, max(0, n - 1))
    if whole <= 0 or lags < 1:
        return False
    found = [_at_lag(away, lag) / whole for lag in range(1, lags + 1)]
    neighbours = (found[0] + 1 / n) * math.sqrt(n)
    if n < SERIES:
        return neighbours > PLAIN
    return neighbours > SUSPECTED or n * math.fsum(f * f for f in found) > CHI_SQUARED[lags]


def _together(scores, states):
    """The share of the variance of scores that goes with the number in flight."""
    if len(scores) != len(states):
        return 0.0
    one, other = _away(scores), _away(_ranks(states))
    scale = _at_lag(one, 0) * _at_lag(other, 0)
    return math.fsum(a * b for a, b in zip(one, other)) ** 2 / scale if scale > 0 else 0.0


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


# The 99.5 % points of the chi-squared law, by degrees of freedom (any table of it).
CHI_SQUARED = [
    0, 7.87944, 10.59663, 12.83816, 14.86026, 16.74960, 18.54758, 20.27774, 21.95495, 23.58935, 25.18818,
    26.75685, 28.29952, 29.81947, 31.31935, 32.80132, 34.26719, 35.71847, 37.15645, 38.58226, 39.99685,
]
