"""What a unit's entry of summary.json says beside its figures: which it is, how it ended, its flush, what its cache was not.

Learned from the code: a cold stage expects a tenth of a prompt from the cache at most, a warm one three quarters at least;
foreign traffic is more prompt tokens by the server's counter than by its answers, by 5 % and 64.
"""

import math
import re

from . import figures, metrics, server, steady
from .log import failed, ok

UNITS = {"success_rate": "share", "error_rate": "share", "cached_share": "share", "cache_hit_rate": "share", "goodput_share": "share", "goodput": "requests/s", "requests_per_second": "requests/s", "output_tokens_per_second": "tokens/s", "input_tokens_per_second": "tokens/s", "cache": "verdict", "flush": "verdict"}


def unit_of(name, aggregate=None):
    return "samples" if aggregate == "count" else UNITS.get(name) or metrics.UNITS.get(name, "ms")


def unit(differ, said, unit_, log):
    where = unit_.name()
    same = lambda name, one, right, **tolerance: differ(f"{where}: {name}", one, right, **tolerance)
    start, end = unit_.start, unit_.end or {}
    for key in ("kind", "endpoint", "model", "like", "reported"):
        same(key, said.get(key), start.get(key))
    if unit_.end:
        same("state", said["state"], end["state"])
        same("reason", said.get("reason"), end.get("reason"))
    seen = end.get("wake_lag")
    same("client.wake_moments", (said.get("client") or {}).get("wake_moments", 0), seen["count"] if seen else 0)
    same("client.wake_lag_p95_ms", (said.get("client") or {}).get("wake_lag_p95_ms"), seen["p95_ns"] / 1e6 if seen else None)
    if unit_.load:
        told, asked, peak = said["load"], unit_.load, metrics.peak(unit_.requests)
        if unit_.end:
            same("load.peak_in_flight", told.get("peak_in_flight"), peak or None)
            cap = start.get("concurrency") if asked.get("target_rate") is not None else None
            same("load.capped_at", told.get("capped_at"), cap if cap is not None and peak >= cap else None)
        same("load.max_lag_ms", told.get("max_lag_ms"), asked.get("max_lag_ms"))
        same("load.pauses", told.get("pauses", False), asked.get("pauses", False))
        paced(differ, f"{where}: load.paced", told, unit_)
    first = {}
    for r in failed(unit_.requests):
        first.setdefault(r["error"]["class"], r["error"]["message"])
    same("error_samples", said.get("error_samples") or {}, first)
    for name, why in (said.get("untold") or {}).items():
        untold(differ, f"{where}: untold.{name}", name, why, unit_)
    if said.get("flush"):
        same("flush", dict(said["flush"]), {k: v for k, v in unit_.flush.items() if k not in ("type", "seq")})
        numbers = re.findall(r"\((\d+) of (\d+) tokens cached\)", said["flush"]["summary"])
        if numbers:
            same("flush: tokens of its summary", [int(n) for n in numbers[0]], [unit_.flush["cached_tokens"], unit_.flush["prompt_tokens"]])
    same("contamination", [dict(c) for c in said.get("contamination") or []], contamination(unit_, log))
    if said.get("models") or any(r.get("asked_model") for r in unit_.requests):
        models(differ, f"{where}: models", said.get("models") or {}, unit_)
    if said.get("addresses") or len({(r.get("connection") or {}).get("address") for r in unit_.requests} - {None}) > 1:
        addresses(differ, f"{where}: addresses", said.get("addresses") or {}, unit_)
    ended_by_plan = bool(end) and end["state"] == "completed" and not end.get("reason")
    if not unit_.rounds:
        steady_part(differ, where, said, unit_, unit_.requests, unit_.from_ns, ended_by_plan)
    for line, told in zip(unit_.rounds, (said.get("rounds") or {}).get("each") or []):
        first = sum(r["planned"] for r in unit_.rounds[: line["round"]])
        inside = [r for r in unit_.requests if first <= r["index"] < first + line["planned"]]
        rest_of_round(differ, f"{where}: round {line['round']}", told, line, unit_, inside)
    for figure, told in ((said.get("rounds") or {}).get("over") or {}).items():
        name, _, aggregate = figure.partition(".")
        same(f"rounds.over.{figure}.unit", told["unit"], unit_of("requests_per_second" if name == "achieved_rate" else name, aggregate))
    windows(differ, where, said.get("windows") or [], unit_, log)
    whose(differ, f"{where}: tokens", said.get("tokens") or {}, unit_)


def paced(differ, where, told, unit_):
    """What users who wait did not see: every request stands for those that its user would have sent meanwhile."""
    if told.get("paced"):
        differ(f"{where}.every_ms", told["paced"]["every_ms"], unit_.start["concurrency"] / told["achieved_rate"] * 1e3, 1e-6)
        met, every = metrics.samples(unit_.requests)["ttft_due"], told["paced"]["every_ms"]
        # Each late answer stands for those that its user would have sent meanwhile, the last a pace before its end.
        asked = sorted(v - k * every for v in met for k in range(max(1, int(v // every))))
        right = asked[max(0, math.ceil(0.99 * len(asked)) - 1)]
        differ(f"{where}.p99_ms", told["paced"]["p99_ms"], right, 1e-4, 2e-6 * max(met))


def untold(differ, where, name, why, unit_):
    """The numbers in the sentence on why a metric cannot be told."""
    answered = ok(unit_.requests)
    gaps = [gap for r in answered for gap in metrics.itl(r)]
    if share := re.match(r"([\d.]+ %) of the gaps", why):
        differ.shown(where, share.group(1), len([g for g in gaps if g == 0]) / len(gaps))
    elif counts := re.match(r"tokens of (\d+) of (\d+) (answers|prompts)", why):
        take = metrics.output_tokens if counts.group(3) == "answers" else metrics.input_tokens
        right = [len([r for r in answered if take(r) is None]), len(answered)]
        differ(where, [int(n) for n in counts.groups()[:2]], right)
    elif re.search(r"\d", why.replace("`e2e`", "")):
        differ.wrong(f"{where}: numbers that this reader does not know: {why!r}")
    else:
        differ(f"{where}: all answers came whole", all(metrics.is_whole(r) for r in answered), True)
    differ.held(why)


def contamination(unit_, log):
    claim, answered = unit_.start.get("expects"), ok(unit_.requests)
    if claim not in ("cold", "warm"):
        return []
    found, foul = [], [r for r in answered if r["cache"] not in (claim, "unknown") and metrics.cached_tokens(r) is not None]
    if foul:
        whole = [metrics.prompt_of_cached(r) or 0 for r in foul]
        share = figures.COLD if claim == "cold" else figures.WARM
        entry = {"kind": "unexpected_hits" if claim == "cold" else "unexpected_misses", "requests": len(foul), "first": min(r["index"] for r in foul)}
        found.append({**entry, "expected_tokens": int(sum(whole) * share + 0.5), "seen_tokens": sum(metrics.cached_tokens(r) for r in foul)})
        before = failed_before(unit_, log, foul) if claim == "warm" else []
        if before:
            found[0] |= {"failed_before": len(before), "failed_in": before[-1]}
    if unit_.end is None:
        return found
    readings = [s for s in log.server if s["endpoint"] == unit_.start["endpoint"] and unit_.start["seq"] < s["seq"] < unit_.end["seq"] and not s.get("error")]
    grown = server.growth(readings) if len(readings) > 1 else {}
    own = [r["input_tokens"].get("server") for r in answered]
    alone = not any(u is not unit_ and u.start["endpoint"] == unit_.start["endpoint"] and u.start["seq"] < unit_.end["seq"] and (u.end or unit_.end)["seq"] > unit_.start["seq"] for u in log.units)
    calm = not grown.get("preemptions") and len(answered) == len([r for r in unit_.requests if r.get("sent_ns") is not None]) and alone
    if "prompt_tokens" in grown and own and None not in own and calm and grown["prompt_tokens"] > sum(own) * 1.05 + 64:
        found.append({"kind": "foreign_traffic", "requests": 0, "expected_tokens": sum(own), "seen_tokens": round(grown["prompt_tokens"])})
    return found


def failed_before(unit_, log, foul):
    """The cold stages in which prompts of `foul` failed, where this is their first answer since."""
    waiting, found, those = {}, [], {id(r) for r in foul}
    for unit in log.units[: log.units.index(unit_) + 1]:
        if unit.start["endpoint"] != unit_.start["endpoint"]:
            continue
        for r in unit.requests:
            if r["outcome"] == "ok":
                stage = waiting.pop(r.get("prompt_hash"), None)
                if stage is not None and id(r) in those:
                    found.append(stage)
            elif failed([r]) and unit.start.get("expects") == "cold":
                waiting[r.get("prompt_hash")] = unit.key[0]
    return found


def models(differ, where, said, unit_):
    """By the model that a row asked for."""
    by = {}
    for r in unit_.requests:
        if r.get("asked_model"):
            by.setdefault(r["asked_model"], []).append(r)
    differ(f"{where}: names", sorted(said), sorted(by))
    for name, requests in by.items():
        if name in said:
            differ(f"{where} {name}.ok", said[name]["ok"], len(ok(requests)))
            differ(f"{where} {name}.errors", said[name]["errors"], len(failed(requests)))
            samples = {k: v for k, v in metrics.samples(requests, metrics.untold(unit_.requests)).items() if k in ("ttft", "e2e")}
            figures.distributions(differ, f"{where} {name}.metrics", said[name]["metrics"], samples, certain=False)


def addresses(differ, where, said, unit_):
    by = {}
    for r in unit_.requests:
        to = (r.get("connection") or {}).get("address")
        if to and r.get("sent_ns") is not None:
            entry = by.setdefault(to, {"connections": 0, "requests": 0})
            entry["requests"] += 1
            entry["connections"] += not r["connection"]["reused"] and r.get("connected_ns") is not None
    differ(where, {k: dict(v) for k, v in said.items()}, by)


def steady_part(differ, where, said, unit_, requests, began, ended_by_plan):
    line = (unit_.load or {}).get("steady")
    if line is None or len(ok(requests)) > steady.KEPT:
        return
    told = said.get("steady")
    try:
        by, low, high, whole = steady.place(line, requests, began, ended_by_plan)
    except steady.Unsteady as why:
        if told:
            differ.wrong(f"{where}: a steady part from {told['from_s']} to {told['to_s']} s, where there is none: {why}")
            return
        sentence = said.get("unsteady") or ""
        differ.held(said.get("unsteady"))
        if why.words not in sentence:
            differ.wrong(f"{where}: unsteady: says {sentence!r}, and it is so that {why.words!r}")
        shown = re.findall(r"[\d.,]+ (?:ms|s|min)(?!\w)", sentence)
        if len(shown) != len(why.figures):
            differ(f"{where}: unsteady: figures of {sentence!r}", len(shown), len(why.figures))
        for text, right in zip(shown, why.figures):
            differ.shown(f"{where}: unsteady", text, right)
        return
    if not told:
        differ.wrong(f"{where}: no steady part ({said.get('unsteady')}), where there is one from {low / 1e9} to {high / 1e9} s")
        return
    right = {"by": by, "from_s": low / 1e9, "to_s": high / 1e9, "whole": whole}
    differ(f"{where}: steady", {key: told.get(key) for key in right}, right)


def rest_of_round(differ, where, said, line, unit_, inside):
    differ(f"{where}: number", said["round"], line["round"])
    counts = {"ok": len(ok(inside)), "errors": len(failed(inside))}
    differ(f"{where}: success_rate", said.get("success_rate"), figures.rate(counts["ok"], counts["ok"] + counts["errors"]))
    differ(f"{where}: counts.lost_in_flight", said["counts"]["lost_in_flight"], 0)
    steady_part(differ, where, said, unit_, inside, line["from_ns"], True)


def windows(differ, where, said, unit_, log):
    """Where each begins and ends."""
    length = (unit_.load or {}).get("window_ms")
    took = (log.end_ns(unit_) - unit_.from_ns) / 1e9
    for number, told in enumerate(said):
        right = {"window": number, "start_s": number * length / 1e3, "end_s": min(took, (number + 1) * length / 1e3)}
        differ(f"{where}: window {number}", {key: told[key] for key in right}, right)
        differ(f"{where}: window {number} partial", told.get("partial", False), (number + 1) * length / 1e3 > took)


def whose(differ, where, said, unit_):
    for side, told in said.items():
        counts = [r[f"{side}_tokens"] for r in ok(unit_.requests)]
        differ(f"{where}.{side}.by_server", told["by_server"], len([c for c in counts if c.get("server") is not None]))
        differ(f"{where}.{side}.by_tokenizer", told["by_tokenizer"], len([c for c in counts if c.get("server") is None and c.get("tokenizer") is not None]))
        for apart in told.get("divergence") or []:
            # The largest difference that a template or an end mark explains is of few tokens a request.
            if abs(apart["share"]) <= 0.1:
                differ(f"{where}.{side}.divergence.is_large", apart["is_large"], False)
            else:
                differ.held(apart["is_large"])


def run(differ, said, log):
    """What stands at the head of summary.json."""
    told = said["run"]
    right = {"id": log.run["run_id"], "plan": log.run["plan"], "seed": log.run["seed"], "simulated": log.run["simulated"], "started_at": log.run["started_at"]}
    differ("run", {key: told.get(key) for key in right}, right)
    differ("verdict.pass", said["verdict"]["pass"], said["verdict"]["exit_code"] == 0)
