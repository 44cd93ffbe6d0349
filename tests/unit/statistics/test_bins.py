"""Rows fall into bins that people can read, whatever type the field has."""

from datetime import date
from typing import Any

import numpy as np
from every_kind import CLASSIFIER, EXAMPLE, order_manifest

from serve_app.bundle.manifest import Reference
from serve_app.contract.block import Layout
from serve_app.statistics.bins import MOST_TEXTS, Bins, without_bins
from serve_app.statistics.slicing import masks

CONTRACT = CLASSIFIER.contract
MANIFEST = order_manifest(CLASSIFIER, [[0.2, 0.5, 0.3]])


def counted(name: str, values: list[Any], **references: Reference) -> dict[str, tuple[int, int]]:
    """Return rows and marked rows of each bin of one field, the first row marked."""
    row = EXAMPLE.row.model_dump()
    block = Layout(CONTRACT).block([row | {name: value} for value in values])
    marked = np.arange(len(values)) == 0
    bins = Bins(MANIFEST.references | references, CONTRACT)
    return {
        label: (n_rows, n_marked)
        for (feature, label), n_rows, n_marked in bins.count(block, marked)
        if feature == name
    }


def test_an_open_text_has_the_bins_of_training_and_one_for_all_others() -> None:
    """A new city joins the others: a flood of made-up texts makes no flood of bins."""
    found = counted("city", ["Ulm", "Bern", "Oslo", "Zürich", "Bern"])
    assert found == {"any other": (2, 1), "Bern": (2, 0), "Zürich": (1, 0)}


def test_a_closed_list_without_a_reference_has_its_choices_and_missing() -> None:
    """Null is a bin of its own."""
    found = counted("channel", ["web", None, "web", "phone"])
    assert found == {"web": (2, 1), "missing": (1, 0), "phone": (1, 0)}


def test_of_a_long_list_the_most_frequent_texts_have_bins() -> None:
    """Thousands of choices would make thousands of bins in each report."""
    values = [f"city {n}" for n in range(500)]
    reference = Reference(share_missing=0, values=values, counts=list(range(500)))
    found = counted("city", ["city 499", "city 0", f"city {500 - MOST_TEXTS}"], city=reference)
    assert found == {"city 499": (1, 1), "any other": (1, 0), f"city {500 - MOST_TEXTS}": (1, 0)}


def test_a_field_without_edges_and_without_texts_tells_no_rows_apart() -> None:
    """A closed list and a truth value have bins of their own, whatever training has kept."""
    reference = Reference(share_missing=0, values=["Bern"], counts=[1])
    numbers = {
        feature.name for feature in CONTRACT if feature.name in Layout(CONTRACT).number_names
    }
    alike = set(without_bins({}, CONTRACT))
    assert alike == (numbers | {"city"}) - {"is_member", "is_gift"}
    assert "city" not in without_bins({"city": reference}, CONTRACT)


def test_truth_values_have_their_own_words() -> None:
    """True and false are read better than 1 and 0; a missing one is neither."""
    found = counted("is_member", [True, None, False, True])
    assert found == {"true": (2, 1), "missing": (1, 0), "false": (1, 0)}


def test_dates_are_binned_by_day() -> None:
    """The edges are microseconds inside, and ISO 8601 for people."""
    found = counted("birthday", [date(1969, 5, 1), date(1970, 5, 1), date(2020, 1, 1), None])
    assert found == {
        "under 1970-01-01": (1, 1),
        "1970-01-01 to 1971-01-01": (1, 0),
        "1971-01-01 and more": (1, 0),
        "missing": (1, 0),
    }


def sliced(name: str, values: list[Any]) -> dict[str, int]:
    """Return how many rows each slice of one field has."""
    feature = next(feature for feature in CONTRACT if feature.name == name)
    layout = Layout([feature])
    block = layout.block([{name: value} for value in values])
    column = (block.categories if feature.is_text else block.numbers)[:, 0]
    return {label: int(mask.sum()) for label, mask in masks(column, feature)}


def test_slices_of_truth_values_and_dates_are_readable_too() -> None:
    """What the report and `sluice diff` print."""
    assert sliced("is_member", [True, False, None, True]) == {"false": 1, "true": 2, "missing": 1}
    days = [date(2026, 1, 1 + n) for n in range(28)]
    assert sliced("birthday", [*days, None]) == {
        "2026-01-01 to under 2026-01-07": 6,
        "2026-01-07 to under 2026-01-14": 7,
        "2026-01-14 to under 2026-01-21": 7,
        "2026-01-21 to 2026-01-28": 8,
        "missing": 1,
    }
    assert sliced("ordered_at", ["2026-01-01T12:00:00.5"]) == {
        "2026-01-01T12:00:00": 1,
        "missing": 0,
    }


def test_slices_of_an_open_text_are_its_most_frequent_values() -> None:
    """However many there are, a dozen is enough to look at."""
    values = [f"city {n}" for n in range(20) for _ in range(n + 1)]
    found = sliced("city", values)
    assert list(found)[:2] == ["city 19", "city 18"]
    assert list(found)[12:] == ["any other", "missing"]
    assert found["any other"] == sum(range(1, 9))
