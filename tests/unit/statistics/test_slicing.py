"""Slices of rows have labels that a person reads, and lose no row."""

from typing import Any

import numpy as np
import pytest

from serve_app.contract import Feature
from serve_app.statistics.slicing import masks

US = 86_400_000_000


def labels_of(column: Any, **feature: Any) -> list[str]:
    """The labels of the slices that have rows."""
    values = np.asarray(column)
    found = list(masks(values, Feature(name="field", **feature)))
    together = np.sum([mask for _, mask in found], axis=0)
    assert (together == 1).all()
    return [label for label, mask in found if mask.any()]


def test_truth_values_are_called_true_and_false() -> None:
    """In a block they are numbers."""
    column = [0.0, 1.0, np.nan] * 40
    assert labels_of(column, dtype="bool", nullable=True) == ["false", "true", "missing"]


@pytest.mark.parametrize(
    ("dtype", "first"),
    [("date", "2000-01-01 to under 2000-"), ("datetime", "2000-01-01T00:00:00 to under 2000-")],
)
def test_dates_are_called_as_dates(dtype: str, first: str) -> None:
    """In a block they are microseconds."""
    column = (10_957 + np.arange(400.0)) * US
    found = labels_of(column, dtype=dtype)
    assert len(found) == 4
    assert found[0].startswith(first)


def test_the_frequent_texts_of_an_open_field_are_slices_and_all_others_one() -> None:
    """A long text is cut, so that the name of its slice fits a line."""
    column = np.array(["Bern"] * 50 + ["x" * 100] * 40 + [f"city {i}" for i in range(90)] + [""])
    found = labels_of(column.astype(object), dtype="text", max_length=200, nullable=True)
    assert found[:2] == ["Bern", "x" * 39 + "…"]
    assert found[-2:] == ["any other", "missing"]
    assert len(found) == 12 + 2


def test_codes_keep_their_digits() -> None:
    """Four quarters of numbers beyond a million are no powers of ten."""
    column = 20_260_100.0 + np.arange(400)
    assert labels_of(column, dtype="int", minimum=0, maximum=1e9)[0] == "20260100 to under 20260199"
