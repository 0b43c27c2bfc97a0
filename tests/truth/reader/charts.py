"""The page's charts: what is drawn is read back to numbers, and held against the records.

Three steps, so that no number of the page vouches for itself: the labels at the axes say what a pixel stands for;
each drawn point lies where its number belongs; each number is what the records show. Learned from the code: at most
2,000 samples make a curve, 600 requests a stage's dots, beside its 20 slowest; moments are as wide as a power of 2 ns.
"""

import bisect
import html.parser
import json
import math
import re

from . import metrics, stats
from .differ import SCALE
from .log import FAILED, failed, ok

NUMBER = r"-?\d+(?:\.\d+)?"
POINT = re.compile(rf"([ML])({NUMBER}) ({NUMBER})(h0|l)?")
PIXEL = 0.16  # tenths are drawn, of numbers that the page's data has to five digits
MOST_SAMPLES, MOST_DOTS = 2_000, 600
PERCENTS = [float(p) for p in range(99)] + [99 + tenth / 10 for tenth in range(10)]
GAUGES = {"running": ("running", 1), "waiting": ("waiting", 1), "KV cache in use": ("kv_usage", 100), "GPU utilisation": ("gpu_utilisation_percent", 1)}


class Charts(html.parser.HTMLParser):
    """Every figure of the page with its drawings, and the numbers that the page's script reads."""

    def __init__(self, page):
        super().__init__()
        self.figures, self.data = {}, []
        self._figure = self._drawing = self._series = self._text = self._tag = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if tag == "figure" and "data-chart" in at:
            self._figure = self.figures[at["data-chart"]] = {"title": "", "caption": "", "drawings": []}
        elif tag == "svg" and self._figure is not None:
            self._drawing = {"class": at["class"], "plot": [float(w) for w in at["data-plot"].split()], "series": {}, "paths": [], "boxes": [], "texts": []}
            self._figure["drawings"].append(self._drawing)
        elif tag == "g" and "data-series" in at:
            self._series = self._drawing["series"].setdefault(int(at["data-series"]), [])
        elif tag == "path" and self._drawing is not None:
            (self._drawing["paths"] if self._series is None else self._series).append(dict(at, points=[(float(x), float(y)) for _, x, y, _ in POINT.findall(at["d"])]))
        elif tag == "rect" and self._drawing is not None:
            self._drawing["boxes"].append({**at, **{k: float(at[k]) for k in ("x", "y", "width", "height")}})
        if tag in ("h4", "p", "text", "script"):
            self._tag, self._text = (tag, at), ""

    def handle_endtag(self, tag):
        if tag == "g":
            self._series = None
        elif tag == "svg":
            self._drawing = None
        elif tag == "figure":
            self._figure = None
        if self._tag is None or tag != self._tag[0]:
            return
        at, text = self._tag[1], self._text
        if tag == "script" and at.get("id") == "data":
            self.data = json.loads(text)
        elif tag == "text" and self._drawing is not None:
            self._drawing["texts"].append((float(at["x"]), float(at["y"]), at.get("text-anchor", "start"), text))
        elif self._figure is not None and tag in ("h4", "p"):
            self._figure["title" if tag == "h4" else "caption"] = text
        self._tag = self._text = None

    def handle_data(self, data):
        if self._text is not None:
            self._text += data


def place(axis, value):
    """Where along an axis a number lies, 0 at its start and 1 at its end."""
    if axis["scale"] == "log":
        share = math.log(value / axis["min"]) / math.log(axis["max"] / axis["min"]) if value > 0 else 0.0
    else:
        share = (value - axis["min"]) / (axis["max"] - axis["min"])
    return min(1.0, max(0.0, share))


class Drawing:
    """One drawing of a chart, and how its pixels are read."""

    def __init__(self, drawing, chart):
        self.drawing, self.chart = drawing, chart
        self.left, self.top, self.width, self.height = drawing["plot"]

    def x(self, value):
        return self.left + self.width * place(self.chart["x"], value)

    def y(self, value):
        share = place(self.chart["y"], value)
        return self.top + self.height * (share if self.chart["y"]["rows"] else 1 - share)

    def labels(self, differ, where):
        """Each number at an axis stands where it belongs, in the unit that is written there."""
        bottom, right, seen = self.top + self.height, self.left + self.width, 0
        y_title = next((text for x, y, anchor, text in self.drawing["texts"] if anchor == "start" and x == 2), "")
        x_title = next((text for _, y, _, text in self.drawing["texts"] if abs(y - bottom - 35) < 0.2), "")
        for x, y, anchor, text in self.drawing["texts"]:
            if anchor == "middle" and abs(y - bottom - 17) < 0.2:
                value, off, clamped = number(text, x_title, self.chart["x"]), x, x - self.left < 20 or right - x < 20
                at = value is not None and self.x(value)
            elif anchor == "end" and abs(x - self.left + 7) < 0.2 and not self.chart["y"]["rows"]:
                value, off, clamped = number(text, y_title, self.chart["y"]), y - 4, False
                at = value is not None and self.y(value)
            else:
                continue
            seen += 1
            # A label is moved inwards at the drawing's edges, and rounded.
            if value is None or abs(at - off) > (20 if clamped else 0.006 * max(self.width, self.height)):
                differ.wrong(f"{where}: the label {text!r} stands at {off}, which is not where it belongs ({at})")
        differ(f"{where}: labels at its axes", seen >= 2, True)

    def series(self, differ, where):
        """Every number of the page's data is drawn where it belongs, and nothing else is."""
        for at, series in enumerate(self.chart["series"]):
            name = f"{where} `{series['name']}`"
            right = [(self.x(x), self.y(y)) for x, y in series["points"]]
            drawn = [path["points"] for path in self.drawing["series"].get(at, [])]
            if series["shape"] == "crosses":
                drawn = [[(x + 3.2, y + 3.2) for x, y in points] for points in drawn]
            if series["shape"] == "area" and drawn:
                drawn[0] = drawn[0][:-2]  # its base
            differ(f"{name}: times drawn", len(drawn), 2 if series["shape"] in ("area", "line_dots") else 1)
            for points in drawn:
                off = [n for n, (one, other) in enumerate(zip(points, right)) if abs(one[0] - other[0]) > PIXEL or abs(one[1] - other[1]) > PIXEL]
                if len(points) != len(right) or off:
                    differ.wrong(f"{name}: {len(points)} points drawn of {len(right)}, {len(off)} where they do not belong (the first {off[:1]})")
                differ.held(len(points))

    def marks(self):
        """Where dashed lines stand across the plot."""
        dashed = [path["points"] for path in self.drawing["paths"] if path.get("stroke-dasharray") == "2 3"]
        return [points[0][0] for points in dashed if len(points) == 2 and points[0][0] == points[1][0]]


def number(text, title, axis):
    """A label's number in the axis' own unit; the unit stands beside it or in the axis' title."""
    found = re.fullmatch(r"(-?[\d,]+(?:\.\d+)?)(?: (\S+))?", text)
    if not found:
        return None
    unit = found.group(2) or (re.search(r"\(([^()]*)\)$", title) or [None, title])[1]
    scale = {"share": {"%": 0.01}, "ms": SCALE, "s": {name: ms / 1e3 for name, ms in SCALE.items()} | {"h": 3600}}.get(axis["unit"], {}).get(unit, 1)
    return float(found.group(1).replace(",", "")) * scale


def check(differ, page, said, log, slug):
    charts = Charts(page)
    data = {chart["id"]: chart for chart in charts.data}
    differ("charts with data", sorted(data), sorted(charts.figures))
    for name, figure in charts.figures.items():
        chart = data.get(name)
        if chart is None:
            continue
        differ(f"chart {name}: drawings", [d["class"] for d in figure["drawings"]], ["wide", "narrow"])
        drawings = [Drawing(drawing, chart) for drawing in figure["drawings"]]
        for drawing in drawings:
            where = f"chart {name} ({drawing.drawing['class']})"
            drawing.labels(differ, where)
            drawing.series(differ, where)
        numbers(differ, name, figure, chart, drawings, Run(said, log, slug))


class Run:
    def __init__(self, said, log, slug):
        self.said, self.log, self.slug = said, log, slug
        pairs = [(entry, unit) for entry, unit in zip(said["stages"], log.units) if entry["reported"]]
        self.pairs = pairs
        self.named = {}
        for entry, unit in pairs:
            name = entry["id"] + (f"[{entry['cell']}]" if entry.get("cell") else "")
            self.named.setdefault(name, []).append((entry, unit))


def samples(entry, unit, name):
    """The samples behind a curve; none where the metric cannot be told."""
    name = metrics.from_due(name) if entry.get("times_from") == "due" else name
    return metrics.samples(unit.requests).get(name) or []


def dots(entry, unit):
    """(when sent, TTFT) of every complete answer."""
    take = metrics.PER_REQUEST["ttft_due" if entry.get("times_from") == "due" else "ttft"]
    return [(r["sent_ns"] / 1e9, take(r)) for r in ok(unit.requests) if metrics.ttft(r) is not None]


def same(one, other):
    return math.isclose(one, other, rel_tol=6e-5, abs_tol=1e-9)


def numbers(differ, name, figure, chart, drawings, run):
    where = f"chart {name}"
    series = {s["name"]: s["points"] for s in chart["series"]}
    if name == "ttft":
        side_by_side(differ, where, chart, drawings, run)
    elif name.startswith("cdf-"):
        for stage, points in series.items():
            pairs = run.named.get(stage) or []
            differ(f"{where}: the stage {stage!r}", len(pairs), 1)
            for entry, unit in pairs:
                curve(differ, f"{where} {stage}", points, samples(entry, unit, name.removeprefix("cdf-")))
    elif name.startswith("time-"):
        moments(differ, where, name.removeprefix("time-"), figure, series, run)
    else:
        levels(differ, where, name, chart, series, drawings, run)


def side_by_side(differ, where, chart, drawings, run):
    for row, (stage, points) in enumerate((s["name"], s["points"]) for s in chart["series"]):
        pairs = run.named.get(stage) or []
        differ(f"{where}: the stage {stage!r}", len(pairs), 1)
        for entry, unit in pairs:
            known = [ttft for _, ttft in dots(entry, unit)]
            subset(differ, f"{where} {stage}", [x for x, _ in points], known, [(len(known), 250)])
            ttft = entry["metrics"].get("ttft_due" if entry.get("times_from") == "due" else "ttft")
            for drawing in drawings:
                y = drawing.y(row + 0.5)
                bars = [p["points"] for p in drawing.drawing["paths"] if p.get("stroke-width") == "2.6" and abs((p["points"][0][1] + p["points"][1][1]) / 2 - y) < 0.3]
                differ(f"{where} {stage}: median", [bar[0][0] for bar in bars], [drawing.x(ttft["p50"])], absolute=PIXEL)
                boxes = [b for b in drawing.drawing["boxes"] if b.get("fill-opacity") == "0.25" and abs(b["y"] + b["height"] / 2 - y) < 0.3]
                right = ttft.get("p50_interval")
                ends = [drawing.x(value) for value in right] if right else []
                differ(f"{where} {stage}: its interval", [at for b in boxes for at in (b["x"], b["x"] + b["width"])], [ends[0], max(ends[1], ends[0] + 1)] if right else [], absolute=2 * PIXEL)


def subset(differ, where, drawn, known, parts):
    """Each dot is one of what is known; all are there, or of too many (there are, are drawn at most) a sample and the slowest 20."""
    known, at = sorted(known), 0
    for value in sorted(drawn):
        while at < len(known) and known[at] < value and not same(known[at], value):
            at += 1
        if at == len(known) or not same(known[at], value):
            differ.wrong(f"{where}: a dot at {value}, where no request is")
            return
        at += 1
    least = sum(min(there, most) for there, most in parts)
    differ(f"{where}: dots", least <= len(drawn) <= least + sum(20 for there, most in parts if there > most), True)


def curve(differ, where, points, values):
    """Percentiles of all samples; of more than 2,000, of a fair sample of them."""
    differ(f"{where}: shares", [y for _, y in points], [p / 100 for p in PERCENTS] + [1], 6e-5)
    if len(values) <= MOST_SAMPLES:
        right = [stats.percentile(values, p) for p in PERCENTS] + [max(values)]
        differ(where, [x for x, _ in points], right, 6e-5)
        return
    ordered = sorted(values)
    differ(f"{where}: slowest", points[-1][0], ordered[-1], 6e-5)
    for x, y in points:
        below, share = (bisect.bisect(ordered, x * (1 + off)) / len(ordered) for off in (-6e-5, 6e-5))
        below = bisect.bisect_left(ordered, x) / len(ordered) if x == 0 else below
        if not below - 0.06 <= y <= share + 0.06:
            differ.wrong(f"{where}: {below:.3f} to {share:.3f} of the samples are at most {x}, drawn at {y}")


LEVELS = {
    "throughput": {"as asked": lambda e: e["rung"], "achieved": lambda e: e["throughput"]["requests_per_second"]},
    "success": {"success rate": lambda e: e["success_rate"]},
    "tokens": {"generated": lambda e: e["throughput"].get("output_tokens_per_second")},
}


def levels(differ, where, name, chart, series, drawings, run):
    """The charts of a ladder, a ramp or a search."""
    anchor, kind = name.rsplit("-", 1)
    pairs = [pair for pairs in run.named.values() for pair in pairs if anchor in (f"stage-{run.slug(pair[0])}", run.slug(pair[0])) and pair[0].get("rung") is not None]
    counts = lambda e: e["counts"]
    pairs = [(e, u) for e, u in pairs if sum(counts(e)[k] for k in ("ok", "errors", "cancelled", "dropped_late", "lost_in_flight"))]
    pairs.sort(key=lambda pair: pair[0]["rung"])
    if not pairs:
        differ.wrong(f"{where}: of no stage that this reader knows")
        return
    entries = [entry for entry, _ in pairs]
    if kind == "cdf":
        of = "ttft" if any("ttft" in e["metrics"] for e in entries) else "e2e"
        curves = [samples(e, u, of) for e, u in pairs]
        # Each is of a level of its own, in their order.
        curves = [values for values in curves if len(values) > 1]
        differ(f"{where}: curves", len(series) if len(series) < 8 else 8, min(8, len(curves)))
        at = 0
        for stage, points in series.items():
            while at < len(curves) and not same(points[-1][0], max(curves[at])):
                at += 1
            if at == len(curves):
                differ.wrong(f"{where} {stage}: of no level in its order")
                return
            curve(differ, f"{where} {stage}", points, curves[at])
            at += 1
        return
    found = next((found for key, found in {**run.said.get("saturation", {}), **run.said.get("searches", {})}.items() if key in run.named and run.named[key][0][0]["id"] == entries[0]["id"] and run.named[key][0][0].get("cell") == entries[0].get("cell")), {})
    stop = found.get("saturated_at", found.get("failed_at"))
    for drawing in drawings:
        differ(f"{where}: its limit", drawing.marks(), [] if stop is None else [drawing.x(stop)], absolute=PIXEL)
    if kind in ("ttft", "e2e", "tpot"):
        late = lambda e: metrics.from_due(kind) if e.get("times_from") == "due" and kind != "tpot" else kind
        takes = {p: (lambda p: lambda e: (e["metrics"].get(late(e)) or {}).get(p))(p) for p in ("p50", "p95", "p99")}
    elif kind in LEVELS:
        takes = dict(LEVELS[kind])
        if kind == "throughput" and entries[0]["load"].get("target_rate") is None:
            takes.pop("as asked")
        if kind == "tokens" and all(takes["generated"](e) is None for e in entries):
            takes = {"generated": lambda e: e["throughput"].get("output_events_per_second")}
    else:
        differ.wrong(f"{where}: a chart that this reader does not know")
        return
    right = {line: [[e["rung"], take(e)] for e in entries if take(e) is not None] for line, take in takes.items()}
    differ(where, series, {line: points for line, points in right.items() if points}, 6e-5)


def moments(differ, where, kind, figure, series, run):
    """What went on at each moment of the run."""
    requests = [r for unit in run.log.units for r in unit.requests if r.get("sent_ns") is not None]
    if kind == "ttft":
        scatter(differ, where, series, run)
        return
    if kind in ("server", "server-use"):
        for line, points in series.items():
            gauge, times = GAUGES[line]
            right = [[it["at_ns"] / 1e9, it["gauges"][gauge] * times] for it in run.log.server if it.get("error") is None and gauge in (it.get("gauges") or {})]
            differ(f"{where} {line}", points, right if len(right) <= 2_000 else points, 6e-5)
        return
    line = next(iter(series.values()))
    width = round(line[0][0] * 2e9)
    power = 2 ** round(math.log2(width))
    differ(f"{where}: how wide a moment is", width, power, 1e-4)
    told = re.search(r"each (.*)\.$", figure["caption"])
    if told:
        differ.shown(f"{where}: how wide a moment is called", told.group(1), power / 1e6)
    bins = math.ceil((line[-1][0] * 1e9) / power)
    count = lambda stamps: [[(n + 0.5) * power / 1e9, many] for n, many in enumerate(tally(stamps, power, bins))]
    rate = lambda stamps: [[at, many / (power / 1e9)] for at, many in count(stamps)]
    ends = lambda outcomes: [r.get("end_ns") or r["sent_ns"] for r in requests if r["outcome"] in outcomes]
    right = {
        "rates": lambda: {"sent": rate([r["sent_ns"] for r in requests]), "answered": rate(ends(("ok",)))},
        "tokens": lambda: {"token events": rate([at for r in requests for at in r.get("token_ns") or []])},
        "errors": lambda: {"failed": count(ends(FAILED))},
        "in-flight": lambda: {"in flight": under_way(requests, power, bins)},
    }.get(kind)
    if right is None:
        differ.wrong(f"{where}: a chart that this reader does not know")
        return
    differ(where, series, right(), 6e-5, 1e-6)


def tally(stamps, width, bins):
    counts = [0] * bins
    for at in stamps:
        if at // width < bins:
            counts[at // width] += 1
    return counts


def under_way(requests, width, bins):
    """The mean number of requests under way in each moment."""
    spent = [0] * bins
    for r in requests:
        start, end = r["sent_ns"], max(r["sent_ns"], r.get("end_ns") or r["sent_ns"])
        for n in range(start // width, min(bins - 1, end // width) + 1):
            spent[n] += min(end, (n + 1) * width) - max(start, n * width)
    return [[(n + 0.5) * width / 1e9, time / width] for n, time in enumerate(spent)]


def scatter(differ, where, series, run):
    units = len(run.pairs)
    most = min(MOST_DOTS, max(20, 4_000 // max(1, units)))
    for stage, points in series.items():
        if stage == "failed" and stage not in run.named:
            stamps = [[r["sent_ns"] / 1e9 for r in failed(unit.requests) if r.get("sent_ns") is not None] for _, unit in run.pairs]
            subset(differ, f"{where} failed", [x for x, _ in points], sum(stamps, []), [(len(own), MOST_DOTS) for own in stamps])
            continue
        pairs = run.named.get(stage) or []
        own = [dots(entry, unit) for entry, unit in pairs]
        known = sorted(sum(own, []))
        subset(differ, f"{where} {stage}", [x for x, _ in points], [x for x, _ in known], [(len(it), most) for it in own])
        near = lambda x: known[bisect.bisect_left(known, (x * (1 - 7e-5),)) : bisect.bisect_right(known, (x * (1 + 7e-5) + 1e-9,))]
        lost = [y for x, y in points if not any(same(x, at) and same(y, ttft) for at, ttft in near(x))]
        differ(f"{where} {stage}: dots where no request is", lost, [])
