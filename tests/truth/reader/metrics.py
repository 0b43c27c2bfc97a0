"""Each metric of one request, from its stamps (in nanoseconds) and counts. Times in milliseconds.

From the definitions of the README and of `metric.rs`'s catalogue, which the report prints.
Learned from the code, since no page says it: `schedule_lag` is of every request that was sent,
however it ended; all else is of complete answers; a time of nothing (or less) is no sample;
`connect` of a connection that was opened ahead counts from when it was begun; `server_total` is the
sum of the parts where a server gives the parts only.
"""

from . import stats

SOURCES = ("server", "tokenizer")


def since(start, end):
    if start is None or end is None or end <= start:
        return None
    return (end - start) / 1e6


def best(counts):
    """Tokens that somebody counted: the server's usage, else the tokenizer. Events are no tokens."""
    for source in SOURCES:
        if counts.get(source) is not None:
            return counts[source], source
    return None, None


def output_tokens(r):
    return best(r["output_tokens"])[0]


def input_tokens(r):
    return best(r["input_tokens"])[0]


def cached_tokens(r):
    if r.get("cached_tokens") is not None:
        return r["cached_tokens"]
    return (r.get("timings") or {}).get("cache_n")


def prompt_of_cached(r):
    """The prompt's length by the source that gave the cached count."""
    told = r.get("timings") or {}
    cached, native = cached_tokens(r), told.get("cache_n")
    if native is not None and native == cached and told.get("prompt_n") is not None:
        return native + told["prompt_n"]
    return r["input_tokens"].get("server")


def cached_pairs(requests):
    """(cached, prompt) of the answers whose source knows both, and where they can be."""
    pairs = [(cached_tokens(r), prompt_of_cached(r)) for r in requests if r["outcome"] == "ok"]
    return [(c, p) for c, p in pairs if c is not None and p is not None and c <= p]


def is_whole(r):
    """An answer that came whole and not as a stream."""
    return "not_streamed" in (r.get("flags") or [])


def answered_ns(r):
    """When all of the answer was there: its last token, or the end of one that came whole."""
    if r.get("last_token_ns") is None and is_whole(r):
        return r.get("end_ns")
    return r.get("last_token_ns")


def ttft(r):
    return since(r.get("sent_ns"), r.get("first_token_ns"))


def e2e(r):
    return since(r.get("sent_ns"), answered_ns(r))


def by_choice(r):
    """The stamps of token-bearing events, of each choice by itself."""
    stamps, choices = r.get("token_ns") or [], r.get("choices") or []
    if not choices:
        return [stamps] if stamps else []
    return [[at for at, own in zip(stamps, choices) if own == choice] for choice in sorted(set(choices))]


def peak(requests):
    """The most requests that were under way at once."""
    moments = []
    for r in requests:
        if r.get("sent_ns") is not None and r.get("end_ns") is not None:
            moments += [(r["sent_ns"], 1), (r["end_ns"], -1)]
    now = most = 0
    for _, step in sorted(moments, key=lambda m: (m[0], m[1])):
        now += step
        most = max(most, now)
    return most


def in_one_piece(r):
    """A streamed answer that came all at once: its tokens say nothing of how they were made.

    Learned from the code: faster than 10,000 tokens a second and within the last tenth of the answer; or one event
    for 16 tokens and more.
    """
    sent, first, last, events = r.get("sent_ns"), r.get("first_token_ns"), r.get("last_token_ns"), len(r.get("token_ns") or [])
    if None in (sent, first, last) or not events:
        return False
    if events == 1:
        return (r["output_tokens"].get("server") or 0) >= 16
    return last - first <= 100_000 * (events - 1) and last - first <= (last - sent) // 10


def tpot(r):
    """(last - first) / (tokens - 1); of several choices each has a first token of its own."""
    tokens = output_tokens(r)
    if tokens is None or in_one_piece(r):
        return None
    if r.get("choices"):
        spans = [(stamps[-1] - stamps[0]) / 1e6 for stamps in by_choice(r)]
    else:
        span = since(r.get("first_token_ns"), r.get("last_token_ns"))
        spans = [span] if span is not None else []
    if r.get("reasoning_tokens") and r.get("first_content_ns") is not None and r.get("first_content_ns") == r.get("first_token_ns"):
        tokens -= r["reasoning_tokens"]  # counted, and not streamed
    choices, events = max(1, len(spans)), len(r.get("token_ns") or [])
    gaps = tokens - choices
    if events and max(0, tokens / events - 1) * choices > 0.25 * gaps:
        return None  # too many of the tokens came with the first event
    return sum(spans) / gaps if gaps > 0 and sum(spans) > 0 else None


def itl(r):
    gaps = [(b, (b - a) / 1e6) for stamps in by_choice(r) for a, b in zip(stamps, stamps[1:]) if b >= a]
    return [gap for _, gap in gaps]


def tokens_per_second(r):
    tokens, time = output_tokens(r), e2e(r)
    return tokens / (time / 1e3) if tokens is not None and time else None


def connect(r):
    begun = r.get("connecting_ns")
    return since(begun if begun is not None else r.get("sent_ns"), r.get("connected_ns"))


def server_total(r):
    told = r.get("timings") or {}
    if told.get("total_ms") is not None:
        return told["total_ms"]
    if told.get("prompt_ms") is not None and told.get("predicted_ms") is not None:
        return (told.get("queue_ms") or 0) + told["prompt_ms"] + told["predicted_ms"]
    return None


def timing(name):
    return lambda r: (r.get("timings") or {}).get(name)


def ttfo(r):
    return since(r.get("sent_ns"), r.get("first_content_ns"))


def response_end(r):
    return since(r.get("sent_ns"), r.get("end_ns"))


def from_due(name):
    """The metric that counts from due, of a latency from sent; else itself."""
    return f"{name}_due" if name in LATENCIES else name


def differs(sent, due):
    """Whether a figure from due says something else: more than 2 ms and a tenth longer."""
    return due - sent > 2 and due > 1.1 * sent


def times_from(unit):
    """Since when the latencies of a stage of load count."""
    found = samples(unit.requests) if unit.load else {}
    pairs = [(found[name], found[from_due(name)]) for name in LATENCIES if name in found and from_due(name) in found]
    late = any(differs(stats.percentile(sent, p), stats.percentile(due, p)) for sent, due in pairs for p in (50, 90, 95, 99))
    return "due" if late else "sent"


def shown(unit, name):
    return from_due(name) if times_from(unit) == "due" else name


def both(first, then):
    """`then`, of requests that have a `first` too."""
    return lambda r: then(r) if first(r) is not None else None


PER_REQUEST = {
    "ttft": ttft,
    "ttft_due": both(ttft, lambda r: since(r.get("due_ns"), r.get("first_token_ns"))),
    "ttfo": ttfo,
    "ttfo_due": both(ttfo, lambda r: since(r.get("due_ns"), r.get("first_content_ns"))),
    "e2e": e2e,
    "e2e_due": both(e2e, lambda r: since(r.get("due_ns"), answered_ns(r))),
    "response_end": response_end,
    "response_end_due": both(response_end, lambda r: since(r.get("due_ns"), r.get("end_ns"))),
    "tpot": tpot,
    "connect": connect,
    "tokens_per_second": tokens_per_second,
    "input_tokens": input_tokens,
    "output_tokens": output_tokens,
    "cached_tokens": cached_tokens,
    "server_queue": timing("queue_ms"),
    "server_prefill": timing("prompt_ms"),
    "server_decode": timing("predicted_ms"),
    "server_total": server_total,
}

UNITS = {"tokens_per_second": "tokens/s", "input_tokens": "tokens", "output_tokens": "tokens", "cached_tokens": "tokens"}


STREAMED = ("ttft", "ttft_due", "ttfo", "ttfo_due", "tpot", "itl")
LATENCIES = ("ttft", "ttfo", "e2e", "response_end")
OF_INPUT = ("input_tokens", "input_tokens_per_second")
OF_OUTPUT = ("tpot", "tokens_per_second", "output_tokens", "output_tokens_per_second")


def untold(requests):
    """Metrics that these answers cannot tell: no figure may be given of them.

    Learned from the code: tokens, where those of more than 1 % were not counted; gaps, where more than a tenth have no
    length because one read brought both events; what a stream shows, where all answers came whole.
    """
    answered = [r for r in requests if r["outcome"] == "ok"]
    names = set()
    for take, of in ((input_tokens, OF_INPUT), (output_tokens, OF_OUTPUT)):
        if answered and len([r for r in answered if take(r) is not None]) < 0.99 * len(answered):
            names |= set(of)
    gaps = [gap for r in answered for gap in itl(r)]
    if len([gap for gap in gaps if gap == 0]) > 0.1 * len(gaps):
        names.add("itl")
    if answered and all(is_whole(r) for r in answered):
        names |= set(STREAMED)
    return names


def samples(requests, left_out=None):
    """The samples of every metric, by name; one without samples, or that cannot be told, is absent."""
    answered = [r for r in requests if r["outcome"] == "ok"]
    found = {name: [v for v in map(take, answered) if v is not None] for name, take in PER_REQUEST.items()}
    found["itl"] = [gap for r in answered for gap in itl(r)]
    found["schedule_lag"] = [
        (r["sent_ns"] - r["due_ns"]) / 1e6
        for r in requests
        if r.get("sent_ns") is not None and r.get("due_ns") is not None
    ]
    left_out = untold(requests) if left_out is None else left_out
    return {name: values for name, values in found.items() if values and name not in left_out}
