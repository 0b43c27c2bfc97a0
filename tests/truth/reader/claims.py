"""Each claim of summary.json, from the records: its figures, its samples, its condition, and where it is shown.

A claim is a sentence with what it is about. Checked of each: every number in its text is one of its figures (or of
those words that are always there, such as "95 % CI"); every figure is what the records give; what its kind asks
for was so. Of all: console, page and Markdown show the same sentences, and the first one is the headline.
"""

import math
import re

from . import capacity, effective, figures, metrics, stats
from .differ import NUMBER, reads, short
from .log import failed, ok
from .metrics import peak

CAPACITY = {"sustained", "sustained_over_cells", "knee", "not_saturated", "lowest_fails", "held_above", "best_throughput", "production", "errors_rise", "latency_rises", "search_found", "search_limit", "search_interval", "search_throughput"}
DETAILS = {"totals", "requests", "first_token", "cache_state"}
KINDS = CAPACITY | DETAILS | {"ended", "all_failed", "cache_speed_up", "cache_speed_up_over_cells", "cache_no_effect", "warm_against_cold", "flush_emptied", "flush_did_nothing", "after_flush", "levels_not_run", "not_judged", "generator_limited", "level_not_reached", "level_unclear", "times_from_due", "unseen_by_users", "search_cut_short", "measured", "measured_over_cells"}
UNITS = {"exit_code": "", "max_in_flight": "requests", "ratio": "ratio", "levels": "levels", "levels_run": "levels", "probes": "probes", "cells": "cells", "cells_in_all": "cells", "samples_needed": "answers", "seconds": "s", "needed_s": "s", "requests": "requests", "output_tokens_per_second": "tokens/s", "cached_tokens": "tokens", "prompt_tokens": "tokens", "output_tokens": "tokens"}
UNITS |= dict.fromkeys(("requests_per_second", "goodput"), "requests/s") | dict.fromkeys(("hit_requests", "judged_requests"), "requests")
UNITS |= dict.fromkeys(("in_flight", "in_flight_against"), "requests") | dict.fromkeys(("in_one_piece", "in_one_piece_against", "answered", "answered_against"), "answers")
UNITS |= dict.fromkeys(("saved", "p99", "lag_p99", "every"), "ms") | dict.fromkeys(("cached_share", "from_share", "to_share", "goodput_share", "least_cached", "most_cached"), "share")
# What each kind's levels are in what capacity.py recomputes.
LEVELS = {
    "sustained": {"sustainable": "sustainable", "saturated_at": "saturated_at"},
    "knee": {"sustainable": "sustainable", "saturated_at": "saturated_at"},
    "lowest_fails": {"saturated_at": "saturated_at"},
    "not_saturated": {"sustainable": "sustainable"},
    "best_throughput": {"level": "best_at"},
    "errors_rise": {"level": "errors_rise_at"},
    "latency_rises": {"level": "p99_rises_at"},
    "search_found": {"sustainable": "best", "fails_at": "failed_at"},
    "search_limit": {"level": "failed_at"},
}
FEWEST = {"p90": 64, "p95": 130, "p99": 662}


def ratio_interval(slow, fast):
    """95 % interval of the ratio of two stages' median TTFTs: Zou and Donner's recovery of variances, on logarithms."""
    top, bottom = (metrics.samples(u.requests)["ttft"] for u in (slow, fast))
    one, other = (effective.certainty(v, figures.sent_and_ended(u.requests), True)[1] for v, u in ((top, slow), (bottom, fast)))
    if not one or not other or one[0] <= 0 or other[0] <= 0:
        return None
    a, b = stats.percentile(top, 50), stats.percentile(bottom, 50)
    low = math.hypot(math.log(a / one[0]), math.log(other[1] / b))
    high = math.hypot(math.log(one[1] / a), math.log(b / other[0]))
    return [a / b * math.exp(-low), a / b * math.exp(high)]


class Book:
    """A run's units and what summary.json says of them, by stage, cell and rung."""

    def __init__(self, said, log):
        self.said, self.log = said, log
        self.pairs = list(zip(said["stages"], log.units))

    def of(self, stage, cell, rung=None):
        found = [(e, u) for e, u in self.pairs if e["id"] == stage and e.get("cell") == cell and e["reported"]]
        if rung is not None:
            found = [(e, u) for e, u in found if e.get("rung") == rung]
        return found

    def of_claim(self, claim):
        """Those that it is about; a level that a search tried several times is numbered in the sentence."""
        found = self.of(claim["stage"], claim.get("cell"), claim.get("rung"))
        probe = re.match(rf"{re.escape(claim['stage'])}@[\d.]+#(\d+)", claim["text"])
        return [(e, u) for e, u in found if not probe or u.key[3] == int(probe.group(1)) - 1]

    def whole(self):
        run = self.said["run"]
        return run["state"] == "finished" and run["valid"]


def check(differ, said, log, console, page, markdown):
    claims = said.get("claims")
    if claims is None:
        sentences(differ, said, log, console)
        return
    book = Book(said, log)
    for number, claim in enumerate(claims):
        where = f"claim {claim['kind']} of {claim.get('stage') or 'the run'}{' ' + claim['cell'] if claim.get('cell') else ''}"
        own = book.of(claim.get("stage"), claim.get("cell"), claim.get("rung")) if claim.get("stage") else []
        about(differ, where, claim, own, book)
        numbers_of_text(differ, where, claim, book)
        for name, figure in (claim.get("figures") or {}).items():
            figure_of(differ, where, name, figure, claim, book)
        condition(differ, where, claim, book, claims)
        if claim["kind"] not in DETAILS:
            differ(f"{where}: on the console", flat(claim["text"]) in flat(console), True)
    if claims:
        first = next((c for c in claims if c["kind"] not in DETAILS and (c["kind"] != "ended" or c is claims[0])), None)
        if first:
            differ("headline of the page", flat(page.headline), flat(first["text"]))
            differ("headline in Markdown", flat(first["text"]) in flat(unescaped(markdown)), True)
    must(differ, said, log, claims)


def about(differ, where, claim, own, book):
    """What it is about is there, and of one of the kinds that are checked below."""
    differ(f"{where}: a known kind", claim["kind"] in KINDS, True)
    for key in ("kind", "text", "stage", "cell", "rung"):
        differ.held(claim.get(key))
    if claim.get("stage") and not claim["kind"].endswith("over_cells"):
        differ(f"{where}: is about something", bool(own), True)
    scope = own or [(e, u) for e, u in book.pairs if e["id"] == claim.get("stage")] or book.pairs
    if claim.get("endpoint") is not None:
        differ(f"{where}: endpoint", claim["endpoint"], scope[0][1].start["endpoint"])
    if claim.get("against") is not None:
        differ(f"{where}: against", claim["against"], next((u.key[0] for _, u in book.pairs if u.key[0] == claim["against"] and u.key[1] == claim.get("cell")), None))
    for quote in claim.get("quotes") or []:
        differ(f"{where}: quotes what it says", quote in claim["text"], True)
        differ.held(quote)


def unit_of(name, claim, book):
    if name in UNITS:
        return UNITS[name]
    if name.startswith(("ttft", "e2e", "tpot")):
        return "ms"
    if name.startswith("requests_"):
        return "requests"
    if name.startswith("checks_"):
        return "checks"
    if claim["kind"].endswith("over_cells"):
        return {"cache_speed_up_over_cells": "ratio", "measured_over_cells": "ms"}.get(claim["kind"]) or axis(claim, book)
    return axis(claim, book)


def axis(claim, book):
    return {"rate": "requests/s", "concurrency": "concurrent requests"}[found_of(claim, book)["axis"]]


def found_of(claim, book):
    """What the ladder or search that it is about found, which capacity.py recomputes."""
    every = {**(book.said.get("saturation") or {}), **(book.said.get("searches") or {})}
    key = claim["stage"] + (f"[{claim['cell']}]" if claim.get("cell") else "")
    return every.get(key) or next(v for k, v in every.items() if k.split("[")[0] == claim["stage"])


def flat(text):
    return " ".join(text.split())


def unescaped(text):
    text = re.sub(r"&#(\d+);", lambda m: chr(int(m.group(1))), text).replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", '"')
    return re.sub(r"\\(.)", r"\1", text).replace("&amp;", "&")


def numbers_of_text(differ, where, claim, book):
    """No number that is none of the claim's figures, but in what it quotes."""
    text = claim["text"]
    for quote in claim.get("quotes") or []:
        text = text.replace(quote, "…")
    for word in (claim.get("stage"), claim.get("against"), claim.get("cell")):
        if word:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "…", text)
    for fixed in ("E2E", "95 % CI", "p50", "p90", "p95", "p99"):
        text = text.replace(fixed, "…")
    text = re.sub(r"@[\d.]+(#\d+)?", "", text)
    text = re.sub(r"([\d.,]+) to ([\d.,]+ (%|ms|s)(?!\w))", r"\1 \3 to \2", text)  # a range names its unit once
    values = [(claim["rung"], "")] if claim.get("rung") is not None else []
    for figure in (claim.get("figures") or {}).values():
        for key in ("value", "low", "high", "at_most", "n"):
            if figure.get(key) is not None:
                values.append((figure[key], figure["unit"] if key != "n" else ""))
        if figure["unit"] == "s":
            values.append((figure["value"] * 1e3, "ms"))
    unread = []
    for match in NUMBER.finditer(text):
        shown = text[match.start() : match.end() + 12]
        if not any(reads(shown, value) or reads(match.group(), value) or unit == "ms" and reads(shown, value, "ms") for value, unit in values):
            unread.append(match.group())
    differ(f"{where}: numbers of its text that are none of its figures", unread, [])


def figure_of(differ, where, name, figure, claim, book):
    """One figure, from the records."""
    stage, cell, rung = claim.get("stage"), claim.get("cell"), claim.get("rung")
    mine = book.of_claim(claim) if stage else []
    value, where = figure["value"], f"{where}: {name}"
    if not (claim["kind"] == "search_limit" and name in ("actual", "limit")):
        differ(f"{where} unit", figure["unit"], unit_of(name, claim, book))
    match = re.fullmatch(r"(ttft|e2e|tpot)_p(\d+)(_against)?", name)
    if name == "p99" and claim["kind"] == "measured":
        metric = "ttft" if "ttft_p50" in claim["figures"] else "e2e"
        match = re.fullmatch(r"(ttft|e2e|tpot)_p(\d+)(_against)?", f"{metric}_p99")
    if match and mine:
        owner = mine[0]
        if match.group(3):
            others = book.of(claim["against"], cell)
            owner = others[0] if others else None
        # What the cache buys is told from sent, what a stage measured as it is shown.
        late = claim["kind"] in ("measured", "first_token", "times_from_due", "unseen_by_users")
        metric = metrics.shown(owner[1], match.group(1)) if owner and late else match.group(1)
        values = metrics.samples(owner[1].requests).get(metric, []) if owner else []
        differ(where, value, stats.percentile(values, float(match.group(2))) if values else None, 1e-6)
        differ(f"{where} n", figure.get("n"), len(values))
        times = figures.sent_and_ended(owner[1].requests) if owner else []
        worth, interval = effective.certainty(values, times, True) if values else (None, None)
        if match.group(2) == "50":
            differ(f"{where} interval", [figure.get("low"), figure.get("high")], interval or [None, None], 1e-6)
        else:
            differ(f"{where} uncertified", bool(figure.get("uncertified")), (worth or 0) < FEWEST[f"p{match.group(2)}"])
            bound = ((owner[0]["metrics"].get(metric) or {}).get("certified") or {}).get(f"p{match.group(2)}") if owner else None
            differ(f"{where} at most", figure.get("at_most"), bound)
    elif sent := mine and re.fullmatch(r"(ttft|e2e|lag)_p(\d+)(_sent)?", name):
        percent = int(sent.group(2))
        values = metrics.samples(mine[0][1].requests)[{"lag": "schedule_lag"}.get(sent.group(1), sent.group(1))]
        differ(where, value, stats.percentile(values, percent), 1e-6)
        differ(f"{where} n", figure.get("n"), len(values))
        worth, interval = effective.certainty(values, figures.sent_and_ended(mine[0][1].requests), True)
        if percent == 50:
            differ(f"{where} interval", [figure.get("low"), figure.get("high")], interval or [None, None], 1e-6)
        elif sent.group(3):
            differ(f"{where} uncertified", bool(figure.get("uncertified")), stats.certified(values, percent, worth) is None)
    elif name == "every" and mine:
        users, load = mine[0][1].start["concurrency"], mine[0][0]["load"]
        differ(where, value, users / load["achieved_rate"] * 1e3, 1e-6)
    elif name == "ttft_p99_paced" and mine:
        differ.held(value)
        differ(f"{where} n", figure.get("n"), len(metrics.samples(mine[0][1].requests)["ttft_due"]))
        met, every = metrics.samples(mine[0][1].requests)["ttft_due"], claim["figures"]["every"]["value"]
        # All that each request stands for, one by one: an answer of five times the pace held back four.
        asked = sorted(v - k * every for v in met for k in range(max(1, int(v // every))))
        right = asked[max(0, math.ceil(0.99 * len(asked)) - 1)]
        if abs(value - right) > 1e-4 * right + 2e-6 * max(met):
            differ.wrong(f"{where}: {value} is not about {right}")
        if not value > 2 * stats.percentile(met, 99):
            differ.wrong(f"{where}: {value} is not twice what they met")
    elif name in ("ratio", "saved") and mine:
        fast = metrics.samples(mine[0][1].requests)["ttft"]
        slow = metrics.samples(book.of(claim["against"], cell)[0][1].requests)["ttft"]
        a, b = stats.percentile(slow, 50), stats.percentile(fast, 50)
        differ(where, value, a / b if name == "ratio" else a - b, 1e-6)
        differ(f"{where} n", figure.get("n"), min(len(fast), len(slow)))
        if name == "ratio":
            differ(f"{where} interval", [figure.get("low"), figure.get("high")], ratio_interval(book.of(claim["against"], cell)[0][1], mine[0][1]) or [None, None], 1e-5)
    elif name.startswith(("in_one_piece", "in_flight")) and mine:  # why the cache is not shown to be the cause
        own = book.of(claim["against"], cell)[0] if name.endswith("_against") else mine[0]
        answers = ok(own[1].requests)
        merged = [r for r in answers if metrics.in_one_piece(r)]
        piece = name.startswith("in_one_piece")
        differ(where, value, len(merged) if piece else own[0]["client"]["peak_in_flight"])  # which figures.py recomputes
        differ(f"{where} n", figure.get("n"), len(answers) if piece else None)
    elif name in ("answered", "answered_against") and mine:  # the same
        own = book.of(claim["against"], cell)[0] if name.endswith("_against") else mine[0]
        differ(where, value, len(ok(own[1].requests)))
        differ(f"{where} n", figure.get("n"), own[0]["counts"]["planned"])
    elif name.startswith("requests_") and name != "requests_per_second":
        scope = mine or [(e, u) for e, u in book.pairs if e["reported"]]
        if claim["kind"] in ("requests", "totals", "measured"):
            counts = [figures.counted(u) for _, u in scope]
            key = {"requests_ok": "ok", "requests_planned": "planned", "requests_failed": "errors", "requests_cancelled": "cancelled", "requests_dropped": "dropped_late", "requests_lost": "lost_in_flight", "requests_never_started": "never_started"}[name]
            differ(where, value, float(sum(c[key] for c in counts)))
        elif claim["kind"] == "all_failed":
            scope = book.of(stage, cell) if stage else scope
            differ(where, value, float(sum(len(failed(u.requests)) for _, u in scope)))
    elif name == "seconds":
        scope = mine or [(e, u) for e, u in book.pairs if e["reported"]]
        differ(where, value, sum((book.log.end_ns(u) - u.from_ns) / 1e9 for _, u in scope), 1e-6)
    elif name == "output_tokens":
        shown = [(e, u) for e, u in book.pairs if e["reported"]]
        right = sum(metrics.output_tokens(r) or 0 for _, u in shown for r in ok(u.requests))
        differ(where, value, float(right))
        sources = {((e.get("tokens") or {}).get("output") or {}).get("source") for e, u in shown if ok(u.requests)}
        differ(f"{where} source", figure.get("source"), ", ".join(sorted(s for s in sources if s)))
    elif claim["kind"] == "unreachable" and mine:
        away = figures.unreachable(mine[0][1])
        differ(where, value, away[name], 1e-9)
    elif name == "cached_share" and mine:
        differ(where, value, mine[0][0]["cache"]["cached_tokens"] / mine[0][0]["cache"]["prompt_tokens"], 1e-9)
    elif name in ("cached_tokens", "prompt_tokens", "hit_requests", "judged_requests") and mine:
        differ(where, value, mine[0][0]["cache"].get(name))
    elif name == "requests_per_second" and claim["kind"] == "best_throughput":
        found = book.said["saturation"][f"{stage}[{cell}]" if cell else stage]  # which capacity.py recomputes
        differ(where, value, found["best_requests_per_second"], 1e-6)
        differ(f"{where} interval", [figure.get("low"), figure.get("high")], found.get("best_interval") or [None, None], 1e-6)
    elif name == "requests_per_second" and mine:
        differ(where, value, (mine[-1][0].get("load") or {}).get("achieved_rate"), 1e-6)
        differ(f"{where} n", figure.get("n"), len(ok(mine[-1][1].requests)))
    elif name in ("empty", "answers") and claim["kind"] == "not_judged":
        level, empty, answers = capacity.no_text(book.of(stage, cell))
        differ(where, value, float(empty if name == "empty" else answers))
    elif name in ("least_cached", "least_at", "most_cached", "most_at"):
        least, most = capacity.apart(mine)
        _, share = least if name.startswith("least") else most
        if name.endswith("cached"):
            differ(where, value, share, 1e-9)
        else:  # of levels with one share, any
            differ.held(value)
            tokens = [e["cache"] for e, _ in mine if e["rung"] == value]
            differ(where, any(t["cached_tokens"] / t["prompt_tokens"] == share for t in tokens), True)
    elif name.startswith("checks_"):
        judged = [t for e in book.said["stages"] for t in e["thresholds"]]
        made = [t for t in judged if t.get("judged", True)]
        right = {
            "checks_judged": len(made),
            "checks_held": len([t for t in made if t["pass"]]),
            "checks_failed": len([t for t in made if not t["pass"] and t["level"] == "fail"]),
            "checks_warned": len([t for t in made if not t["pass"] and t["level"] == "warn"]),
            "checks_not_made": len(judged) - len(made),
        }
        differ(where, value, float(right[name]))
    elif name in ("from_share", "to_share"):
        level = found_of(claim, book)["recommended"][1] / 0.8
        end = claim["figures"]["from" if name == "from_share" else "to"]["value"]
        differ(where, value, end / level, 1e-9)
        differ(f"{where}: leaves headroom", value < 1, True)
    elif name == "exit_code":
        differ(where, value, float(book.said["verdict"]["exit_code"]))
    elif claim["kind"].endswith("over_cells"):
        over_cells(differ, where, name, figure, claim, book)
    elif name in LEVELS.get(claim["kind"], {}):
        found, key = found_of(claim, book), LEVELS[claim["kind"]][name]
        right = found.get(key)
        differ(where, value, found.get("unclear_at") if right is None and key == "failed_at" else right, 1e-9)
    elif name == "samples_needed":
        differ(where, value, 6.0)  # the fewest of which an interval of a median can be given
    elif claim["kind"] == "search_limit":
        told = [t for e, _ in book.of(stage, cell, rung) for t in (e.get("probe") or {}).get("checks") or [] if not t["pass"] and t["check"] in claim["text"]]
        differ(f"{where} unit", figure["unit"], told[-1]["unit"])
        differ(where, value, told[-1][name])
        if name == "actual":
            differ(f"{where} n", figure.get("n"), told[-1]["samples"])
    elif claim["kind"] in ("search_found", "search_interval", "search_throughput", "search_cut_short"):
        found = found_of(claim, book)
        right = {**found, "low": (found.get("interval") or [None])[0], "high": (found.get("interval") or [None])[-1]}
        differ(where, value, right[name], 1e-9)
        if figure.get("n") is not None:
            at = [u for e, u in mine if e["probe"]["by_checks"] == "pass"][-1]
            differ(f"{where} n", figure["n"], at.planned if name == "goodput_share" else len(ok(at.requests)))
    elif claim["kind"] == "level_unclear":
        found = found_of(claim, book)
        right = {"levels": len(found["unclear"]), "lowest": min(found["unclear"]), "highest": max(found["unclear"]), "needed_s": found.get("needed_s"), "level": found["unclear"][0]}
        differ(where, value, right[name], 1e-9)
    elif claim["kind"] == "levels_not_run" and name in ("levels", "levels_run"):
        rungs = book.of(stage, cell)
        whole = [u for _, u in rungs if u.end and u.end["state"] == "completed" and not u.end.get("reason")]
        differ(where, value, len(rungs) if name == "levels" else len(whole))
    elif claim["kind"] == "generator_limited" and name.startswith("level_"):
        differ(where, value in found_of(claim, book)["generator_limited"], True)
        differ.held(value)
    elif name == "of" and claim["kind"] == "production":
        found = found_of(claim, book)
        right = found.get("sustainable", found.get("best"))
        differ(where, value, min(right, found["interval"][0]) if found.get("reason") == "wide" else right)
    elif name == "max_in_flight":
        differ(where, value, mine[0][1].start.get("concurrency"))
    elif name in ("asked", "from", "to", "reached", "lowest", "highest", "level", "sustainable", "saturated_at"):
        level_of(differ, where, name, value, claim, book, mine)
    else:
        differ.wrong(f"{where}: a figure that this reader does not know")


def level_of(differ, where, name, value, claim, book, mine):
    rungs = sorted(e["rung"] for e, _ in book.of(claim["stage"], claim.get("cell")) if e.get("rung") is not None)
    if name in ("from", "to"):
        return  # a share of a level: see the condition
    differ.held(value)
    if name == "reached":
        differ(where, value, float(peak(mine[0][1].requests)))
    elif value not in rungs:
        differ.wrong(f"{where}: level {value:g} is none of {rungs}")


def over_cells(differ, where, name, figure, claim, book):
    """A range over the cells in which the same may be claimed of one."""
    cells = sorted({e["cell"] for e, _ in book.pairs if e["id"] == claim["stage"] and e["reported"]})
    if claim["kind"] == "measured_over_cells":
        metric = "ttft" if "TTFT" in claim["text"] else "e2e"
        each = {}
        for cell in cells:
            unit = book.of(claim["stage"], cell)[0][1]
            values = metrics.samples(unit.requests).get(metrics.shown(unit, metric))
            if values:
                interval = effective.certainty(values, figures.sent_and_ended(unit.requests), True)[1] or [None, None]
                each[cell] = {"value": stats.percentile(values, 50), "n": len(values), "low": interval[0], "high": interval[1]}
    elif claim["kind"] == "cache_speed_up_over_cells":
        pairs = {cell: (book.of(claim["stage"], cell)[0], book.of(book.of(claim["stage"], cell)[0][0]["like"], cell)[0]) for cell in cells}
        each = {}
        for cell, (warm, cold) in pairs.items():
            slow, fast = (metrics.samples(u.requests).get("ttft", []) for _, u in (cold, warm))
            interval = ratio_interval(cold[1], warm[1]) if slow and fast else None
            if interval and interval[0] > 1 and cold[0]["cache"]["verdict"] == "cold" and warm[0]["cache"]["verdict"] in ("warm", "mixed"):
                each[cell] = {"value": stats.percentile(slow, 50) / stats.percentile(fast, 50), "n": min(len(slow), len(fast)), "low": interval[0], "high": interval[1]}
    else:
        each = {k.split("[")[1][:-1]: {"value": v["sustainable"]} for k, v in book.said["saturation"].items() if k.startswith(claim["stage"] + "[") and v.get("sustainable") is not None and v.get("saturated_at") is not None}
    if name in ("cells", "cells_in_all"):
        differ(where, figure["value"], len(each if name == "cells" else cells))
        return
    pick = min if name == "lowest" else max
    right = pick(each.values(), key=lambda it: it["value"])
    differ(where, {key: figure.get(key) for key in ("value", "n", "low", "high") if key in right}, right, 1e-5)


def condition(differ, where, claim, book, claims):
    kind = claim["kind"]
    for kept in [*(book.said.get("saturation") or {}).values(), *(book.said.get("searches") or {}).values()]:
        differ.held(kept.get("withheld"))
        figures_left = [k for k in ("sustainable", "saturated_at", "recommended", "best", "best_at", "best_requests_per_second") if kept.get(k) is not None]
        if not book.whole() and (figures_left or not kept.get("withheld")):
            differ.wrong(f"{where}: figures of capacity in a run that cannot be trusted: {figures_left}")
    if kind in CAPACITY and not book.whole():
        differ.wrong(f"{where}: said of a run that is {book.said['run']['state']} and {'valid' if book.said['run']['valid'] else 'INVALID'}")
    if kind in CAPACITY and claim.get("stage") and not kind.endswith("over_cells") and found_of(claim, book).get("withheld"):
        differ.wrong(f"{where}: said of levels that met different caches")
    if kind in ("cache_speed_up", "cache_no_effect"):
        warm = book.of(claim["stage"], claim.get("cell"))[0]
        cold = book.of(claim["against"], claim.get("cell"))[0]
        differ(f"{where}: same endpoint", warm[1].start["endpoint"], cold[1].start["endpoint"])
        hashes = [{r.get("prompt_hash") for r in ok(u.requests)} for _, u in (warm, cold)]
        differ(f"{where}: prompts of {claim['stage']} that {claim['against']} had not asked", len(hashes[0] - hashes[1]), 0)
        differ(f"{where}: the cold stage was", cold[0]["cache"]["verdict"], "cold")
        if warm[0]["cache"]["verdict"] not in ("warm", "mixed"):
            differ.wrong(f"{where}: the warm stage was {warm[0]['cache']['verdict']}")
        interval = ratio_interval(cold[1], warm[1])
        differ(f"{where}: interval above 1", bool(interval and interval[0] > 1), kind == "cache_speed_up")
    if kind == "flush_emptied":
        stage = book.of(claim["stage"], claim.get("cell"))[0]
        differ(f"{where}: the stage was", stage[0]["cache"]["verdict"], "cold")
        before = [u for u in book.log.units[: book.log.units.index(stage[1])] if u.flush and u.start.get("cell") == claim.get("cell")]
        differ(f"{where}: the flush was", before[-1].flush["state"] if before else None, "proven")
    if kind == "all_failed":
        scope = book.of(claim["stage"], claim.get("cell")) if claim.get("stage") else [p for p in book.pairs if p[0]["reported"]]
        differ(f"{where}: answers", sum(len(ok(u.requests)) for _, u in scope), 0)
    if kind in ("knee", "sustained", "not_saturated"):
        level = claim["figures"].get("sustainable")
        axis = (claim["figures"].get("sustainable") or {}).get("unit", "")
        if level and "concurrent" in axis:
            units = book.of(claim["stage"], claim.get("cell"), level["value"])
            if units and peak(units[0][1].requests) < level["value"]:
                differ.wrong(f"{where}: {level['value']:g} at a time is said to hold, at most {peak(units[0][1].requests)} were under way")
    if kind == "production":
        limit = next((c for c in claims if c["kind"] in ("sustained", "knee", "search_found", "held_above") and c.get("stage") == claim.get("stage") and c.get("cell") == claim.get("cell")), None)
        level = ((limit or {}).get("figures") or {}).get("sustainable")
        if not level:
            differ.wrong(f"{where}: advice without a limit that was found")
        else:
            # Where a search's probes were too short to tell the limit as closely as asked, its lower end counts.
            of = claim["figures"].get("of") or level
            if of["value"] > level["value"] * (1 + 1e-9):
                differ.wrong(f"{where}: advice by {of['value']:g}, more than what holds")
            whole = (lambda n: float(max(1, math.floor(n)))) if level["unit"] != "requests/s" else float  # only whole users can be run
            for end, part in (("from", 0.7), ("to", 0.8)):
                differ(f"{where}: {end}", claim["figures"][end]["value"], whole(part * of["value"]), 1e-6)
    if kind == "measured":
        # A level of concurrency that never came about says nothing of it, where another did.
        reached = [u for e, u in book.pairs if e["reported"] and ok(u.requests) and not (e.get("rung") and (e.get("load") or {}).get("target_rate") is None and peak(u.requests) < e["rung"])]
        most = max(len(ok(u.requests)) for u in reached or [u for e, u in book.pairs if e["reported"]])
        mine = max(len(ok(u.requests)) for _, u in book.of(claim["stage"], claim.get("cell")))
        if not claim.get("cell"):
            differ(f"{where}: answers of the stage with the most", mine, most)
    if kind == "times_from_due":
        unit = book.of_claim(claim)[0][1]
        differ(f"{where}: times count from", metrics.times_from(unit), "due")
        pairs = {name.removesuffix("_sent"): it["value"] for name, it in claim["figures"].items() if name.endswith("_sent")}
        told = any(metrics.differs(sent, claim["figures"][name]["value"]) for name, sent in pairs.items())
        known = metrics.samples(unit.requests)
        metric = next(iter(pairs)).split("_")[0]
        any_ = any(metrics.differs(*(stats.percentile(known[of], p) for of in (metric, f"{metric}_due"))) for p in (50, 90, 95, 99))
        differ(f"{where}: shows a percentile that says something else", told, any_)
    if kind == "level_not_reached":
        unit = book.of(claim["stage"], claim.get("cell"), claim["rung"])[0][1]
        if peak(unit.requests) >= claim["rung"]:
            differ.wrong(f"{where}: {peak(unit.requests)} were under way at once")


def must(differ, said, log, claims):
    """What may not be left unsaid."""
    kinds = [c["kind"] for c in claims]
    differ("claims: how it ended", kinds.count("ended"), 1)
    answered = sum(len(ok(u.requests)) for u in log.units)
    lost = sum(len(failed(u.requests)) for u in log.units)
    if not answered and lost and "all_failed" not in kinds:
        differ.wrong("claims: nothing was answered, and no claim says so")
    bad = said["run"]["state"] == "interrupted" or not said["run"]["valid"]
    if bad and kinds and kinds[0] != "ended":
        differ.wrong(f"claims: an interrupted or invalid run opens with {kinds[0]}")


def sentences(differ, said, log, console):
    """Of runs before claims were values: what no sentence may say."""
    units = {u.key[0]: u for u in log.units}
    for match in re.finditer(r"The cache makes the first token come .*TTFT p50 .* in (\S+), .* in (\S+)\.", console):
        warm, cold = units.get(match.group(1)), units.get(match.group(2))
        if not warm or not cold:
            continue
        if warm.start["endpoint"] != cold.start["endpoint"]:
            differ.wrong(f"says {match.group()!r}, of two endpoints")
        hashes = [{r.get("prompt_hash") for r in u.requests} for u in (warm, cold)]
        if hashes[0] != hashes[1]:
            differ.wrong(f"says {match.group()!r}, of stages that asked different prompts")
        if {r["cache"] for r in ok(warm.requests)} <= {"cold", "unknown"}:
            differ.wrong(f"says {match.group()!r}, where the server says that nothing was cached")
    if "cache was empty" in console and not any(u.flush and u.flush["state"] == "proven" for u in log.units):
        differ.wrong("says that the cache was empty, after no proven flush")
    if "Run production" in console and (said["run"]["state"] != "finished" or not said["run"]["valid"]):
        differ.wrong("advises production by a run that is not whole")
    for match in re.finditer(r"held up to ([\d.]+) concurrent", console):
        level = float(match.group(1))
        reached = max((peak(u.requests) for u in log.units if u.key[2] == level), default=0)
        if reached < level:
            differ.wrong(f"says {match.group()!r}, where at most {reached} were under way at once")
