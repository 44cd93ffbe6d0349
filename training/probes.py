"""Rows that a file does not have and a client may send: where a compiled model goes wrong.

Made from the contract (what may be missing, every choice, an unseen text, both bounds, numbers that
a float32 cannot hold, fractions) and from the model (the values on both sides of every cut of its
trees). Each is put into rows of the file, alone and in pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY, US_PER_DAY, Block, Layout
from serve_app.contract.feature import UNSEEN_TEXTS, Value
from training.bounds import bounds
from training.table import Numbers, Table, plain_value

# Rows of the file that each single value is tried in.
N_BASE = 4
N_PAIRS = 3_000
MAX_CUT_ROWS = 8_000
MAX_CHOICES = 200
# Fields of a row that a sentence names.
MAX_NAMED = 3
FLOAT32_WHOLE = 2.0**24


@dataclass(frozen=True)
class Probe:
    """One value of one field: a float as in a block (NaN: missing), or a text ("": missing)."""

    field: Feature
    value: Any

    def put(self, block: Block, rows: Any, layout: Layout) -> None:
        """Write the value into rows of a block, in place."""
        layout.column(block, self.field.name)[rows] = self.value

    @property
    def is_missing(self) -> bool:
        """Whether it stands for no value."""
        if self.field.is_text:
            return bool(self.value == MISSING_CATEGORY)
        return bool(np.isnan(self.value))

    @property
    def plain(self) -> Value:
        """The value as it stands in JSON, None where it is missing."""
        return plain_value(self.value, self.field)

    @property
    def words(self) -> str:
        """The field and the value, for a sentence."""
        if self.is_missing:
            return f"{self.field.name} missing"
        return f"{self.field.name} = {self.plain!r}"


def single_probes(table: Table) -> list[Probe]:
    """Each value worth trying, field by field."""
    return [
        Probe(feature, value)
        for feature in table.spec.contract
        for value in _values(feature, table.column(feature.name))
    ]


def _values(feature: Feature, seen: NDArray[Any]) -> Iterator[Any]:
    if feature.is_text:
        yield from _texts(feature, seen)
        return
    if feature.nullable:
        yield np.nan
    known = np.unique(seen[~np.isnan(seen)])
    yield from dict.fromkeys(float(value) for value in _numbers(feature, known))


def _texts(feature: Feature, seen: NDArray[Any]) -> Iterator[str]:
    if feature.nullable:
        yield MISSING_CATEGORY
    if feature.choices is not None:
        # Those that the file does not have go first: an encoder may refuse them.
        known = {str(value) for value in seen}
        choices = sorted((str(choice) for choice in feature.choices), key=known.__contains__)
        yield from choices[:MAX_CHOICES]
        return
    common = [str(value) for value in dict.fromkeys(seen) if value != MISSING_CATEGORY]
    yield from common[:MAX_CHOICES]
    most = feature.max_length or 1
    yield from (text[:most] for text in UNSEEN_TEXTS)
    yield "x" * min(most, 200)
    if common:
        # Almost a known one: other case, blanks around it.
        yield from (text[:most] for text in (common[0].upper(), common[0].lower(), f" {common[0]}"))


def _numbers(feature: Feature, known: Numbers) -> Iterator[float]:
    if feature.dtype == "bool":
        yield from (0.0, 1.0)
        return
    if feature.choices is not None:
        yield from (float(choice) for choice in feature.choices[:MAX_CHOICES])
        return
    low, high = bounds(feature, known)
    span = known if len(known) else np.array([low, high])
    candidates = [low, high, 0.0, float(span.min()), float(span.max()), float(np.median(span))]
    if feature.dtype in ("date", "datetime"):
        unit = US_PER_DAY if feature.dtype == "date" else 1_000_000
        allowed = [value for value in candidates if low <= value <= high]
        yield from (float(np.round(value / unit) * unit) for value in allowed)
        return
    for power in range(1, 10):
        candidates += [10.0**power, -(10.0**power)]
    for whole in (
        FLOAT32_WHOLE + 1,
        FLOAT32_WHOLE + 3,
        10 * FLOAT32_WHOLE + 1,
        float(span.max()) + 1,
    ):
        candidates += [whole, -whole]
    if feature.dtype == "float":
        candidates += [value + 0.5 for value in known[:20]] + [low + 0.01, high - 0.01, 1 / 3, 2.5]
        candidates += [np.nextafter(low, np.inf), np.nextafter(high, -np.inf)]
    allowed = [value for value in candidates if low <= value <= high]
    if feature.dtype == "int":
        allowed = [value for value in allowed if value == np.floor(value)]
    yield from allowed


def base_rows(table: Table, n_rows: int, seed: int) -> Block:
    """Rows of the file to put values into, as a copy."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(table), n_rows)
    return Block(table.block.numbers[rows].copy(), table.block.categories[rows].copy())


def pairs(probes: Sequence[Probe], table: Table, seed: int) -> tuple[Block, list[str]]:
    """Rows with two or three of the values at once, and what is in each."""
    rng = np.random.default_rng(seed)
    layout = Layout(table.spec.contract)
    block = base_rows(table, N_PAIRS, seed)
    said = []
    for row in range(N_PAIRS):
        chosen = [probes[i] for i in rng.integers(0, len(probes), rng.integers(2, 4))]
        for probe in chosen:
            probe.put(block, row, layout)
        by_field = {probe.field.name: probe.words for probe in chosen}
        said.append(", ".join(by_field.values()))
    return block, said


def beside_cuts(
    by_field: Mapping[str, Numbers], table: Table, seed: int
) -> tuple[Block, list[str]]:
    """Rows with values on both sides of the cuts of a pipeline, many fields at a time.

    Each such value stands in at least one row, up to MAX_CUT_ROWS of a field.
    """
    rng = np.random.default_rng(seed)
    layout = Layout(table.spec.contract)
    values = {}
    for feature in table.spec.contract:
        cuts = by_field.get(feature.name)
        if cuts is not None and len(cuts):
            allowed = _sides(cuts, feature, table.column(feature.name))
            if len(allowed):
                values[feature.name] = rng.permutation(allowed)[:MAX_CUT_ROWS]
    n_rows = max((len(found) for found in values.values()), default=0)
    block = base_rows(table, n_rows, seed)
    for name, found in values.items():
        rows = rng.permutation(n_rows)[: len(found)]
        layout.column(block, name)[rows] = found
    named = [feature for feature in table.spec.contract if feature.name in values][:MAX_NAMED]
    columns = [layout.column(block, feature.name) for feature in named]
    said = []
    for row in zip(*columns, strict=True):
        words = [Probe(feature, value).words for feature, value in zip(named, row, strict=True)]
        said.append(f"values next to cuts ({', '.join(words)})")
    return block, said


def _sides(cuts: Numbers, feature: Feature, seen: NDArray[Any]) -> Numbers:
    low, high = bounds(feature, seen[~np.isnan(seen)])
    if feature.dtype == "float":
        sides = [cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf)]
        sides += [np.round(cuts, 2), np.ceil(cuts), np.floor(cuts)]
    else:
        sides = [np.floor(cuts), np.ceil(cuts), np.floor(cuts) + 1]
    values = np.unique(np.concatenate(sides))
    if feature.choices is not None:
        return values[np.isin(values, feature.choices)]
    if feature.dtype == "date":
        values = np.unique(np.round(values / US_PER_DAY) * US_PER_DAY)
    return values[(values >= low) & (values <= high)]
