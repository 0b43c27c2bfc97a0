"""The files of other tools, by those tools' own definitions (from their documentation and source).

| tool | first token | per-token time | end |
|---|---|---|---|
| vllm-bench | first event, role or not | (e2e - ttft) / (n - 1) | last token |
| aiperf, genai-perf | first content or reasoning | (e2e - ttft) / (n - 1), n by the client's tokenizer | last token |
| guidellm | first content or reasoning | TPOT (last - sent) / n; ITL (last - first) / (n - 1) | body's end |
| inference-perf, llm-d | first content, reasoning unseen | (e2e - ttft) / (n - 1), e2e / n, n by the client's tokenizer | body's end |
| ttft-cache | first content | - | - |
| batching-cache | headers | (e2e - ttft) / (n - 1), n of four characters each | body's end |
| bench-pack | first event | tokens over the sum of (latency - ttft) | body's end |
| qps-benchmark | first event | content events over e2e | body's end |
| replay-rounds | first content | (e2e - ttft) / (n - 1), ms | body's end |

Rates are over the time from the first send to the last answer. Standard deviations are those of the population
(numpy's), percentiles type 7, but for qps-benchmark and batching-cache, which take the value at n * share of the
sorted list. A file is matched to the unit whose first request was sent at the moment (or has the level) that it
names; one that matches none is a difference, and so is a unit without a file.
"""

import csv
import datetime
import json
import math
import pathlib
import subprocess
import tempfile

from . import metrics, stats
from .log import failed, ok


def population_std(values):
    middle = stats.mean(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / len(values))


def nanoseconds(text):
    whole, _, rest = text.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(at.timestamp()) * 10**9 + int((rest + "0" * 9)[:9])


def sent(unit):
    return [r for r in unit.requests if r.get("sent_ns") is not None]


def began(unit, log):
    """Nanoseconds since 1970 of its first request; its own beginning where none was sent."""
    return nanoseconds(log.run["started_at"]) + min((r["sent_ns"] for r in sent(unit)), default=unit.from_ns)


def span(unit):
    """Seconds from the first send to the last answer, of whatever was sent."""
    gone = [r for r in sent(unit) if r.get("end_ns") is not None]
    return (max(r["end_ns"] for r in gone) - min(r["sent_ns"] for r in gone)) / 1e9 if gone else 0.0


def rate(count, unit):
    return count / span(unit) if span(unit) else 0.0


def counted(tokens, *sources):
    """Tokens by the first of the sources that has them, then by whatever else counts."""
    return next((tokens[s] for s in (*sources, "server", "tokenizer", "events", "estimate") if tokens.get(s) is not None), None)


class Rows:
    """Samples of the complete answers, in milliseconds and tokens, by the moments that tools know."""

    def __init__(self, requests):
        self.lists = {}
        for r in ok(requests):
            self.answer(r)

    def __getitem__(self, name):
        return self.lists.get(name, [])

    def answer(self, r):
        told, stamps = r["output_tokens"], r.get("token_ns") or []
        first = r.get("first_token_ns")
        at = {
            "headers": r.get("headers_ns"),
            "event": first if r.get("first_event_ns") is None else r["first_event_ns"],
            "token": first,
            "content": r.get("first_content_ns"),
            "last": r.get("end_ns") if r.get("last_token_ns") is None else r["last_token_ns"],
            "end": r.get("end_ns"),
        }
        count = {"n": counted(told), "own": counted(told, "tokenizer"), "quarter": counted(told, "estimate"), "in": counted(r["input_tokens"])}
        for name, value in count.items():
            self.put(name, value)
        for name, value in at.items():
            self.put(name, None if value is None or value < r["sent_ns"] else (value - r["sent_ns"]) / 1e6)
        for begin, until, n in (("event", "last", "n"), ("token", "last", "n"), ("token", "last", "own"), ("content", "end", "own"), ("content", "end", "n"), ("headers", "end", "quarter")):
            if None not in (at[begin], at[until], count[n]) and at[until] >= at[begin] and count[n] > 1:
                gap = (at[until] - at[begin]) / 1e6 / (count[n] - 1)
                self.put(f"{begin}-{until}/{n}", gap)
                if gap > 0:
                    self.put(f"1/{begin}-{until}/{n}", 1e3 / gap)
        for until, n in (("last", "n"), ("end", "own")):
            if at[until] is not None and count[n]:
                self.put(f"{until}/{n}", (at[until] - r["sent_ns"]) / 1e6 / count[n])
        took = (at["end"] - r["sent_ns"]) / 1e9 if at["end"] is not None else 0
        seen = [s for s in stamps if at["content"] is not None and s >= at["content"]]
        if took > 0:
            self.put("n/s", None if count["n"] is None else count["n"] / took)
            self.put("seen/s", None if at["content"] is None else len(seen) / took)
        # Of whatever choice: other tools do not tell them apart.
        role = [at["event"]] if stamps and at["event"] is not None and at["event"] < stamps[0] else []
        for name, of in (("gaps", stamps), ("gaps with role", role + stamps), ("gaps of content", seen)):
            for a, b in zip(of, of[1:]):
                self.put(name, max(0, b - a) / 1e6)

    def put(self, name, value):
        if value is not None:
            self.lists.setdefault(name, []).append(value)


def has_rate(unit):
    """A stage whose clock decides, with one rate."""
    return (unit.load or {}).get("target_rate") is not None


def has_users(unit):
    """A closed loop: what limits a schedule is no concurrency that was asked for."""
    load = unit.load or {}
    return unit.start.get("concurrency") is not None and load.get("target_rate") is None and load.get("arrival") is None


# Of the other tools any stage can be a file.
TAKES = {"qps-benchmark": has_rate, "bench-pack": has_users}


def check(differ, log, folder, runner, reported):
    """Every format of the run."""
    units = [u for u in log.units if u.start["reported"] and u.requests]
    with tempfile.TemporaryDirectory() as scratch:
        for name, reader in FORMATS.items():
            into = pathlib.Path(scratch) / name
            done = subprocess.run([runner, "report", str(folder), "--format", "none", "--export", f"{name}={into}"], capture_output=True, text=True, check=False)
            takes = TAKES.get(name, lambda unit: True)
            if "error" in done.stderr or "panicked" in done.stderr:
                if "no stage of the run has" not in done.stderr or any(takes(u) for u in units):
                    differ.wrong(f"export {name}: {done.stderr[-200:]}")
            elif units:
                reader(lambda where, *figures: differ(f"{name} {where}", *figures), into, list(units), log)


def files(differ, into, pattern, units, log, start):
    """(unit, what its file says): every file has a unit, and every unit a file."""
    for path in sorted(into.glob(pattern)):
        told = json.loads(path.read_text(encoding="utf-8"))
        at = start(told, path)
        unit = next((u for u in units if abs(began(u, log) - at) < 2000), None)
        differ(f"{path.name}: a unit began at {at}", unit is not None, True)
        if unit:
            units.remove(unit)
            yield unit, told
    differ("units without a file", [u.name() for u in units], [])


def figures_of(differ, where, told, values, names, scale=1.0):
    """What a tool says of some samples: mean, deviation, percentiles under its names."""
    if not values:
        differ(f"{where} has samples", any((told or {}).get(name) for name in names), False)
        return
    values = sorted(float(v) for v in values)
    whole = {"mean": stats.mean, "std": population_std, "min": min, "max": max, "count": len, "sum": math.fsum}
    for name, key in names.items():
        right = whole[key](values) if key in whole else stats.percentile(values, key)
        differ(f"{where} {name}", told[name], right * (1 if key == "count" else scale), 1e-6, 1e-9)


def vllm(differ, into, units, log):
    for unit, told in files(differ, into, "*.json", units, log, lambda told, _: nanoseconds(told["date"])):
        where, rows, answers = unit.name(), Rows(unit.requests), ok(unit.requests)
        for name, right in (("completed", len(answers)), ("failed", len(unit.requests) - len(answers)), ("num_prompts", len(unit.requests)), ("total_output_tokens", sum(rows["n"])), ("total_input_tokens", sum(rows["in"]))):
            differ(f"{where} {name}", told[name], right)
        for name, right in (("duration", span(unit)), ("request_throughput", rate(len(answers), unit)), ("output_throughput", rate(sum(rows["n"]), unit)), ("total_token_throughput", rate(sum(rows["n"]) + sum(rows["in"]), unit))):
            differ(f"{where} {name}", told[name], right, 1e-6, 1e-9)
        api = unit.start.get("api")
        word = {"openai-completions": "openai", "triton": "tensorrt-llm", "llamacpp-completion": "llama.cpp"}.get(api, api)
        differ(f"{where} endpoint_type", [told["endpoint_type"], told["backend"]], [word, word])
        for key, values in (("ttft", rows["event"]), ("tpot", rows["event-last/n"]), ("itl", rows["gaps with role"]), ("e2el", rows["last"])):
            figures_of(differ, where, told, values, {f"mean_{key}_ms": "mean", f"median_{key}_ms": 50, f"std_{key}_ms": "std", f"p99_{key}_ms": 99})


AIPERF = {"avg": "mean", "min": "min", "max": "max", "std": "std", **{f"p{p}": p for p in (25, 50, 75, 90, 95, 99)}}
TYPES = {"openai-chat": "chat", "openai-completions": "completions", "openai-responses": "responses", "tgi": "huggingface_generate", "triton": "generate"}


def perf(differ, unit, told, names):
    """What AIPerf and genai-perf say alike."""
    where, rows, answers = unit.name(), Rows(unit.requests), ok(unit.requests)
    for name, values in (("time_to_first_token", rows["token"]), ("inter_token_latency", rows["token-last/own"]), ("request_latency", rows["last"]), ("output_sequence_length", rows["own"]), ("input_sequence_length", rows["in"]), ("output_token_throughput_per_user", rows["1/token-last/own"])):
        figures_of(differ, f"{where} {name}", told.get(name), values, names)
    for name, right in (("request_throughput", rate(len(answers), unit)), ("output_token_throughput", rate(sum(rows["own"]), unit)), ("request_count", float(len(answers)))):
        differ(f"{where} {name}", told[name]["avg"], right, 1e-6, 1e-9)
    api = unit.start.get("api")
    differ(f"{where} endpoint type", told["input_config"]["endpoint"]["type"], TYPES.get(api, api))


def aiperf(differ, into, units, log):
    for unit, told in files(differ, into, "*/profile_export_aiperf.json", units, log, lambda told, _: nanoseconds(told["start_time"])):
        perf(differ, unit, told, {**AIPERF, "count": "count", "sum": "sum", "p1": 1, "p5": 5, "p10": 10})
        differ(f"{unit.name()} benchmark_duration", told["benchmark_duration"]["avg"], span(unit), 1e-6, 1e-9)
        differ(f"{unit.name()} error_request_count", told["error_request_count"]["avg"], len(failed(unit.requests)))


def genai_perf(differ, into, units, log):
    raw = lambda path: json.loads((path.parent / "profile_export.json").read_text(encoding="utf-8"))["experiments"][0]
    for unit, told in files(differ, into, "*/profile_export_genai_perf.json", units, log, lambda _, path: raw(path)["window_boundaries"][0]):
        perf(differ, unit, told, AIPERF)
        path = next(p for p in into.glob("*/profile_export.json") if raw(p)["window_boundaries"][0] - began(unit, log) in range(-2000, 2000))
        since = nanoseconds(log.run["started_at"])
        said = [(r["timestamp"] - since, [at - since for at in r["response_timestamps"]]) for r in raw(path)["requests"]]
        differ(f"{unit.name()} requests of the raw file", said, [(r["sent_ns"], r.get("token_ns") or []) for r in ok(unit.requests)])


def guidellm(differ, into, units, log):
    told = json.loads((into / "benchmarks.json").read_text(encoding="utf-8"))
    differ("benchmarks", len(told["benchmarks"]), len(units))
    names = {"mean": "mean", "std_dev": "std", "min": "min", "max": "max", "count": "count", "median": 50}
    shares = {"p01": 1, "p05": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}
    for entry, unit in zip(told["benchmarks"], units):
        where, rows, said = unit.name(), Rows(unit.requests), entry["metrics"]
        at = entry["scheduler_state"]["start_time"]
        differ(f"{where} start_time", at, began(unit, log) / 1e9, 1e-15, 1e-6)
        for name, values, scale in (("request_latency", rows["end"], 1e-3), ("time_to_first_token_ms", rows["token"], 1), ("time_to_first_output_token_ms", rows["content"], 1), ("inter_token_latency_ms", rows["token-last/n"], 1), ("time_per_output_token_ms", rows["last/n"], 1), ("output_token_count", rows["n"], 1), ("prompt_token_count", rows["in"], 1)):
            found = said[name]["successful"]
            figures_of(differ, f"{where} {name}", found, values, names, scale)
            figures_of(differ, f"{where} {name}", (found or {}).get("percentiles"), values, shares, scale)
        for name, right in (("requests_per_second", rate(len(ok(unit.requests)), unit)), ("output_tokens_per_second", rate(sum(rows["n"]), unit))):
            differ(f"{where} {name}", said[name]["successful"]["mean"], right, 1e-6, 1e-9)
        differ(f"{where} successful", said["request_totals"]["successful"], len(ok(unit.requests)))
        differ(f"{where} errored", said["request_totals"]["errored"], len(failed(unit.requests)))


INFERENCE_PERF = {"mean": "mean", "min": "min", "max": "max", "median": 50, "p0.1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9}


def latencies(rows):
    """What inference-perf measures, which llm-d's reports have under its names."""
    return {"request_latency": rows["end"], "time_to_first_token": rows["content"], "time_per_output_token": rows["content-end/own"], "normalized_time_per_output_token": rows["end/own"], "inter_token_latency": rows["gaps of content"]}


def inference_perf(differ, into, units, log):
    found = sorted(into.glob("stage_*_lifecycle_metrics.json"), key=lambda f: int(f.name.split("_")[1]))
    differ("files", len(found), len(units))
    for file, unit in zip(found, units):
        told, where, rows = json.loads(file.read_text(encoding="utf-8")), unit.name(), Rows(unit.requests)
        for name, values in latencies(rows).items():
            figures_of(differ, f"{where} {name}", told["successes"]["latency"][name], values, INFERENCE_PERF, 1e-3)
        said = told["successes"]["throughput"]
        for name, right in (("requests_per_sec", len(ok(unit.requests))), ("output_tokens_per_sec", sum(rows["own"])), ("input_tokens_per_sec", sum(rows["in"]))):
            differ(f"{where} {name}", said[name], rate(right, unit), 1e-6, 1e-9)
        differ(f"{where} send_duration", told["load_summary"]["send_duration"], span(unit), 1e-6, 1e-9)
        differ(f"{where} successes", told["successes"]["count"], len(ok(unit.requests)))
        differ(f"{where} failures", told["failures"]["count"], len(failed(unit.requests)))


LLM_D = {"mean": "mean", "stddev": "std", "min": "min", "max": "max", "p0p1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p99p9": 99.9}


def llm_d(differ, into, units, log):
    for unit, told in files(differ, into, "*.json", units, log, lambda told, _: nanoseconds(told["run"]["time"]["start"])):
        found, rows = told["results"]["request_performance"]["aggregate"], Rows(unit.requests)
        differ(f"{unit.name()} total", found["requests"]["total"], len(unit.requests))
        differ(f"{unit.name()} failures", found["requests"]["failures"], len(failed(unit.requests)))
        differ(f"{unit.name()} request_rate", found["throughput"]["request_rate"]["mean"], rate(len(ok(unit.requests)), unit), 1e-6, 1e-9)
        for name, values in latencies(rows).items():
            figures_of(differ, f"{unit.name()} {name}", found["latency"].get(name), values, LLM_D, 1e-3)


def ranked(values, share):
    """The value at n * share of the sorted list, as two of the tools have it."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share / 100))] if values else 0.0


def batching_cache(differ, into, units, log):
    folders = {path.parent.name if len(units) > 1 else "": json.loads(path.read_text(encoding="utf-8")) for path in into.glob("**/results.json")}
    differ("files", len(folders), len(units))
    for told in folders.values():
        # Nothing in it names its stage but its figures: the time it took is one of a unit's.
        unit = next((u for u in units if math.isclose(span(u), told["total_time_sec"], rel_tol=1e-9, abs_tol=1e-9)), None)
        differ(f"a unit took {told['total_time_sec']}", unit is not None, True)
        if not unit:
            continue
        units.remove(unit)
        where, rows, answers = unit.name(), Rows(unit.requests), ok(unit.requests)
        hits = [r for r in answers if "from_cache" in (r.get("flags") or []) or r.get("cache") == "warm"]
        average = lambda values: stats.mean(values) if values else 0.0
        for name, right in (
            ("successful_requests", len(answers)),
            ("failed_requests", len(failed(unit.requests))),
            ("ttft_p50_ms", ranked(rows["headers"], 50)),
            ("ttft_p99_ms", ranked(rows["headers"], 99)),
            ("tpot_avg_ms", average(rows["headers-end/quarter"])),
            ("avg_latency_ms", average(rows["end"])),
            ("throughput_tokens_per_sec", rate(sum(rows["quarter"]), unit)),
            ("cache_hit_rate", len(hits) / len(answers) if answers else 0.0),
        ):
            differ(f"{where} {name}", told[name], right, 1e-6, 1e-9)


def levels(differ, said, units, match):
    """(unit, its row) of a curve: each row is one unit's."""
    for row in said:
        unit = next((u for u in units if match(row, u)), None)
        differ(f"a unit has the level {list(row.values())[:3]}", unit is not None, True)
        if unit:
            units.remove(unit)
            yield unit, row


def bench_pack(differ, into, units, log):
    said = []
    for path in sorted(into.glob("**/summary_all.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            said += csv.DictReader(file)
    for unit, row in levels(differ, said, units, lambda row, u: math.isclose(float(row["elapsed_sec"]), span(u), rel_tol=1e-9)):
        gone, answers = sent(unit), ok(unit.requests)
        # Failed requests are among its latencies.
        latency = [(r["end_ns"] - r["sent_ns"]) / 1e9 for r in gone if r["outcome"] == "ok" or r in failed(unit.requests)]
        first = [v / 1e3 for v in Rows(unit.requests)["event"]]
        # Without a first event all of the answer was generation.
        begun = lambda r: next((at for at in (r.get("first_event_ns"), r.get("first_token_ns")) if at is not None), r["sent_ns"])
        spent = math.fsum((r["end_ns"] - (begun(r) if r["outcome"] == "ok" else r["sent_ns"])) / 1e9 for r in gone if r["outcome"] == "ok" or r in failed(unit.requests))
        tokens = sum(Rows(unit.requests)["n"])
        for name, right in (("success", len(answers)), ("qps", rate(len(answers), unit)), ("latency_avg", stats.mean(latency) if latency else None), ("latency_p99", stats.percentile(latency, 99) if latency else None), ("ttft_avg", stats.mean(first) if first else None), ("ttft_p99", stats.percentile(first, 99) if first else None), ("total_completion_tokens", tokens), ("tps_tokens_per_sec", tokens / spent if spent > 0 else None)):
            # Of no answers there is none, or 0.
            if right is not None or row[name] not in ("", "0.0"):
                differ(f"{unit.name()} {name}", float(row[name] or 0), right, 1e-6, 1e-9)


def qps_benchmark(differ, into, units, log):
    said = []
    for path in sorted(into.glob("**/benchmark_qps_results.json")):
        said += json.loads(path.read_text(encoding="utf-8"))
    asked = [u for u in units if has_rate(u)]
    differ("levels", len(said), len(asked))
    for unit, entry in levels(differ, said, asked, lambda row, u: row["qps_target"] == u.load["target_rate"] and math.isclose(row["duration"], span(u), rel_tol=1e-9)):
        where, rows, gone = unit.name(), Rows(unit.requests), sent(unit)
        for name, right in (("total_requests", len(gone)), ("successful_requests", len(ok(unit.requests))), ("actual_qps", rate(len(gone), unit)), ("success_rate", 100 * len(ok(unit.requests)) / len(gone) if gone else 0.0)):
            differ(f"{where} {name}", entry[name], right, 1e-6, 1e-9)
        for name, values, scale in (("ttft", rows["event"], 1e-3), ("e2e_latency", rows["end"], 1e-3), ("tokens_per_sec", rows["seen/s"], 1)):
            for key, shown in entry[name].items():
                differ(f"{where} {name} {key}", shown, ranked(values, float(key[1:])) * scale, 1e-6, 1e-9)


def rounds_of(unit):
    """(from, to) of each round: the stage's own, else its windows, else minutes from the first request on."""
    if unit.rounds:
        return [(line["from_ns"], line["at_ns"]) for line in unit.rounds]
    first = min((r["sent_ns"] for r in sent(unit)), default=unit.from_ns)
    last = max((r["end_ns"] for r in sent(unit) if r.get("end_ns") is not None), default=first)
    length = int(((unit.load or {}).get("window_ms") or 60_000) * 1e6)
    return [(at, min(at + length, last)) for at in range(first, max(last, first + 1), length)]


def replay_rounds(differ, into, units, log):
    said = iter([json.loads(line) for line in (into / "rounds.jsonl").read_text(encoding="utf-8").splitlines()])
    names = {"min": "min", "max": "max", "p50": 50, "p90": 90, "p95": 95, "p99": 99}
    for unit in units:
        bounds = rounds_of(unit)
        for number, (begin, until) in enumerate(bounds):
            where, told = f"{unit.name()} round {number}", next(said, None)
            differ(f"{where} has a line", told is not None, True)
            if told is None:
                return
            # What comes after the last round is of it.
            within = lambda at: at is not None and at >= begin and (at < until or number == len(bounds) - 1)
            length, gone = (until - begin) / 1e9, [r for r in sent(unit) if within(r["sent_ns"])]
            done = [r for r in ok(unit.requests) + failed(unit.requests) if r.get("sent_ns") is not None and within(r.get("end_ns"))]
            rows = Rows(done)
            differ(f"{where} actual_qps", told["actual_qps"], len(gone) / length if length else 0.0, 1e-6, 1e-9)
            differ(f"{where} success_rate", told["success_rate"], 100 * len(ok(done)) / max(1, len(done)), 1e-6)
            for name, of in (("input_tokens", "in"), ("output_tokens", "n")):
                differ(f"{where} {name}", told[name], int(stats.mean(rows[of])) if rows[of] else 0)
            for name, values, scale in (("Latency", rows["end"], 1e-3), ("TTFT", rows["content"], 1e-3), ("TPOT", rows["content-end/n"], 1), ("Throughput", rows["n/s"], 1)):
                figures_of(differ, f"{where} {name}", told.get(name), values, names, scale)
                differ(f"{where} unit of {name}", (told.get(name) or {}).get("unit"), {"TPOT": "ms", "Throughput": "tokens/s"}.get(name, "s") if values else None)
    differ("lines beyond the rounds", next(said, None), None)
    with (into / "requests.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["request_id"]: row for row in csv.DictReader(file)}
    for r in (r for unit in units for r in ok(unit.requests)):
        row, content = rows.get(r["request_id"], {}), metrics.since(r.get("sent_ns"), r.get("first_content_ns"))
        differ(f"{r['request_id']} ttft", float(row["ttft"]) if row.get("ttft") else None, None if content is None else content / 1e3, 1e-6, 1e-7)
        differ(f"{r['request_id']} tokens_out", int(row["tokens_out"]) if row.get("tokens_out") else None, counted(r["output_tokens"]))


def ttft_cache(differ, into, units, log):
    lines = [json.loads(line) for line in (into / "benchmark.jsonl").read_text(encoding="utf-8").splitlines()]
    right = sorted(c / 1e3 for unit in units for c in Rows(unit.requests)["content"])
    differ("ttft_seconds", sorted(line["ttft_seconds"] for line in lines if line["ttft_seconds"] is not None), right, 1e-6)


FORMATS = {
    "vllm-bench": vllm,
    "aiperf": aiperf,
    "genai-perf": genai_perf,
    "guidellm": guidellm,
    "inference-perf": inference_perf,
    "llm-d": llm_d,
    "ttft-cache": ttft_cache,
    "batching-cache": batching_cache,
    "qps-benchmark": qps_benchmark,
    "replay-rounds": replay_rounds,
    "bench-pack": bench_pack,
}
