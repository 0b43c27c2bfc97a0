"""Holds the records against what the scripted server (scripted.py) wrote down.

The server's own log is a third witness: how many requests came, what each was answered, how long it took.
"""

import json
import pathlib

from . import metrics

BAD_FINISH = ("error", "abort", "cancelled")


def read(path):
    path = pathlib.Path(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def check(differ, log, lines):
    """Every request of the records, and no other, came to the server once; and what it got is what was sent."""
    came = {}
    for line in lines:
        came.setdefault(line["id"], []).append(line)
    for unit in log.units:
        for r in unit.requests:
            where = f"{unit.name()} #{r['index']}"
            got = came.get(r["request_id"], [])
            if r.get("sent_ns") is None:
                differ(f"{where}: requests on the server", len(got), 0)
                continue
            if r["outcome"] != "ok" and not got:
                continue  # may never have reached it
            retried = "stale_reuse_resent" in (r.get("flags") or [])
            differ(f"{where}: requests on the server", len(got), 1 + retried)
            if retried and got and got[0]["seconds"] > 0.06:
                differ.wrong(f"{where}: sent again after the server had worked on it for {got[0]['seconds']:.3f} s")
            if got:
                one(differ, where, r, got[-1], retried)


def one(differ, where, r, line, retried):
    answered = line["status"] == 200 and line["sent"]["finish"] not in BAD_FINISH
    differ(f"{where}: answered in full", r["outcome"] == "ok", answered and not (retried and r["outcome"] != "ok"))
    differ(f"{where}: the address it went to", (r.get("connection") or {}).get("address", line["address"]), line["address"])
    if r.get("asked_model"):
        differ(f"{where}: the model that was asked", r["asked_model"], line["body"].get("model"))
    if r["outcome"] != "ok":
        return
    took = (r["end_ns"] - r["sent_ns"]) / 1e9
    if took < line["seconds"] - 0.002:
        differ.wrong(f"{where}: took {took:.4f} s by the record, {line['seconds']:.4f} s on the server")
    streamed = line["dialect"] != "json" and line["body"].get("stream") is not False
    events = len(r.get("token_ns") or [])
    if streamed:
        differ(f"{where}: token events", events, line["pieces"])
    told = line["sent"]["completion"]
    usage = line["dialect"] not in ("tgi", "triton", "json") and told is not None
    if usage and line["behaviour"] not in ("timings", "impossible") and r["output_tokens"].get("server") is not None:
        choices = line["body"].get("n", 1) if line["behaviour"] == "n2" else 1
        differ(f"{where}: tokens by the server", r["output_tokens"]["server"], told * choices)
    if not streamed:
        differ(f"{where}: a first token of a whole answer", metrics.ttft(r), None)
        differ(f"{where}: end of a whole answer", metrics.e2e(r), metrics.since(r["sent_ns"], r["end_ns"]))
    choices = line["body"].get("n", 1) if line["behaviour"] == "n2" else 1
    if choices > 1:
        each = line["pieces"] // choices
        span = metrics.since(r["first_token_ns"], r["last_token_ns"])
        differ(f"{where}: time per token of each choice", metrics.tpot(r), span / (each - 1), 0.1)
    if line["behaviour"] == "impossible":
        cached, prompt = metrics.cached_tokens(r), metrics.input_tokens(r)
        if cached is not None and prompt is not None and cached > prompt:
            differ.wrong(f"{where}: {cached} cached of {prompt} prompt tokens taken for a figure")
