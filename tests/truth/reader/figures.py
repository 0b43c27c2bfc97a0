"""Recomputes every entry of `stages` in summary.json from a unit's records.

Rules that no page states, learned from the code: all rates of a load have the clock of its achieved rate
(pace.py), of other stages it is wall time. A server's reading belongs to the unit that its line stands in, and the
one before to the next. The steady part's beginning is checked where the plan names it; where it was
found by latencies, its figures are checked and not its place.
"""

import base64
import zlib

from . import effective, metrics, pace, stats
from .log import failed, ok, outcome

WARM, COLD, PREAMBLE, BLOCK = 0.75, 0.10, 32, 16
EXACT = 16_384


def unit(differ, said, unit_, log, ids):
    """Compares one entry of summary.json with the records of its unit."""
    where = unit_.name()
    requests = unit_.requests
    same = lambda name, one, right, **tolerance: differ(f"{where}: {name}", one, right, **tolerance)
    counts = counted(unit_)
    same("counts", said["counts"], counts)
    same("identity", said["counts"]["planned"], sum(v for k, v in said["counts"].items() if k != "planned"))
    same("success_rate", said.get("success_rate"), rate(counts["ok"], counts["ok"] + counts["errors"]))
    seconds = (log.end_ns(unit_) - unit_.from_ns) / 1e9
    same("duration_s", said["duration_s"], seconds)
    distributions(differ, f"{where}: metrics", said["metrics"], metrics.samples(requests), times=sent_and_ended(requests))
    same("times_from", said.get("times_from", "sent"), metrics.times_from(unit_))
    same("errors", said["errors"], classes(requests))
    answered_rate = over_rounds(unit_) if unit_.load else None
    if unit_.rounds and said.get("rounds"):
        rounds(differ, where, said["rounds"], unit_)
    clock = counts["ok"] / answered_rate if answered_rate else seconds
    right = throughput(requests, clock, counts["planned"] > counts["never_started"])
    same("throughput", said["throughput"], right, relative=1e-6)
    if unit_.load:
        lag = metrics.samples(requests).get("schedule_lag")
        limit = unit_.load.get("max_lag_ms")
        same("load.target_rate", said["load"].get("target_rate"), unit_.load.get("target_rate"))
        same("load.achieved_rate", said["load"].get("achieved_rate"), answered_rate, relative=1e-6)
        if not unit_.rounds:
            found = pace.of(unit_, requests)
            for key in ("achieved_interval", "keeping_up", "backlog", "needed_s"):
                same(f"load.{key}", said["load"].get(key), found.get(key), relative=1e-6)
        if limit is not None and lag:
            late = stats.percentile(lag, 99) > limit or starved(unit_) or any(local(r) for r in requests)
            same("load.generator_limited", said["load"]["generator_limited"], late)
    same("goodput", said.get("goodput"), goodput(unit_, counts, right), relative=1e-6)
    same("cache", *cache(said["cache"], unit_))
    same("tokens", *tokens(said.get("tokens"), requests))
    same("client", *client(said.get("client") or {}, unit_, seconds))
    if said.get("answers"):
        same("answers", *answers(said["answers"], requests))
    repeated = 0
    for r in ok(requests):
        repeated += r.get("response_id") is not None and r["response_id"] in ids
        ids.add(r.get("response_id"))
    if "answers" in said or repeated:
        same("answers.repeated_ids", (said.get("answers") or {}).get("repeated_ids", 0), repeated)
    untold = metrics.untold(requests)
    if untold & {metric for metric, _, _ in request_limits(unit_)}:
        untold |= {"goodput", "goodput_share"}
    same("untold", sorted(said.get("untold") or {}), sorted(untold))
    if said.get("steady"):
        steady(differ, where, said["steady"], unit_.from_ns, requests, metrics.untold(requests))
    for window in said.get("windows") or []:
        windowed(differ, where, window, unit_)
    if said.get("windows"):
        ended = sum(w["requests"] for w in said["windows"])
        same("requests of all windows", ended, len([r for r in requests if r.get("sent_ns") is not None]))


def starved(unit_):
    """The client saw what had arrived too late (p95), for the limit on lag and for the times that it distorts."""
    seen = (unit_.end or {}).get("wake_lag") or {}
    asked = any(r.get("sent_ns") is not None for r in unit_.requests)
    limit = (unit_.load or {}).get("max_lag_ms") or 100
    samples = metrics.samples(unit_.requests)
    times = samples.get("ttft") or samples.get("e2e")
    median = stats.percentile(times, 50) if times else 0
    bounds = ((0.1 * limit, 0.3 * median, 200), (0.5 * limit, 0.2 * median, 50))
    return asked and any(seen.get("count", 0) >= moments and seen["p95_ns"] > 1e6 * max(one, other) for one, other, moments in bounds)


def rate(part, whole):
    return part / whole if whole else None


def counted(unit_):
    requests = unit_.requests
    counts = {
        "planned": unit_.planned,
        "ok": len(ok(requests)),
        "errors": len(failed(requests)),
        "cancelled": len(outcome(requests, "cancelled")),
        "dropped_late": len(outcome(requests, "dropped_late")),
        "lost_in_flight": len(set(unit_.begun) - {r["index"] for r in requests}),
        "never_started": unit_.never_started(),
    }
    # What no line of the log tells of was never started.
    if unit_.end is None or unit_.end["state"] == "skipped":
        told = sum(v for k, v in counts.items() if k != "planned")
        if unit_.end is None and not counts["planned"]:
            counts["planned"] = told
        counts["never_started"] += max(0, counts["planned"] - told)
    return counts


def classes(requests):
    found = {}
    for r in failed(requests):
        name = (r.get("error") or {}).get("class")
        found[name] = found.get(name, 0) + 1
    return found


def sent_and_ended(requests):
    """When each complete answer was asked and had ended."""
    return [
        (r["sent_ns"], r.get("last_token_ns") or r["end_ns"]) for r in ok(requests) if r.get("sent_ns") is not None
    ]


def distributions(differ, where, said, samples, names=None, times=None, certain=True):
    """Each distribution of a map, against its samples; `times` as `sent_and_ended` gives them, or a function that gives
    those of a metric and those of all."""
    if names is not None:
        samples = {name: values for name, values in samples.items() if name in names}
    for name in sorted(set(said) | set(samples)):
        if name not in said or name not in samples:
            differ(f"{where}.{name}", name in said, name in samples)
            continue
        right = dict(stats.summary(samples[name]), unit=metrics.UNITS.get(name, "ms"))
        if certain and len(samples[name]) <= EXACT:
            # Several gaps of one answer say nothing of how sure their median is.
            own, among = times(name) if callable(times) else (times or [], None)
            sure = (None, None) if name == "itl" else effective.certainty(samples[name], own, metrics.UNITS.get(name, "ms") == "ms", among)
            right["effective"], right["p50_interval"] = sure
        entry = {k: v for k, v in said[name].items() if k in right}
        # Of very many samples percentiles are told to a thousandth.
        loose = 1.1e-3 if right["count"] > EXACT else 1e-9
        for key, value in right.items():
            tight = key in ("count", "mean", "std", "min", "max", "unit")
            differ(f"{where}.{name}.{key}", entry.get(key), value, 1e-7 if tight else loose, 1e-7)
        if said[name].get("certified"):
            for key, value in said[name]["certified"].items():
                differ(f"{where}.{name}.certified.{key}", value, stats.certified(samples[name], float(key[1:]), right.get("effective")), loose, 1e-7)
        if "histogram" in said[name]:
            differ.held(said[name]["histogram"])
            histogram(differ, f"{where}.{name}.histogram", said[name]["histogram"], samples[name])


def histogram(differ, where, text, values):
    """An HdrHistogram (V2, deflated, base64) of microseconds holds the same samples, to a thousandth."""
    data = zlib.decompress(base64.b64decode(text)[8:])
    low, at, entries = 0, 40, []
    length = int.from_bytes(data[4:8], "big")
    index = 0
    while at < 40 + length:
        shift = value = 0
        while True:
            byte = data[at]
            at += 1
            if shift == 56:
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        number = (value >> 1) ^ -(value & 1)
        if number < 0:
            index -= number
        else:
            if number:
                entries.append((index, number))
            index += 1
    differ(f"{where}: samples", sum(n for _, n in entries), len(values))
    if entries:
        # Three digits: 2048 buckets of one unit, then 1024 of twice as much each.
        lowest, highest = _value_of(entries[0][0]), _value_of(entries[-1][0])
        differ(f"{where}: smallest", float(lowest), min(values) * 1e3, 2e-3, 1.0)
        differ(f"{where}: largest", float(highest), max(values) * 1e3, 2e-3, 1.0)


def _value_of(index):
    bucket = max(0, (index >> 10) - 1)
    return (index - (bucket << 10)) << bucket


def throughput(requests, seconds, planned):
    if not seconds:
        return {"requests_per_second": None, "output_tokens_per_second": None, "input_tokens_per_second": None}
    answered, untold = ok(requests), metrics.untold(requests)
    found = {"requests_per_second": len(answered) / seconds if planned else None}
    for name, take in (("output_tokens_per_second", metrics.output_tokens), ("input_tokens_per_second", metrics.input_tokens)):
        known = [take(r) for r in answered if take(r) is not None]
        found[name] = sum(known) / seconds if known and name not in untold else None
    events = [r["output_tokens"]["events"] for r in answered if r["output_tokens"].get("events") is not None]
    if events and "output_tokens_per_second" in untold:
        found["output_events_per_second"] = sum(events) / seconds
    return found


def ended_ns(r):
    """When an answer was over: its last token, or where it has none, its end."""
    return metrics.answered_ns(r) if metrics.answered_ns(r) is not None else r.get("end_ns")


def achieved(unit_, requests=None, planned=None, began=None):
    """Complete answers per second of a load."""
    return pace.of(unit_, unit_.requests if requests is None else requests, planned, began)["achieved_rate"]


def each_round(unit_):
    """(its line, its requests, how many never started, its rate) of each round."""
    first = 0
    for line in unit_.rounds:
        inside = [r for r in unit_.requests if first <= r["index"] < first + line["planned"]]
        never = unit_.never_started(first, line["planned"])
        first += line["planned"]
        yield line, inside, never, achieved(unit_, inside, line["planned"] - never, line["from_ns"])


def over_rounds(unit_):
    """Complete answers per second of a load: all over all the time that they took, without the pauses between rounds."""
    if not unit_.rounds:
        return achieved(unit_)
    kept = [(len(ok(inside)), rate_, (line["at_ns"] - line["from_ns"]) / 1e9) for line, inside, _, rate_ in each_round(unit_)]
    answers = sum(n for n, _, _ in kept)
    times = sum(n / r if n and r else seconds for n, r, seconds in kept)
    return answers / times if answers and times else None


OPS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b}


def request_limits(unit_):
    """Thresholds that mean (nearly) every request: `METRIC.p90 < LIMIT` and stricter ones."""
    for threshold in unit_.start.get("thresholds") or []:
        left, aggregate = threshold["left"], threshold["left"].get("aggregate")
        share = aggregate.get("percentile") if isinstance(aggregate, dict) else 100 if aggregate == "max" else 0
        plain = "value" in threshold["right"] and not left.get("stage")
        known = left["metric"] in metrics.PER_REQUEST or left["metric"] == "schedule_lag"
        if plain and known and share >= 90 and threshold["op"] in ("<", "<="):
            name = left["metric"] if threshold.get("from") == "sent" else metrics.from_due(left["metric"])
            yield name, threshold["op"], threshold["right"]["value"]


def keeps(r, limits):
    for metric, op, limit in limits:
        if metric == "schedule_lag":
            value = (r["sent_ns"] - r["due_ns"]) / 1e6
        else:
            value = metrics.PER_REQUEST[metric](r)
        if value is not None and not OPS[op](value, limit):
            return False
    return True


def goodput(unit_, counts, through, requests=None):
    limits, requests = list(request_limits(unit_)), unit_.requests if requests is None else requests
    if not limits or metrics.untold(requests) & {metric for metric, _, _ in limits}:
        return None
    kept = len([r for r in ok(requests) if keeps(r, limits)])
    per_second = through["requests_per_second"]
    return {
        "requests": kept,
        "per_second": per_second * kept / counts["ok"] if counts["ok"] and per_second is not None else None,
        "share": rate(kept, counts["planned"]),
    }


def by_share(cached, prompt):
    """Cold, warm, mixed or unknown, by the share of the prompt that came from the cache."""
    cached = min(cached, prompt)
    share, computed = cached / prompt, prompt - cached
    blocks = cached > 0 and cached % BLOCK == 0 and computed <= BLOCK
    if share >= WARM:
        return "unknown" if cached <= PREAMBLE and computed > 1 and not blocks else "warm"
    if share <= COLD:
        return "cold"
    if cached <= PREAMBLE:
        return "unknown" if blocks else "cold"
    return "mixed"


def cache(said, unit_):
    """What the answers say of the cache; (said, right). The verdict on each request is the record's."""
    answered = ok(unit_.requests)
    pairs = metrics.cached_pairs(answered)
    states = {r["cache"] for r in answered} - {"unknown"}
    right = {"verdict": states.pop() if len(states) == 1 else "mixed" if states else "unknown"}
    right["expected"] = unit_.start.get("expects")
    if said.get("by_counters"):
        # Judged by the server's counters: see `server`.
        return {"answers said": bool(pairs)}, {"answers said": False}
    right["cached_tokens"] = sum(c for c, _ in pairs) if pairs else None
    right["prompt_tokens"] = sum(p for _, p in pairs) if pairs else None
    right["counted_requests"] = len(pairs) or None
    judged = [r for r in answered if r["cache"] != "unknown"]
    right["judged_requests"] = len(judged) or None
    right["hit_requests"] = len([r for r in judged if r["cache"] in ("warm", "mixed")]) if judged else None
    return {k: said.get(k) for k in right}, right


def tokens(said, requests):
    """Sums by source, and how far two sources lie apart over the requests that both counted."""
    answered = ok(requests)
    if not answered:
        return said, None
    right = {}
    for side in ("input", "output"):
        counts = [r[f"{side}_tokens"] for r in answered]
        sums = {}
        for source in ("server", "tokenizer", "events", "estimate"):
            known = [c[source] for c in counts if c.get(source) is not None]
            if known:
                sums[source] = sum(known)
        apart = []
        for one, other in (("tokenizer", "server"), ("events", "server"), ("events", "tokenizer")):
            both = [(c[one], c[other]) for c in counts if c.get(one) is not None and c.get(other) is not None]
            mine, theirs = sum(a for a, _ in both), sum(b for _, b in both)
            if both and theirs:
                apart.append({"source": one, "against": other, "requests": len(both), "tokens": mine, "against_tokens": theirs, "share": mine / theirs - 1})
        server = len([c for c in counts if c.get("server") is not None])
        own = len([c for c in counts if c.get("server") is None and c.get("tokenizer") is not None])
        if server + own < 0.99 * len(counts):
            source = "events" if sums.get("events") is not None else "estimate"
        else:
            source = "server" if not own else "server + tokenizer" if server else "tokenizer"
        right[side] = {"sums": sums, "divergence": apart, "source": source, "requests": len(counts)}
        right[side]["impossible"] = len([r for r in answered if "impossible_usage" in r.get("flags", []) and r[f"{side}_tokens"].get("server") is None])
    if said is None:
        return said, right
    entry = {}
    for side in ("input", "output"):
        sums = {k: v for k, v in said[side]["sums"].items() if v is not None}
        apart = [{k: v for k, v in d.items() if k != "is_large"} for d in said[side].get("divergence") or []]
        entry[side] = {"sums": sums, "divergence": apart, "source": said[side].get("source"), "requests": said[side].get("requests"), "impossible": said[side].get("impossible", 0)}
    return entry, right


def client(said, unit_, seconds):
    sent = [r for r in unit_.requests if r.get("sent_ns") is not None]
    right = {
        "connections_opened": len([r for r in sent if r.get("connected_ns") is not None and not r["connection"]["reused"]]),
        "connections_reused": len([r for r in sent if r["connection"]["reused"]]),
        "bytes_in": sum(r["bytes_in"] for r in unit_.requests),
        "token_events": sum(len(r.get("token_ns") or []) for r in unit_.requests),
    }
    if "posts" in said:
        gaps = [gap for r in ok(unit_.requests) for gap in metrics.itl(r)]
        resent = len([r for r in sent if "stale_reuse_resent" in (r.get("flags") or [])])
        right |= {"resent": resent, "posts": len(sent) + resent, "token_gaps": len(gaps), "shared_reads": len([g for g in gaps if g == 0])}
        if "peak_in_flight" in said:
            right["peak_in_flight"] = metrics.peak(sent)
        right["in_one_piece"] = len([r for r in ok(unit_.requests) if metrics.in_one_piece(r)])
    cpu = (unit_.end or {}).get("cpu_ns")
    if cpu is not None:
        right["cpu_s"] = cpu / 1e9
        right["cpu_share"] = cpu / 1e9 / seconds if seconds else None
    return {k: said.get(k) for k in right}, right


def answers(said, requests):
    """Why answers ended, and what about them is not as asked; (said, right)."""
    reasons, flags, models = {}, {}, {}
    for r in requests:
        if reason := r.get("finish_reason") or ("(none given)" if r["outcome"] == "ok" else None):
            reasons[reason] = reasons.get(reason, 0) + 1
        for flag in r.get("flags") or [] if r["outcome"] == "ok" else []:
            flags[flag] = flags.get(flag, 0) + 1
        if r["outcome"] == "ok" and r.get("other_model"):
            models[r["other_model"]] = models.get(r["other_model"], 0) + 1
    told = sum(reasons.values())
    right = {
        "finish_reasons": {name: {"answers": n, "share": n / told} for name, n in reasons.items()},
        "remarks": flags,
        "other_models": models,
        "impossible": next((r["impossible"] for r in ok(requests) if r.get("impossible")), {}),
    }
    return {k: said.get(k) or {} for k in right}, right


STEADY = ("ttft", "ttft_due", "ttfo", "ttfo_due", "e2e", "e2e_due", "tpot", "tokens_per_second", "itl", "output_tokens", "input_tokens", "response_end")


def steady(differ, where, said, from_ns, requests, untold):
    """The figures of the steady part, by its own bounds."""
    low, high = from_ns + round(said["from_s"] * 1e9), from_ns + round(said["to_s"] * 1e9)
    seconds = (high - low) / 1e9
    due = [r for r in requests if r.get("due_ns") is not None and low <= r["due_ns"] < high and r["outcome"] != "never_started"]
    ended = [r for r in ok(requests) if low <= ended_ns(r) < high]
    answered, errors = ok(due), failed(due)
    if len(ok(requests)) > EXACT:
        return  # told from a sample there
    same = lambda name, right: differ(f"{where}: steady.{name}", said.get(name), right)
    same("requests", len(due))
    same("ok", len(answered))
    same("success_rate", rate(len(answered), len(answered) + len(errors)))
    same("requests_per_second", len(ended) / seconds)
    made = [metrics.output_tokens(r) for r in ended if metrics.output_tokens(r) is not None]
    same("output_tokens_per_second", sum(made) / seconds if made and "output_tokens_per_second" not in untold else None)
    due.sort(key=lambda r: (r["due_ns"], r["index"]))
    among = sent_and_ended([r for r in requests if r.get("due_ns") is not None])
    times = lambda name: (sent_and_ended([r for r in ok(due) if name in metrics.PER_REQUEST and metrics.PER_REQUEST[name](r) is not None]), among)
    distributions(differ, f"{where}: steady.metrics", said["metrics"], metrics.samples(due, untold), set(said["metrics"]) | {"ttft", "e2e", "tpot"}, times)


def rounds(differ, where, said, unit_):
    """Each round by itself, and how far they lie apart."""
    spreads = {}
    for (line, inside, never, rate_), told in zip(each_round(unit_), said["each"]):
        seconds = (line["at_ns"] - line["from_ns"]) / 1e9
        name = f"{where}: round {line['round']}"
        differ(f"{name} start_s", told["start_s"], (line["from_ns"] - unit_.from_ns) / 1e9)
        differ(f"{name} end_s", told["end_s"], (line["at_ns"] - unit_.from_ns) / 1e9)
        right = {
            "planned": line["planned"],
            "ok": len(ok(inside)),
            "errors": len(failed(inside)),
            "cancelled": len(outcome(inside, "cancelled")),
            "dropped_late": len(outcome(inside, "dropped_late")),
            "never_started": never,
        }
        differ(f"{name} counts", {k: told["counts"][k] for k in right}, right)
        clock = right["ok"] / rate_ if rate_ else seconds
        differ(f"{name} throughput", told["throughput"], throughput(inside, clock, line["planned"]), 1e-6)
        distributions(differ, f"{name} metrics", told["metrics"], metrics.samples(inside), times=sent_and_ended(inside))
        differ(f"{name} achieved_rate", told.get("achieved_rate"), rate_, 1e-6)
        kept = dict(right, lost_in_flight=0)
        differ(f"{name} goodput", told.get("goodput"), goodput(unit_, kept, throughput(inside, clock, line["planned"]), inside), 1e-6)
        for metric, entry in told["metrics"].items():
            for key in ("p50", "p90", "p95", "p99", "mean"):
                spreads.setdefault(f"{metric}.{key}", []).append(entry[key])
        spreads.setdefault("achieved_rate", []).append(told.get("achieved_rate"))
        spreads.setdefault("success_rate", []).append(told.get("success_rate"))
        for key, value in told["throughput"].items():
            spreads.setdefault(key, []).append(value)
        spreads["requests_per_second"][-1] = told.get("achieved_rate")  # as of the whole: what a load achieved
        if told.get("goodput"):
            spreads.setdefault("goodput", []).append(told["goodput"].get("per_second"))
            spreads.setdefault("goodput_share", []).append(told["goodput"].get("share"))
        if told.get("steady"):
            steady(differ, name, told["steady"], line["from_ns"], inside, metrics.untold(inside))
    differ(f"{where}: rounds", len(said["each"]), len(unit_.rounds))
    for figure, told in said["over"].items():
        values = [v for v in spreads.get(figure, []) if v is not None]
        if figure not in spreads:
            differ.wrong(f"{where}: rounds.over.{figure}: a figure that no round has")
            continue
        right = {"rounds": len(values), "mean": stats.mean(values), "std": stats.std(values), "min": min(values), "max": max(values), "interval": stats.interval_of_mean(values)}
        differ(f"{where}: rounds.over.{figure}", {k: told.get(k) for k in right}, right, 1e-5, 1e-6)


def windowed(differ, where, said, unit_):
    """One stretch: requests by when they ended; times, tokens and means of complete answers."""
    low, high = (unit_.from_ns + round(said[k] * 1e9) for k in ("start_s", "end_s"))
    until = high + (1 if said.get("partial") else 0)
    inside = [r for r in unit_.requests if r.get("end_ns") is not None and low <= r["end_ns"] < until]
    answered = ok(inside)
    seconds = said["end_s"] - said["start_s"]
    same = lambda name, right: differ(f"{where}: window {said['window']} {name}", said.get(name), right, 1e-6)
    same("requests", len(inside))
    same("ok", len(answered))
    same("success_rate", rate(len(answered), len(inside)))
    same("requests_per_second", len(inside) / seconds)
    for side, take in (("input", metrics.input_tokens), ("output", metrics.output_tokens)):
        known = [take(r) for r in answered if take(r) is not None]
        every = len(known) == len(answered)
        same(f"{side}_tokens", sum(known) if every else None)
        same(f"mean_{side}_tokens", stats.mean(known) if known else None)
        same(f"{side}_tokens_per_minute", sum(known) / seconds * 60 if every else None)
    for name, metric in (("ttft_ms", "ttft_due"), ("tpot_ms", "tpot"), ("e2e_ms", "e2e_due"), ("tokens_per_second", "tokens_per_second")):
        values = [v for v in map(metrics.PER_REQUEST[metric], answered) if v is not None]
        right = {"min": min(values), "max": max(values)} if values else None
        if values:
            right |= {f"p{p}": stats.percentile(values, p) for p in (50, 90, 95, 99)}
        same(name, right)


def local(request):
    """Whether this machine had no connection left for it."""
    return (request.get("error") or {}).get("class") in ("connect.fd_limit", "connect.no_local_port")


def unreachable(unit_):
    """How often the endpoint took no connection, and the longest time until a later request was answered (ms)."""
    missed, times, since, answered, longest = 0, 0, None, -1, None
    for r in unit_.requests:
        sent = r.get("sent_ns")
        if r["outcome"] == "connect" and not local(r):
            missed += 1
            if since is None and sent > answered:
                times, since = times + 1, sent
            elif since is not None:
                since = min(since, sent)
        elif r["outcome"] == "ok" and r.get("headers_ns") is not None:
            answered = max(answered, sent)
            if since is not None and since < sent:
                longest, since = max(longest or 0, r["headers_ns"] - since), None
    return {"requests": missed, "times": max(times, 1), "recovery": longest and longest / 1e6}
