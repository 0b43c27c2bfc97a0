"""Figures that are shown outside of the table of stages: the page's other tables, and every line of the console.

A line of the console is about the stage whose name it has, or the last one named above it. Each number in it must be a
figure of that stage's entry in summary.json (which the other files recompute), rounded as it is shown; claims, checks
and notes are held elsewhere. That is weaker than to know each sentence, and it knows those that are still to be written.
"""

import re

from .differ import reads

NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
MULTIPLES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
FIXED = re.compile(r"p\d+(?:\.\d+)?\b|E2E|95 % CI|#\d+|\b\d+ % confidence|try \d+|round \d+|HTTP \d+|request_id|http\.\d+|, \d+ to \d+ cores|\d+ core\b")


def console(differ, text, said):
    entries = sorted(((label(e), e) for e in said["stages"]), key=lambda pair: -len(pair[0]))
    owner, skip, known = None, False, [" ".join(c["text"].split()) for c in said.get("claims") or []]
    known += [" ".join(n.split()) for n in said["run"].get("notes") or []]
    lines = text.splitlines()
    checks = {t["reason"] for e in said["stages"] for t in e["thresholds"]}
    table = set()
    for rule in (i for i, line in enumerate(lines) if line.strip().startswith("───")):
        end = next((i for i, line in enumerate(lines) if i > rule and not line.strip()), len(lines))
        table |= set(range(rule - 3, end))
    for number, line in enumerate(lines):
        words = " ".join(line.split())
        named = next((e for name, e in entries if re.match(rf"\s*(?:✓|✗|–|stage)?\s*`?{re.escape(name)}(?![\w@#])", line)), None)
        whole = next((together(said, e) for _, e in entries if re.match(rf"\s*(✓|✗|–)?\s*{re.escape(stage(e))}(?![\w@#])", line)), None)
        named = named or whole
        owner = named or (owner if line.startswith("   ") else None)
        if number in table or not re.search(r"\d", line) or line.lstrip().startswith(("* uncertified", "--> ")):
            continue
        if any(words in text_ or text_ in words for text_ in known) or any(reason in line for reason in checks) or re.search(r" · run \S+ · started", words):
            continue
        if re.search(r" POSTs? (sent|in all)", words):
            client(differ, words, said)
            continue
        if re.match(r"[\d.a-f:]+: [\d,]+ connections? opened, ", words):
            addresses(differ, words, said)
            continue
        pool = list(figures(owner or {k: v for k, v in said.items() if k not in ("claims",)}))
        for name, _ in entries:
            words = words.replace(name, "…")
        for odd in numbers(FIXED.sub("…", words), pool):
            differ.wrong(f"console: {line.strip()!r}: {odd} is no figure of {label(owner) if owner else 'the run'}")
        differ.checked += 1


def addresses(differ, text, said):
    """`127.0.0.1: 2 connections opened, 31 requests · …`, of all stages together."""
    shown, right = {}, {}
    for address, *counts in re.findall(r"([\d.a-f:]+): ([\d,]+) connections? opened, ([\d,]+) requests?", text):
        shown[address] = [int(n.replace(",", "")) for n in counts]
    for address, to in [pair for e in said["stages"] if e["reported"] for pair in e.get("addresses", {}).items()]:
        so_far = right.get(address, [0, 0])
        right[address] = [so_far[0] + to["connections"], so_far[1] + to["requests"]]
    differ("console: addresses", shown, right)


def client(differ, text, said):
    """What the client did for all stages together."""
    every = [e["client"] for e in said["stages"] if e["reported"] and e["client"]["connections_opened"] + e["client"]["connections_reused"]]
    total = lambda name: sum(c.get(name) or 0 for c in every)
    figure = r"(\d[\d.,]*(?: [mµ]?s| min)?)"
    right = {
        rf"^{figure} of CPU": total("cpu_s") * 1e3,
        rf"{figure} % of a core": max((c.get("cpu_share") or 0 for c in every), default=0) * 100,
        rf"{figure} connections? opened": total("connections_opened"),
        rf"{figure} requests? sent over": total("connections_reused"),
        rf"{figure} POSTs? (?:sent|in all)": total("posts"),
        rf"{figure} requests? sent twice": total("resent"),
        rf"{figure} token events? read": total("token_events"),
        rf"{figure} % of the gaps": 100 * total("shared_reads") / total("token_gaps") if total("token_gaps") else None,
        rf"seen within {figure}": max((c.get("wake_lag_p95_ms") or 0 for c in every), default=0),
    }
    for pattern, value in right.items():
        if match := re.search(pattern, text):
            differ.shown(f"console: client: {pattern.replace(figure, '…')}", match.group(1), value)
    bytes_in = re.search(r"([\d.]+) (B|bytes?|kB|MB|GB)\b", text)
    scale = MULTIPLES.get(bytes_in.group(2), 1)
    if abs(float(bytes_in.group(1)) * scale - total("bytes_in")) > 0.51 * scale * 10 ** -len(bytes_in.group(1).partition(".")[2]):
        differ.wrong(f"console: client: {bytes_in.group()} of {total('bytes_in')} bytes")


def numbers(text, pool):
    """The numbers of a text that are none of `pool`."""
    for match in NUMBER.finditer(text):
        if match.start() and (text[match.start() - 1].isalnum() or text[match.start() - 1] in "_.:/"):
            continue  # a part of a name
        rest = text[match.end() :].split()
        unit = rest[0].rstrip(",.;:)").lstrip("(") if rest and text[match.end() :].startswith(" ") else ""
        value = float(match.group().replace(",", "")) * MULTIPLES.get(unit, 1)
        half = 0.5 * 10 ** -(len(match.group().split(".")[1]) if "." in match.group() else 0) * MULTIPLES.get(unit, 1)
        shown = f"{match.group()} {unit}"
        if not any(abs(value - v) <= half * 1.01 or reads(shown, v) or reads(shown, abs(v)) or (unit in ("s", "ms", "min", "µs") and reads(shown, v * 1e3)) for v in pool):
            yield shown.strip()


def figures(of):
    """All numbers of an entry, and what is told of two of them together."""
    if isinstance(of, dict):
        for value in of.values():
            yield from figures(value)
        counts = of.get("counts")
        if counts:
            yield counts["planned"] - counts["never_started"]
            yield counts["ok"] + counts["errors"]
        cached = of.get("cache")
        if cached and cached.get("prompt_tokens"):
            yield cached["cached_tokens"] / cached["prompt_tokens"]
        if cached and cached.get("judged_requests"):
            yield cached["hit_requests"] / cached["judged_requests"]
    elif isinstance(of, list):
        yield float(len(of))
        for value in of:
            yield from figures(value)
    elif isinstance(of, (int, float)) and not isinstance(of, bool):
        yield float(of)
    elif isinstance(of, str):
        yield from (float(n.replace(",", "")) for n in NUMBER.findall(of)[:40])


def stage(entry):
    return entry["id"] + (f"[{entry['cell']}]" if entry.get("cell") else "")


def together(said, entry):
    """All rungs or probes of a stage: their figures, and what they sum up to."""
    every = [e for e in said["stages"] if stage(e) == stage(entry) and e["reported"]]
    found = {"id": entry["id"], "cell": entry.get("cell"), "each": every, "sums": {}}
    for side in ("input", "output"):
        counted = [e["tokens"][side] for e in every if e.get("tokens")]
        sums = {source: sum(c["sums"].get(source) or 0 for c in counted) for source in ("server", "tokenizer", "events", "estimate")}
        apart = [[d for c in counted for d in c.get("divergence") or [] if (d["source"], d["against"]) == pair] for pair in (("tokenizer", "server"), ("events", "server"), ("events", "tokenizer"))]
        found["sums"][side] = [sums, [sum(d["tokens"] for d in ds) / max(1, sum(d["against_tokens"] for d in ds)) - 1 for ds in apart if ds]]
    servers = [e["server"] for e in every if e.get("server")]
    counted = {name: sum((s.get("counters") or {}).get(name) or 0 for s in servers) for s in servers for name in s.get("counters") or {}}
    found["sums"]["server"] = [counted, counted.get("prefix_cache_hits", 0) / counted["prefix_cache_queries"] if counted.get("prefix_cache_queries") else 0]
    reasons = {}
    for e in every:
        for name, it in ((e.get("answers") or {}).get("finish_reasons") or {}).items():
            reasons[name] = reasons.get(name, 0) + it["answers"]
    found["sums"]["reasons"] = [n / sum(reasons.values()) for n in reasons.values()]
    found["sums"]["counts"] = {key: sum(e["counts"][key] for e in every) for key in entry["counts"]}
    return found


def label(entry):
    text = entry["id"] + (f"[{entry['cell']}]" if entry.get("cell") else "")
    if entry.get("rung") is not None:
        text += f"@{entry['rung']:g}"
    if entry.get("probe"):
        text += f"#{entry['probe']['search']['probe'] + 1}"
    return text


def table(differ, where, head, rows, entry, said):
    """A table of the page beside those of stages; false where this reader does not know it."""
    names = [name for name in head if name]
    if names[0] == "part":
        for cells in rows:
            part = cells["part"][0]
            of = entry if part == "the whole" else entry["steady"] if "steady" in part else entry["rounds"]["each"][int(part.split()[1]) - 1]
            course(differ, f"{where} {part}", cells, of, entry)
    elif names[:3] == ["from", "to", "ok / requests"]:
        for cells, window in zip(rows, entry["windows"]):
            stretch(differ, f"{where} window {window['window']}", cells, window)
        differ(f"{where}: windows", len(rows), len(entry["windows"]))
    elif names[:2] == ["stage", "class"]:
        for cells in rows:
            of = next(e for e in said["stages"] if label(e) == cells["stage"][0])
            count = of["errors"][cells["class"][0]]
            differ(f"{where} {cells['stage'][0]} {cells['class'][0]}", float(cells["requests"][1]), float(count))
            differ.shown(f"{where} of planned", cells["of planned"][0], count / of["counts"]["planned"])
            differ(f"{where} first message", cells["first message"][0].split(), of["error_samples"][cells["class"][0]].split())
    elif names[0] == "what was done":
        flush = entry["flush"]
        right = [(flush["ttft_cold_ms"], None)] if flush.get("ttft_cold_ms") is not None else []
        right += [(flush.get("ttft_warm_ms"), flush.get("cached_tokens"))] + [(a.get("ttft_ms"), a.get("cached_tokens")) for a in flush["attempts"]]
        for cells, (ttft, cached) in zip(rows, right):
            differ.shown(f"{where} TTFT", cells["TTFT"][0], ttft)
            differ.shown(f"{where} cached tokens", cells["cached tokens"][0], cached)
        differ(f"{where}: rows", len(rows), len(right))
    elif names[:2] == ["stage", "kind"] or names[:2] == ["metric", "unit"]:
        return True  # the plan and the definitions: nothing that was measured
    else:
        return False
    return True


def course(differ, where, cells, of, entry):
    due = entry.get("times_from") == "due"
    found = lambda name, key: (of["metrics"].get(f"{name}_due" if due and name in ("ttft", "e2e") else name) or {}).get(key)
    low, high = (of.get("from_s", of.get("start_s", 0.0)), of.get("to_s", of.get("end_s", entry["duration_s"])))
    counts = of.get("counts") or {"ok": of["ok"], "planned": of["requests"]}
    rates = of.get("throughput") or of
    right = {"from": low * 1e3, "to": high * 1e3, "requests/s": rates["requests_per_second"], "tokens/s": rates.get("output_tokens_per_second")}
    right |= {f"{name.upper()} {key}": found(name, key) for name in ("ttft", "e2e", "tpot", "itl") for key in ("p50", "p99")}
    shown(differ, where, cells, right, [counts["ok"], counts["planned"]], ("part",))


def stretch(differ, where, cells, window):
    right = {"from": window["start_s"] * 1e3, "to": window["end_s"] * 1e3, "requests/s": window["requests_per_second"]}
    right |= {f"{name.upper()} {key}": (window.get(f"{name}_ms") or {}).get(key) for name in ("ttft", "e2e", "tpot") for key in ("p50", "p99")}
    right |= {f"tokens/min {end}": window.get(f"{side}_tokens_per_minute") for end, side in (("in", "input"), ("out", "output"))}
    cells = {name.removesuffix(" from sent"): cell for name, cell in cells.items()}
    shown(differ, where, cells, right, [window["ok"], window["requests"]], ())


def shown(differ, where, cells, right, counts, names):
    for name, (text, _) in cells.items():
        if name == "ok / requests":
            differ(f"{where} {name}", [int(n.replace(",", "")) for n in text.split(" / ")], counts)
        elif name in right:
            differ.shown(f"{where} {name}", text.replace("(cut short)", "").strip(), right[name])
        elif name not in names:
            differ.wrong(f"{where} {name}: a column that this reader does not know")
