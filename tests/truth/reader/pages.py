"""What a person reads: the console's table, summary.csv, the page's tables and tiles, Markdown.

Each figure that is shown must be the figure of summary.json, rounded as it is shown; that summary.json
is right is checked against the records (figures.py). A column or tile that this reader does not know is
itself a difference: a new figure needs a check.
"""

import csv
import html.parser
import re

from . import words
from .differ import NUMBER, reads


def label(entry):
    """`ladder[model=a]@8#2`, as people see it."""
    text = entry["id"] + (f"[{entry['cell']}]" if entry.get("cell") else "")
    if entry.get("rung") is not None:
        text += f"@{entry['rung']:g}" if entry["rung"] != int(entry["rung"]) else f"@{int(entry['rung'])}"
    if entry.get("probe"):
        text += f"#{entry['probe']['search']['probe'] + 1}"
    return text


def find(entries, shown):
    return [e for e in entries if label(e) == shown.strip()]


def metric(entry, name, key):
    found = entry["metrics"].get(name)
    return found[key] if found else None


def percent_name(text):
    return re.fullmatch(r"p\d+(\.\d+)?", text)


def cell(entry, head):
    """The figure of a column; KeyError where the column is not known."""
    words = head.split()
    if len(words) == 2 and words[0] in ("TTFT", "TTFO", "E2E", "TPOT", "ITL") and percent_name(words[1]):
        name = words[0].lower()
        late = entry.get("times_from") == "due" and name in ("ttft", "ttfo", "e2e")
        return metric(entry, f"{name}_due" if late else name, words[1])
    per_second = entry["throughput"]["requests_per_second"]
    return {
        "success": lambda: entry["success_rate"],
        "requests/s": lambda: per_second,
        "req/s": lambda: per_second,
        "achieved": lambda: per_second,
        "tokens/s": lambda: entry["throughput"]["output_tokens_per_second"],
        "output tok/s": lambda: entry["throughput"]["output_tokens_per_second"],
        "output": lambda: entry["throughput"]["output_tokens_per_second"],
        "output events/s": lambda: entry["throughput"].get("output_events_per_second"),
        "took": lambda: entry["duration_s"] * 1e3,
    }[head]()


def cache_shown(differ, where, text, entry):
    """`warm 99.5 %`, `mixed 56 % of requests`, `cold 0 % (wanted warm)`."""
    if entry.get("flush"):
        differ(f"{where} cache", text.lower(), f"flush {entry['flush']['state']}")
        return
    if not entry["counts"]["ok"]:
        return
    told = entry["cache"]
    word = text.split()[0]
    differ(f"{where} cache verdict", word, told["verdict"])
    share = re.search(r"([\d.,]+ %)( of requests)?", text)
    if share and share.group(2):
        differ.shown(f"{where} cache", share.group(1), told["hit_requests"] / told["judged_requests"])
    elif share:
        cached, prompt = told.get("cached_tokens"), told.get("prompt_tokens")
        differ.shown(f"{where} cache", share.group(1), cached / prompt if prompt else None)
        value = float(NUMBER.search(share.group(1)).group().replace(",", "")) / 100
        if value > 1 or (word == "cold" and value > 0.5):
            differ.wrong(f"{where}: cache column shows {text!r}, which cannot be")


def split(line):
    return [w for w in re.split(r"\s{2,}", line.strip()) if w]


def console(differ, text, entries):
    """The table of stages, and one for each stage of several levels, under its name."""
    lines, rows, shown = text.splitlines(), 0, []
    for rule in (i for i, line in enumerate(lines) if line.strip().startswith("───")):
        title = lines[rule - 3].strip() if rule > 2 else ""
        rows += table(differ, lines[rule - 2 : rule], lines[rule + 1 :], title, entries, shown)
    reported = [e for e in entries if e["reported"]]
    if rows != len(reported) and reported:
        differ.wrong(f"console: {rows} rows of {len(reported)} reported stages")


def table(differ, head, lines, title, entries, shown):
    """One table: two lines of names and units, and a row for each stage or level. How many rows there are."""
    # A unit stands at the right edge of its column, under the head's last letter.
    columns, at, family = [], 0, ""
    for name in split(head[0]):
        at = head[0].index(name, at) + len(name)
        unit = head[1][:at].split("  ")[-1].strip() if head[1][at - 1 : at].strip() else ""
        if percent_name(name):
            name = f"{family} {name}"
        family = " ".join(name.split()[:-1])
        columns.append((name, unit))
    for count, line in enumerate(lines):
        cells = split(line)
        if len(cells) != len(columns):
            return count
        row = dict(zip((name for name, _ in columns), cells))
        if "asked" in row:
            level, *number = row["asked"].replace(",", "").split(" #")
            own = [e for e in entries if e["reported"] and title == e["id"] + (f"[{e['cell']}]" if e.get("cell") else "") and e.get("rung") is not None and reads(level, e["rung"])]
            if number:
                own = [e for e in own if e["probe"]["search"]["probe"] + 1 == int(number[0])]
        else:
            own = [e for e in find(entries, row["stage"]) if e["reported"]]
        if not own:
            differ.wrong(f"console: a row {line.strip()!r} under {title!r}, which summary.json does not have")
        for entry in own[:1]:
            one_row(differ, f"console {label(entry)}", columns, row, entry)
    return len(lines)


COUNTS = {"ok": "ok", "err": "errors", "cancelled": "cancelled", "dropped": "dropped_late", "lost": "lost_in_flight", "never": "never_started"}


def one_row(differ, where, columns, row, entry):
    for head, unit in columns:
        shown = row[head]
        if head in ("stage", "kind", "asked", "verdict"):
            continue
        if head == "from":
            differ(f"{where} from", shown, entry.get("times_from", "sent") if entry["counts"]["ok"] else "–")
        elif head == "tokens":
            source_shown(differ, where, shown, entry)
        elif head in COUNTS:
            planned = entry["counts"]["planned"]
            differ(f"{where} {head}", int(shown.replace(",", "")) if planned else shown, entry["counts"][COUNTS[head]] if planned else "–")
        elif head == "cache":
            cache_shown(differ, where, shown, entry)
        else:
            figure_shown(differ, f"{where} {head}", head, shown, entry, unit)
    if entry["counts"]["planned"]:
        unseen = [word for word, key in COUNTS.items() if entry["counts"][key] and word not in row]
        differ(f"{where}: requests in no column", unseen, [])


def source_shown(differ, where, shown, entry):
    """Whose counts the figures of tokens are."""
    source = ((entry.get("tokens") or {}).get("output") or {}).get("source")
    differ(f"{where} tokens by", shown, source or ("–" if shown == "–" else ""))


def figure_shown(differ, where, head, shown, entry, unit=""):
    if head == "output" and unit == "events/s":
        head = "output events/s"
    if shown.endswith("events/s"):
        head, shown = "output events/s", shown.removesuffix("events/s").strip()
    try:
        right = cell(entry, head)
    except KeyError:
        differ.wrong(f"{where}: a column that this reader does not know")
        return
    bare = re.sub(r"[*†‡~?]|≈\s*", "", shown).strip() or shown
    plain = unit in ("", "tok/s", "events/s", "req/s") or bare in ("–", "")
    differ.shown(where, bare if plain else f"{bare} {unit}", right)


def summary_csv(differ, folder, said):
    path = folder / "summary.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    differ("summary.csv rows", len(rows), len(said["stages"]))
    for row, entry in zip(rows, said["stages"]):
        where = f"summary.csv {label(entry)}"
        right = dict(entry["counts"], **{k: entry["throughput"].get(k) for k in entry["throughput"]})
        right |= {"stage": entry["id"], "cell": entry.get("cell"), "rung": entry.get("rung"), "state": entry["state"]}
        right |= {"success_rate": entry.get("success_rate"), "duration_s": entry["duration_s"]}
        right |= {"cached_tokens_sum": entry["cache"].get("cached_tokens"), "prompt_tokens_sum": entry["cache"].get("prompt_tokens")}
        right |= {"cache_verdict": entry["cache"]["verdict"], "thresholds": len(entry["thresholds"])}
        for name, found in entry["metrics"].items():
            for key in ("mean", "p50", "p90", "p95", "p99"):
                base = name if found["unit"] != "ms" else f"{name}_ms"
                right[f"{base}_{key}"] = found[key]
        for column, value in right.items():
            shown = row.get(column)
            if shown is None:
                differ.wrong(f"{where}: no column {column}")
            elif value is None or isinstance(value, str):
                differ(f"{where} {column}", shown, value or "")
            else:
                differ(f"{where} {column}", float(shown) if shown else None, float(value), 1e-12)


class Page(html.parser.HTMLParser):
    """Tables, tiles and sentences of the page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tiles, self.sentences, self.headline, self.stamp = [], [], [], "", ""
        self._section, self._table, self._row, self._text, self._tag, self._value = "", None, None, None, "", None
        self._in_tiles, self._small = False, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if tag == "section":
            self._section = at.get("id", "")
        if tag == "table":
            self._table = {"section": self._section, "head": [], "rows": []}
            self.tables.append(self._table)
        if tag == "tr" and self._table is not None:
            self._row = []
        if tag in ("td", "th", "h1", "p", "dt", "dd", "h2"):
            self._text, self._tag, self._value, self._small = "", at.get("class", ""), at.get("data-v"), None
        if tag == "small" and self._text is not None:
            self._small = len(self._text)
        if tag == "dl":
            self._in_tiles = "tiles" in (at.get("class") or "")

    def handle_endtag(self, tag):
        if self._text is None and tag not in ("tr", "table", "dl"):
            return
        text = " ".join((self._text or "").split())
        if tag == "th" and self._table is not None:
            self._table["head"].append(text)
        elif tag == "td" and self._row is not None:
            self._row.append((text, self._value))
        elif tag == "tr" and self._row:
            self._table["rows"].append(self._row)
            self._row = None
        elif tag == "table":
            self._table = None
        elif tag == "h1":
            self.headline = text
        elif tag == "p":
            self.sentences.append((self._tag, self._section, text))
        elif tag == "dt" and self._in_tiles:
            self.tiles.append([text, "", ""])
        elif tag == "dd" and self._in_tiles and self.tiles:
            cut = self._small if self._small is not None else len(self._text)
            self.tiles[-1][1:] = [self._text[:cut].strip(), self._text[cut:].strip()]
        if tag in ("td", "th", "h1", "p", "dt", "dd", "h2"):
            self._text = None

    def handle_data(self, data):
        if self._text is not None:
            self._text += data


def page(differ, text, said):
    found = Page(text)
    entries = [e for e in said["stages"] if e["reported"]]
    for table in found.tables:
        page_table(differ, table, entries, said)
    for name, value, detail in found.tiles:
        tile(differ, name, value, detail, entries, said)
    return found


def page_table(differ, table, entries, said):
    head = table["head"]
    in_section = [e for e in entries if table["section"] in (f"stage-{slug(e)}", f"stage-{e['id']}")]
    of_stages = head[0] == "stage" and "ok / planned" in head or head[0] in ("asked rate", "concurrency") and "verdict" in head
    if not of_stages and not (head[0] == "metric" and "samples" in head):
        rows = [dict(zip(head, row)) for row in table["rows"]]
        if not words.table(differ, f"page {table['section']}", head, rows, in_section[0] if in_section else None, said):
            differ.wrong(f"page {table['section']}: a table that this reader does not know: {head}")
        return
    for row in table["rows"]:
        cells = dict(zip(head, row))
        if len(row) != len(head):
            differ.wrong(f"page: a row of {len(row)} cells under {len(head)} heads ({head[0]})")
            continue
        for name, (text, value) in cells.items():
            if value is not None and NUMBER.search(text) and not (name in ("from", "to")):
                try:
                    sorted_by = float(value)
                except ValueError:
                    continue
                if " / " not in text and "#" not in text:
                    differ.shown(f"page {table['section']} {row[0][0]} {name}: text against its value", text, sorted_by)
        if head[0] == "stage" and "ok / planned" in head:
            for entry in find(entries, cells["stage"][0])[:1]:
                row_of(differ, f"page {label(entry)}", cells, entry)
        elif head[0] in ("asked rate", "concurrency") and "verdict" in head:
            number = re.search(r"#(\d+)", cells[head[0]][0])
            level = float(cells[head[0]][1])
            same = [e for e in in_section if e.get("rung") == level and (not number or e["probe"]["search"]["probe"] + 1 == int(number.group(1)))]
            for entry in same[:1]:
                row_of(differ, f"page {label(entry)}", cells, entry)
        elif head[0] == "metric" and "samples" in head and len(in_section) >= 1:
            matching = [e for e in in_section if metric(e, cells["metric"][0], "count") == int(cells["samples"][1].split(".")[0])]
            if not matching:
                differ.wrong(f"page {table['section']}: {cells['metric'][0]} has {cells['samples'][0]} samples, summary.json {[metric(e, cells['metric'][0], 'count') for e in in_section]}")
            for entry in matching[:1] if len(in_section) == 1 else []:
                for key in ("mean", "p50", "p90", "p95", "p99", "min", "max"):
                    differ(f"page {label(entry)} {cells['metric'][0]} {key}", float(cells[key][1]), metric(entry, cells["metric"][0], key))


def slug(entry):
    return re.sub(r"[^a-zA-Z0-9]+", "-", entry["id"] + ("-" + entry["cell"] if entry.get("cell") else "")).strip("-")


def row_of(differ, where, cells, entry):
    for name, (text, _) in cells.items():
        if name in ("stage", "verdict", "asked rate", "concurrency", "kind"):
            continue
        if name == "ok / planned":
            ok, planned = (int(w.replace(",", "")) for w in text.split(" / "))
            differ(f"{where} {name}", (ok, planned), (entry["counts"]["ok"], entry["counts"]["planned"]))
        elif name == "times":
            differ(f"{where} {name}", text, "from due" if entry.get("times_from") == "due" else "")
        elif name == "tokens by":
            source_shown(differ, where, text, entry)
        elif name == "cache":
            differ(f"{where} cache", text.split()[0], entry["cache"]["verdict"])
        else:
            figure_shown(differ, f"{where} {name}", name, text, entry)


LOAD_TILES = ("Sustained", "Held up to", "Best concurrency")
CACHE_TILES = ("Cache speed-up", "TTFT, cold over warm")


def tile(differ, name, value, detail, entries, said):
    where = f"tile `{name}`"
    counts = {k: sum(e["counts"][k] for e in entries) for k in ("planned", "ok", "errors")}
    if name == "Requests answered":
        differ.shown(where, value, counts["ok"] / counts["planned"] if counts["planned"] else None)
        numbers = [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", detail)]
        right = [counts["planned"]] if counts["ok"] == counts["planned"] else [counts["errors"] or counts["ok"], counts["planned"]]
        differ(f"{where} detail", numbers, right)
    elif name.startswith("Tokens generated"):
        tokens = sum(e["metrics"]["output_tokens"]["mean"] * e["metrics"]["output_tokens"]["count"] for e in entries if "output_tokens" in e["metrics"])
        differ.shown(where, value, float(round(tokens)))
    elif name == "Time in stages":
        differ.shown(where, value, sum(e["duration_s"] for e in entries) * 1e3)
    elif name in ("Thresholds held", "Checks held"):
        judged = [t for e in said["stages"] for t in e["thresholds"]]
        made = [t for t in judged if t.get("judged", not t["reason"].startswith("not checked"))]
        held = len([t for t in made if t["pass"]])
        differ(where, value.replace(" ", ""), f"{held}/{len(made)}")
        left_out = [int(n) for n in re.findall(r"(\d+) not made", detail)]
        differ(f"{where} not made", sum(left_out), len(judged) - len(made))
    elif name in LOAD_TILES + CACHE_TILES:
        known = [f["value"] for c in said.get("claims") or [] for f in (c.get("figures") or {}).values()]
        for shown in NUMBER.findall(value):
            if not any(reads(shown, right) for right in known):
                differ.wrong(f"{where}: shows {value!r}, which no claim has")
        subjects = {c.get("stage") for c in said.get("claims") or []}
        if not any(subject and detail.startswith(subject) for subject in subjects):
            differ.wrong(f"{where}: does not name its stage ({detail!r})")
    else:
        differ.wrong(f"{where}: a tile that this reader does not know")


def markdown(differ, text, said):
    """Tables of the Markdown report, by the same columns."""
    entries = [e for e in said["stages"] if e["reported"]]
    head = None
    for line in text.splitlines():
        if not line.startswith("|"):
            head = None
            if line.startswith("<details><summary>Rungs of"):
                section = re.sub(r"\\|&#\d+;", "", line.split("Rungs of ")[1].split("<")[0]).strip()
            continue
        cells = [unescape(c.strip()) for c in line.strip().strip("|").split("|")]
        if head is None:
            head = cells
            continue
        if set("".join(cells)) <= set("-: "):
            continue
        row = {name: (text_, None) for name, text_ in zip(head, cells)}
        if head[0] == "stage" and "ok / planned" in head:
            for entry in find(entries, row["stage"][0])[:1]:
                row_of(differ, f"markdown {label(entry)}", row, entry)
        elif head[0] in ("asked rate", "concurrency") and "ok / planned" in head:
            level = float(row[head[0]][0].split()[0].replace(",", ""))
            number = re.search(r"#(\d+)", row[head[0]][0])
            same = [e for e in entries if e.get("rung") is not None and abs(e["rung"] - level) <= 1e-3 * level and (not number or (e.get("probe") and e["probe"]["search"]["probe"] + 1 == int(number.group(1)))) and slug(e).startswith(re.sub(r"[^a-zA-Z0-9]+", "-", section).strip("-"))]
            if len(same) == 1:
                row_of(differ, f"markdown {label(same[0])}", row, same[0])


def unescape(text):
    text = re.sub(r"&#(\d+);", lambda m: chr(int(m.group(1))), text)
    return re.sub(r"\\(.)", r"\1", text).replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
