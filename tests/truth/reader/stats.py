"""Statistics from their textbook definitions, on plain lists of numbers."""

import math


def percentile(values, share):
    """Hyndman and Fan's type 7 (numpy's default): linear between the closest ranks."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def mean(values):
    return math.fsum(values) / len(values)


def std(values):
    """Sample standard deviation; nothing with one sample."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1))


def median_places(n):
    """The places, from 0, of the order statistics between which the median lies with 95 %, by the binomial
    distribution."""
    below, term, rank = 0.0, math.exp(-n * math.log(2)) if n < 1000 else None, 0
    if term is None:  # too small for a float: go by logarithms
        logs = lambda k: math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        while below + math.exp(logs(rank)) <= 0.025:
            below += math.exp(logs(rank))
            rank += 1
    else:
        while below + term <= 0.025:
            below += term
            term *= (n - rank) / (rank + 1)
            rank += 1
    # P(X < rank) <= 2.5 %: the rank-th smallest and the rank-th largest enclose the median.
    return rank - 1, n - rank


def certified(values, percent, effective):
    """A value that the percentile does not exceed, with 99 % confidence (the early-stopping bound).

    The t-th highest of n samples, t the most for which t or fewer of n samples would lie above a percentile
    with a chance under 1 %. Nothing with too few samples: 64, 130 and 662 for p90, p95 and p99. Samples that
    are worth `effective` independent ones count as so many, each the highest of those that it stands for.
    """
    n, share = min(int(effective or 0), len(values)), 1 - percent / 100
    log_term = n * math.log1p(-share)
    below, count = math.exp(log_term), 0
    while below < 0.01 and count < n:
        count += 1
        log_term += math.log((n - count + 1) / count) + math.log(share) - math.log1p(-share)
        below += math.exp(log_term)
    # `count` is the first number of samples above it that is no longer unlikely.
    most = count - 1
    if most < 1:
        return None
    rank = math.ceil((n - most + 1) * (len(values) / n)) - 1
    return sorted(values)[min(rank, len(values) - 1)]


def student(freedom, share=0.975):
    """The quantile of Student's t, by bisection over its distribution function."""
    low, high = 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        if _student_below(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _student_below(t, freedom):
    """P(T <= t) for t >= 0, by Simpson's rule over the angle whose tangent is t / sqrt(freedom)."""
    angle = math.atan(t / math.sqrt(freedom))
    steps = 2000
    width = angle / steps
    total = sum(
        (1 if i in (0, steps) else 4 if i % 2 else 2) * math.cos(i * width) ** (freedom - 1)
        for i in range(steps + 1)
    )
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return 0.5 + scale * total * width / 3


def interval_of_mean(values):
    """95 % confidence interval of the mean, by Student's t."""
    if len(values) < 2:
        return None
    half = student(len(values) - 1) * std(values) / math.sqrt(len(values))
    return [mean(values) - half, mean(values) + half]


def summary(values):
    """What stands in a distribution of summary.json."""
    return {
        "count": len(values),
        "mean": mean(values),
        "std": std(values),
        "min": min(values),
        "max": max(values),
        "p50": percentile(values, 50),
        "p90": percentile(values, 90),
        "p95": percentile(values, 95),
        "p99": percentile(values, 99),
    }
