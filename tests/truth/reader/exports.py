"""The files of other tools, by those tools' own definitions (from their documentation and source).

| tool | first token | per-token time | elapsed |
|---|---|---|---|
| vllm-bench | first event with choices, role or not | (e2e - ttft) / (n - 1) | wall time of the stage |
| aiperf, genai-perf | first content or reasoning | (e2e - ttft) / (n - 1) | first request to last response |
| guidellm | first content or reasoning | TPOT (last - start) / n; ITL (last - first) / (n - 1) | - |
| inference-perf, ttft-cache | first content, reasoning unseen | normalised e2e / n, e2e to the body's end | - |
| bench-pack | first stream event | tokens over the sum of (latency - ttft) | first send to last answer |
| qps-benchmark | first stream event | tokens over e2e, to the body's end | first send to last answer |
| replay-rounds | first content | (total - ttft) / (n - 1), ms | - |

Standard deviations are those of the population (numpy's), percentiles type 7, but for qps-benchmark, which takes
the value at n * share of the sorted list. Files are matched to units by the moment at which these began.
"""

import csv
import datetime
import json
import math
import subprocess
import tempfile
import pathlib

from . import metrics, stats
from .log import failed, ok

FORMATS = ("vllm-bench", "aiperf", "genai-perf", "guidellm", "inference-perf", "llm-d", "ttft-cache", "qps-benchmark", "replay-rounds", "bench-pack")


def population_std(values):
    middle = stats.mean(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / len(values))


def began(unit, log):
    """Nanoseconds since 1970 at which the unit began."""
    return nanoseconds(log.run["started_at"]) + unit.from_ns


def nanoseconds(text):
    whole, _, rest = text.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(at.timestamp()) * 10**9 + int((rest + "0" * 9)[:9])


def seconds(unit, log):
    return (log.end_ns(unit) - unit.from_ns) / 1e9


def span(unit):
    """First send to last answer, of whatever was sent."""
    sent = [r for r in unit.requests if r.get("sent_ns") is not None and r.get("end_ns") is not None]
    return (max(r["end_ns"] for r in sent) - min(r["sent_ns"] for r in sent)) / 1e9 if sent else None


def tpot(r):
    """(e2e - ttft) / (n - 1), nothing too where all tokens came at once: other tools keep such answers."""
    first, last, n = r.get("first_token_ns"), r.get("last_token_ns"), metrics.output_tokens(r)
    return (last - first) / 1e6 / (n - 1) if first is not None and last is not None and n and n > 1 else None


def columns(requests):
    """Lists of figures in milliseconds and tokens, of complete answers."""
    rows = {"ttft": [], "content": [], "first_event": [], "whole": [], "nwhole": [], "e2e": [], "tpot": [], "itl": [], "out": [], "in": [], "ntpot": [], "tpot_guide": []}
    for r in ok(requests):
        first, whole, n = metrics.ttft(r), metrics.e2e(r), metrics.output_tokens(r)
        event = metrics.since(r.get("sent_ns"), r.get("first_event_ns"))
        content = metrics.since(r.get("sent_ns"), r.get("first_content_ns"))
        for name, value in (("ttft", first), ("content", content), ("first_event", event), ("e2e", whole), ("out", n), ("in", metrics.input_tokens(r)), ("tpot", tpot(r))):
            if value is not None:
                rows[name].append(value)
        stamps = r.get("token_ns") or []  # of whatever choice: other tools do not tell them apart
        rows["itl"] += [(b - a) / 1e6 for a, b in zip(stamps, stamps[1:])]
        if whole is not None and n:
            rows["ntpot"].append(whole / n)
        body = metrics.since(r.get("sent_ns"), r.get("end_ns"))
        if body is not None:
            rows["whole"].append(body)
            if n:
                rows["nwhole"].append(body / n)
    return rows


def check(differ, log, folder, runner, reported):
    """Every format of the run, where it can be exported."""
    units = [u for u in log.units if u.start["reported"] and u.start["kind"] not in ("pause", "flush")]
    with tempfile.TemporaryDirectory() as scratch:
        for name in FORMATS:
            into = pathlib.Path(scratch) / name
            done = subprocess.run([runner, "report", str(folder), "--format", "none", "--export", f"{name}={into}"], capture_output=True, text=True, check=False)
            if done.returncode not in (0,):
                if "panicked" in done.stderr:
                    differ.wrong(f"export {name}: {done.stderr[-200:]}")
                continue
            takers = {"vllm-bench": vllm, "aiperf": aiperf, "genai-perf": None, "guidellm": guidellm, "inference-perf": inference_perf, "llm-d": llm_d, "bench-pack": bench_pack, "qps-benchmark": qps_benchmark, "replay-rounds": replay_rounds, "ttft-cache": ttft_cache}
            if takers[name]:
                takers[name](differ, into, units, log)


def by_start(units, log, at):
    """The unit that began at that moment, to the microsecond."""
    return next((u for u in units if abs(began(u, log) - at) < 2000), None)


def figures_of(differ, where, told, values, names, scale=1.0, spread=population_std):
    """Some of mean, std, percentiles under a tool's names."""
    for name, key in names.items():
        if name not in told:
            continue
        if not values:
            if told[name] not in (None, 0, 0.0):
                differ(f"{where} {name}", told[name], None)
            continue
        if key == "mean":
            right = stats.mean(values)
        elif key == "std":
            right = spread(values)
        elif key in ("min", "max"):
            right = (min if key == "min" else max)(values)
        elif key == "count":
            right = len(values)
        elif key == "sum":
            right = sum(values)
        else:
            right = stats.percentile(values, key)
        differ(f"{where} {name}", told[name], right * (scale if key != "count" else 1), 1e-6, 1e-6)


def vllm(differ, into, units, log):
    for file in sorted(into.glob("*.json")):
        if "pytorch" in file.name:
            continue
        told = json.loads(file.read_text(encoding="utf-8"))
        unit = by_start(units, log, nanoseconds(told["date"]))
        if not unit:
            continue
        where, rows = f"vllm-bench {unit.name()}", columns(unit.requests)
        took = told["duration"]
        differ(f"{where} completed", told["completed"], len(ok(unit.requests)))
        differ(f"{where} total_output_tokens", told["total_output_tokens"], sum(rows["out"]))
        differ(f"{where} total_input_tokens", told["total_input_tokens"], sum(rows["in"]))
        differ(f"{where} request_throughput", told["request_throughput"], len(ok(unit.requests)) / took if took else 0.0, 1e-6)
        differ(f"{where} output_throughput", told["output_throughput"], sum(rows["out"]) / took if took else 0.0, 1e-6)
        wall = span(unit)
        if wall and not (wall * 0.999 <= took <= seconds(unit, log) * 1.001):
            differ.wrong(f"{where} duration: said {took}, requests took {wall}")
        if not log.path_of(unit).endswith(("/chat/completions", "/v1/completions")):
            continue  # this tool knows no other streams
        # This tool's gaps are those of every choices chunk; where the answer began with a role chunk, one more.
        for key, values in (("ttft", rows["first_event"]), ("e2el", rows["e2e"]), ("itl", rows["itl"])):
            if key == "itl" and rows["first_event"] != rows["ttft"]:
                continue
            names = {f"mean_{key}_ms": "mean", f"median_{key}_ms": 50, f"std_{key}_ms": "std", f"p99_{key}_ms": 99}
            figures_of(differ, where, told, values, names)


AIPERF = {"avg": "mean", "min": "min", "max": "max", "std": "std", "count": "count", "sum": "sum", **{f"p{p}": p for p in (1, 5, 10, 25, 50, 75, 90, 95, 99)}}


def aiperf(differ, into, units, log):
    for file in sorted(into.glob("**/profile_export_aiperf.json")):
        told = json.loads(file.read_text(encoding="utf-8"))
        unit = by_start(units, log, nanoseconds(told["start_time"]))
        if not unit:
            continue
        where, rows = f"aiperf {unit.name()}", columns(unit.requests)
        for name, values in (("time_to_first_token", rows["ttft"]), ("inter_token_latency", rows["tpot"]), ("request_latency", rows["e2e"]), ("output_sequence_length", rows["out"]), ("input_sequence_length", rows["in"])):
            if name in told and values:
                figures_of(differ, f"{where} {name}", told[name], [float(v) for v in values], AIPERF)
            elif name in told or values:
                differ(f"{where} {name}", name in told, bool(values))
        took = told["benchmark_duration"]["avg"]
        differ(f"{where} request_throughput", told["request_throughput"]["avg"], len(ok(unit.requests)) / took if took else 0.0, 1e-6)
        differ(f"{where} request_count", told["request_count"]["avg"], float(len(ok(unit.requests))))
        wall = span(unit)
        if wall and not (wall * 0.999 <= took <= seconds(unit, log) * 1.001):
            differ.wrong(f"{where} benchmark_duration: said {took}, requests took {wall}")


def guidellm(differ, into, units, log):
    told = json.loads((into / "benchmarks.json").read_text(encoding="utf-8"))
    for entry in told["benchmarks"]:
        unit = by_start(units, log, round(entry["scheduler_state"]["start_time"] * 1e9))
        if not unit:
            continue
        where, rows = f"guidellm {unit.name()}", columns(unit.requests)
        names = {"mean": "mean", "std_dev": "std", "min": "min", "max": "max", "count": "count", "median": 50}
        for name, values, scale in (("time_to_first_token_ms", rows["ttft"], 1), ("inter_token_latency_ms", rows["tpot"], 1), ("time_per_output_token_ms", rows["ntpot"], 1), ("output_token_count", rows["out"], 1)):
            if name in entry["metrics"] and name != "inter_token_latency_ms":
                figures_of(differ, f"{where} {name}", entry["metrics"][name]["successful"], [float(v) for v in values], names, scale)
        differ(f"{where} successful", entry["metrics"]["request_totals"]["successful"], len(ok(unit.requests)))
        differ(f"{where} errored", entry["metrics"]["request_totals"]["errored"], len(failed(unit.requests)))


INFERENCE_PERF = {"mean": "mean", "min": "min", "max": "max", "median": 50, "p0.1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9}


def inference_perf(differ, into, units, log):
    files = sorted(into.glob("stage_*_lifecycle_metrics.json"), key=lambda f: int(f.name.split("_")[1]))
    if len(files) != len(units):
        return
    for file, unit in zip(files, units):
        told = json.loads(file.read_text(encoding="utf-8"))
        where, rows = f"inference-perf {unit.name()}", columns(unit.requests)
        latency = (told["successes"] or {}).get("latency") or {}
        for name, values in (("request_latency", rows["whole"]), ("time_to_first_token", rows["content"]), ("normalized_time_per_output_token", rows["nwhole"]), ("inter_token_latency", rows["itl"])):
            # It sees no reasoning: not its gaps either.
            if not values:
                continue  # that tool's own counts of tokens, which records do not keep
            if latency.get(name) and (name != "inter_token_latency" or rows["content"] == rows["ttft"]):
                figures_of(differ, f"{where} {name}", latency[name], values, INFERENCE_PERF, 1e-3)
        differ(f"{where} successes", told["successes"]["count"], len(ok(unit.requests)))
        differ(f"{where} failures", told["failures"]["count"], len(failed(unit.requests)))


LLM_D = {"mean": "mean", "stddev": "std", "min": "min", "max": "max", "p0p1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p99p9": 99.9}


def llm_d(differ, into, units, log):
    for file in sorted(into.glob("*.json")):
        told = json.loads(file.read_text(encoding="utf-8"))
        unit = by_start(units, log, nanoseconds(told["run"]["time"]["start"]))
        if not unit:
            continue
        where, rows = f"llm-d {unit.name()}", columns(unit.requests)
        found = told["results"]["request_performance"]["aggregate"]
        differ(f"{where} failures", found["requests"]["failures"], len(failed(unit.requests)))
        for name, values in (("time_to_first_token", rows["ttft"]), ("inter_token_latency", rows["itl"])):
            entry = (found.get("latency") or {}).get(name)
            if entry:
                figures_of(differ, f"{where} {name}", entry, values, LLM_D, 1e-3)


def bench_pack(differ, into, units, log):
    path = into / "summary_all.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    asked = [u for u in units if u.requests]
    if len(rows) != len(asked):
        return
    for row, unit in zip(rows, asked):
        where, answered = f"bench-pack {unit.name()}", ok(unit.requests)
        # Failed requests are among its latencies.
        sent = [r for r in unit.requests if r.get("sent_ns") is not None]
        latency = [metrics.since(r["sent_ns"], r.get("end_ns")) / 1e3 for r in sent if metrics.since(r["sent_ns"], r.get("end_ns"))]
        streamed = [r for r in answered if r.get("token_ns")]
        first = [metrics.since(r["sent_ns"], r["first_event_ns"]) / 1e3 for r in streamed if metrics.since(r["sent_ns"], r.get("first_event_ns"))]
        say = lambda name, right: differ(f"{where} {name}", float(row[name]) if row[name] else None, right, 1e-6)
        say("success", float(len(answered)))
        if not answered:
            continue
        say("elapsed_sec", span(unit))
        say("qps", len(answered) / span(unit))
        say("latency_avg", stats.mean(latency))
        say("latency_p99", stats.percentile(latency, 99))
        if first and len(first) == len(answered):
            say("ttft_avg", stats.mean(first))
            say("ttft_p99", stats.percentile(first, 99))
            tokens = sum(r["output_tokens"].get("server") or 0 for r in answered)
            spent = sum(latency) - sum(first)
            if len(sent) == len(answered) and tokens and spent > 0 and all(r["output_tokens"].get("server") is not None for r in answered):
                say("tps_tokens_per_sec", tokens / spent)


def qps_benchmark(differ, into, units, log):
    path = into / "benchmark_qps_results.json"
    if not path.exists():
        return
    told = json.loads(path.read_text(encoding="utf-8"))
    asked = [u for u in units if (u.load or {}).get("target_rate") is not None]
    if len(told) != len(asked):
        return
    for entry, unit in zip(told, asked):
        where, answered = f"qps-benchmark {unit.name()}", ok(unit.requests)
        sent = [r for r in unit.requests if r.get("sent_ns") is not None]
        differ(f"{where} successful_requests", entry["successful_requests"], len(answered))
        differ(f"{where} total_requests", entry["total_requests"], len(sent))
        if sent and span(unit):
            differ(f"{where} actual_qps", entry["actual_qps"], len(sent) / span(unit), 1e-6)
        rows = columns(unit.requests)
        for name, values in (("ttft", rows["first_event"]), ("e2e_latency", rows["whole"])):
            for key, shown in (entry.get(name) or {}).items():
                ordered = sorted(values)
                if ordered and shown is not None:
                    at = min(len(ordered) - 1, int(len(ordered) * float(key[1:]) / 100))
                    differ(f"{where} {name} {key}", shown, ordered[at] / 1e3, 1e-6, 1e-9)


def replay_rounds(differ, into, units, log):
    path = into / "requests.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["request_id"]: row for row in csv.DictReader(file)}
    for unit in units:
        for r in ok(unit.requests):
            row = rows.get(r["request_id"])
            content = metrics.since(r.get("sent_ns"), r.get("first_content_ns"))
            if not row or not row["ttft"] or content is None:
                continue
            differ(f"replay-rounds {unit.name()} #{r['index']} ttft", float(row["ttft"]), content / 1e3, 1e-6, 1e-7)
            n = metrics.output_tokens(r)
            if n is not None:
                differ(f"replay-rounds {unit.name()} #{r['index']} tokens_out", float(row["tokens_out"] or 0), float(n or 0))
    for line in (into / "rounds.jsonl").read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if told.get("TPOT"):
            differ("replay-rounds unit of TPOT", told["TPOT"]["unit"], "ms")
        answers = [n for unit in units for n in map(metrics.output_tokens, ok(unit.requests)) if n is not None]
        if answers and told["output_tokens"] is not None and told["output_tokens"] > max(answers) * 1.001:
            differ.wrong(f"replay-rounds output_tokens: said {told['output_tokens']}, the longest answer has {max(answers)}: it is the mean of a request")


def ttft_cache(differ, into, units, log):
    lines = [json.loads(line) for line in (into / "benchmark.jsonl").read_text(encoding="utf-8").splitlines()]
    right = sorted(c / 1e3 for unit in units for c in columns(unit.requests)["content"])
    told = sorted(line["ttft_seconds"] for line in lines if line["ttft_seconds"] is not None)
    differ("ttft-cache lines", len(told), len(right))
    if len(told) == len(right):
        differ("ttft-cache ttft_seconds", told, right, 1e-6)
