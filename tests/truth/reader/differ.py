"""Collects differences between what is said and what the records show."""

import math
import re

from . import coverage


class Differences:
    def __init__(self):
        self.found = []
        self.checked = 0
        self.book = coverage.Book()

    def __call__(self, what, said, right, relative=1e-9, absolute=1e-9):
        """Numbers equal within rounding; all else equal as it is. Lists and maps by member."""
        if isinstance(right, dict) and isinstance(said, dict):
            for key in sorted(set(right) | set(said), key=str):
                self(f"{what}.{key}", said.get(key), right.get(key), relative, absolute)
            return
        if isinstance(right, (list, tuple)) and isinstance(said, (list, tuple)) and len(said) == len(right):
            for place, (one, other) in enumerate(zip(said, right)):
                self(f"{what}[{place}]", one, other, relative, absolute)
            return
        self.checked += 1
        coverage.mark(said)
        if _is_number(said) and _is_number(right):
            if math.isclose(said, right, rel_tol=relative, abs_tol=absolute):
                return
        elif said == right:
            return
        self.found.append(f"{what}: said {short(said)}, records show {short(right)}")

    def held(self, said):
        """It has been held against the records in another way."""
        self.checked += 1
        coverage.mark(said)

    def wrong(self, sentence):
        self.checked += 1
        self.found.append(sentence)

    def shown(self, what, text, right):
        """A figure as a person reads it: `6.37 ms`, `1,305`, `99.5 %`, `–`."""
        self.checked += 1
        if not reads(text, right):
            self.found.append(f"{what}: shows {text!r}, records show {short(right)}")


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def short(value):
    return f"{value:.7g}" if isinstance(value, float) else repr(value)


NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
# What a unit stands for, in the unit that summary.json uses for such figures.
SCALE = {"ms": 1, "µs": 1e-3, "us": 1e-3, "ns": 1e-6, "s": 1e3, "min": 6e4, "%": 0.01}


def reads(text, right, unit=None):
    """Whether a shown figure is `right`, rounded to the digits that are shown.

    `unit` is the unit of the column where the text has none.
    """
    text = text.strip().rstrip("*")  # the mark of an uncertified tail
    if right is None:
        return text in ("–", "-", "", "no data", "?")
    match = NUMBER.search(text)
    if not match:
        return False
    digits = match.group().replace(",", "")
    rest = text[match.end():].strip()
    word = rest.split()[0].rstrip(",.;:)") if rest else (unit or "")
    scale = SCALE.get(word, SCALE.get(unit or "", 1) if not rest else 1)
    decimals = len(digits.split(".")[1]) if "." in digits else 0
    half = 0.5 * 10**-decimals * scale
    return abs(float(digits) * scale - right) <= half * 1.0001 + abs(right) * 1e-9
