"""Rows that a bundle is proven on next to those of its file: what is tried of which field."""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from serve_app.contract import Choice, Date, Features, ModelSpec, Number, Text
from serve_app.contract.block import US_PER_DAY, Layout
from training.probes import FLOAT32_WHOLE, pairs, single_probes
from training.reading import check
from training.table import Table

CITIES = ("Lyon", "Porto")


class Tried(Features):
    """A field of each type, with bounds that a float32 cannot hold."""

    money: Annotated[float, Field(ge=-5, le=50_000_000)]
    above: Annotated[float, Field(gt=0, le=1)] | None
    since_s: Annotated[int, Field(ge=-3, le=4_000_000_000)]
    visits: Annotated[int, Field(ge=1, le=50)] | None
    term: Annotated[int, Choice((1, 6, 12))]
    plan: Literal["basic", "pro", "legacy"] | None
    city: Annotated[str, Text(30)]
    code: Annotated[str, Text(2)] | None
    is_member: bool | None
    joined: Date | None
    free: Number


@pytest.fixture(scope="module")
def table() -> Table:
    """Rows in which all numbers are whole, nothing is missing and nobody has the plan legacy."""
    rng = np.random.default_rng(0)
    n_rows = 300
    rows = pd.DataFrame(
        {
            "money": rng.integers(0, 100, n_rows).astype(float),
            "above": np.full(n_rows, 0.5),
            "since_s": rng.integers(0, 100, n_rows),
            "visits": rng.integers(2, 20, n_rows).astype(float),
            "term": rng.choice([1, 6], n_rows),
            "plan": rng.choice(["basic", "pro"], n_rows),
            "city": rng.choice(CITIES, n_rows),
            "code": rng.choice(["a", "b"], n_rows),
            "is_member": rng.random(n_rows) < 0.5,
            "joined": pd.Timestamp("2024-02-28"),
            "free": rng.integers(0, 100, n_rows).astype(float),
            "y": rng.normal(size=n_rows),
        }
    )
    spec = ModelSpec(name="tried", title="Tried", kind="regressor", target="y", features=Tried)
    return check(rows, spec, "recipe")


@pytest.fixture(scope="module")
def tried(table: Table) -> dict[str, list[Any]]:
    """The values of each field as they stand in a block, without the missing one."""
    found: dict[str, list[Any]] = {feature.name: [] for feature in table.spec.contract}
    for probe in single_probes(table):
        if not probe.is_missing:
            found[probe.field.name].append(probe.value)
    return found


def test_a_field_is_missing_where_the_contract_allows_it_and_nowhere_else(table: Table) -> None:
    """Also where no row of the file has a gap."""
    missing = {probe.field.name for probe in single_probes(table) if probe.is_missing}
    assert missing == {"above", "visits", "plan", "code", "is_member", "joined"}
    assert missing == {feature.name for feature in table.spec.contract if feature.nullable}


def test_every_choice_is_tried_and_those_that_the_file_lacks_first(
    tried: dict[str, list[Any]],
) -> None:
    """An encoder was fitted on what its file had, and may refuse the others."""
    assert tried["plan"][0] == "legacy"
    assert sorted(tried["plan"]) == ["basic", "legacy", "pro"]
    assert sorted(tried["term"]) == [1, 6, 12]
    assert sorted(tried["is_member"]) == [0, 1]


def test_an_open_text_is_tried_with_unseen_ones_that_are_not_too_long(
    tried: dict[str, list[Any]],
) -> None:
    """And with those of the file; the contract has no longer one."""
    assert set(CITIES) <= set(tried["city"])
    assert len(set(tried["city"]) - set(CITIES)) >= 5
    assert max(map(len, tried["city"])) == 30
    assert set(tried["code"]) - {"a", "b"}
    assert max(map(len, tried["code"])) == 2


def test_both_bounds_of_a_number_are_tried_and_nothing_beyond(tried: dict[str, list[Any]]) -> None:
    """Of an open bound the next number inside; without bounds far from all that was seen."""
    for field, low, high in (
        ("money", -5, 50_000_000),
        ("since_s", -3, 4_000_000_000),
        ("visits", 1, 50),
        ("above", np.nextafter(0, 1), 1),
    ):
        assert (min(tried[field]), max(tried[field])) == (low, high), field
    assert min(tried["free"]) < -10_000
    assert max(tried["free"]) > 10_000
    assert len(tried["joined"]) > 2
    assert all(value % US_PER_DAY == 0 for value in tried["joined"])


@pytest.mark.parametrize("field", ["money", "since_s"])
def test_whole_numbers_that_a_float32_cannot_hold_are_tried(
    tried: dict[str, list[Any]], field: str
) -> None:
    """Money and seconds beyond 2^24 come back as their even neighbour."""
    large = [value for value in tried[field] if value > FLOAT32_WHOLE]
    assert FLOAT32_WHOLE + 1 in large
    assert sum(float(np.float32(value)) != value for value in large) >= 2


def test_fractions_are_tried_where_the_file_has_whole_numbers_only(
    tried: dict[str, list[Any]],
) -> None:
    """A category of a number column is found by them; an int has none."""
    for field in ("money", "free"):
        fractions = [value for value in tried[field] if value % 1 == 0.5]
        assert len(fractions) >= 10, field
    for field in ("since_s", "visits", "term"):
        assert all(value % 1 == 0 for value in tried[field]), field


def test_values_are_tried_in_pairs_in_rows_that_the_contract_allows(table: Table) -> None:
    """Two fields may go wrong together only, and a row says what is in it."""
    probes = single_probes(table)
    block, said = pairs(probes, table, seed=1)
    assert len(block) == len(said) >= 1_000
    layout = Layout(table.spec.contract)
    by_words = {probe.words: probe for probe in probes}
    n_together = 0
    for row, words in enumerate(said):
        found = [by_words[part] for part in words.split(", ")]
        n_together += len(found) > 1
        for probe in found:
            value = layout.column(block, probe.field.name)[row]
            assert value == probe.value or (probe.is_missing and not probe.field.is_text)
    assert n_together > 0.8 * len(said)
