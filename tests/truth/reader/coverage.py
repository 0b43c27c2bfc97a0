"""Which leaves of summary.json a check has compared with anything, over all runs.

`tracked` gives a summary whose leaves know where they stand; `Differences` marks each that it was given as what is
said. A leaf that no check of any run was given is a figure that nobody recomputes: `missing` lists it, unless
`LEFT_OUT` has its name with the reason why there is nothing to recompute.
"""

import fnmatch

# Names below these are data (classes of errors, models, counters, …), not keys of ours.
BY_NAME = ("errors", "counters", "gauges", "mean_ms", "finish_reasons", "other_models", "remarks", "impossible", "saturation", "searches", "models")

LEFT_OUT = {
    "schema_version": "a constant of the file's form",
    "run.state": "what the exit code is judged by (judged.py)",
    "run.notes[]": "sentences; the figures in them stand elsewhere, too",
    "claims[].condition": "the words of the rule that claims.py holds each claim to",
}


class Book:
    """All leaves by name, and those that were compared; a leaf is (name, where)."""

    def __init__(self):
        self.leaves, self.compared = {}, {}

    def add(self, other):
        for mine, theirs in ((self.leaves, other.leaves), (self.compared, other.compared)):
            for name, places in theirs.items():
                mine[name] = mine.get(name, 0) + len(places)

    def missing(self):
        """Names that no check was given and that `LEFT_OUT` does not explain."""
        return sorted(n for n in self.leaves if n not in self.compared and not any(fnmatch.fnmatchcase(n, p) for p in LEFT_OUT))

    def needless(self):
        """Patterns of `LEFT_OUT` that explain nothing."""
        bare = [n for n in self.leaves if n not in self.compared]
        return sorted(p for p in LEFT_OUT if not any(fnmatch.fnmatchcase(n, p) for n in bare))


class _Leaf:
    pass


class _Int(_Leaf, int):
    pass


class _Float(_Leaf, float):
    pass


class _Text(_Leaf, str):
    pass


LEAVES = {int: _Int, float: _Float, str: _Text}


class _Map(dict):
    """Truth values and nulls can't know where they stand: they count as compared once they are asked for."""

    def _asked(self, key):
        if key in self.bare:
            self.book.compared.setdefault(self.bare[key], set()).add(f"{self.place}.{key}")

    def __getitem__(self, key):
        self._asked(key)
        return super().__getitem__(key)

    def get(self, key, otherwise=None):
        self._asked(key)
        return super().get(key, otherwise)

    def items(self):
        for key in self.bare:
            self._asked(key)
        return super().items()


def mark(value):
    """It has been compared."""
    if isinstance(value, _Leaf):
        value.book.compared.setdefault(value.name, set()).add(value.place)


def tracked(value, book, name="", place="", within=""):
    """The same value, whose leaves know their names (`stages[].counts.ok`) and places (`stages[3].counts.ok`)."""
    if isinstance(value, dict):
        found = _Map()
        found.book, found.place, found.bare = book, place, {}
        for key, inner in value.items():
            own = f"{name}.{'*' if within in BY_NAME else key}".lstrip(".")
            at = f"{place}.{key}"
            if inner is None or isinstance(inner, bool):
                found.bare[key] = own
                book.leaves.setdefault(own, set()).add(at)
            found[key] = tracked(inner, book, own, at, "" if within in BY_NAME else key)
        return found
    if isinstance(value, list):
        return [tracked(inner, book, f"{name}[]", f"{place}[{at}]", within) for at, inner in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    leaf = LEAVES[type(value)](value)
    leaf.book, leaf.name, leaf.place = book, name, place
    book.leaves.setdefault(name, set()).add(place)
    return leaf
