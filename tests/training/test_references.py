"""What training freezes of its rows and scores, without training anything."""

import numpy as np
import pytest
from drifting import block_of, rows_of_orders, scores_of
from every_kind import CLASSIFIER, KINDS, OUTPUTS, VALUE
from pydantic import ValidationError

from serve_app.bundle.manifest import Reference
from serve_app.contract import Feature, ModelSpec
from serve_app.statistics.bins import Bins
from training.references import of_numbers, of_texts, references, score_references
from training.table import Table

OPEN = Feature(name="city", dtype="text", max_length=40)


def test_numbers_have_the_tenths_and_the_ends_of_training() -> None:
    """Every row is in one bin, or missing."""
    column = np.append(np.arange(1_000.0), [np.nan] * 10)
    found = of_numbers(column)
    assert found.edges == pytest.approx(range(99, 999, 100), abs=1)
    assert (found.minimum, found.maximum, found.n_missing) == (0, 999, 10)
    assert sum(found.counts) == 1_000


def test_a_value_that_many_rows_have_is_told_from_the_others() -> None:
    """All tenths of it are equal: by them alone nothing above it would have a bin."""
    zeros = of_numbers(np.array([0.0] * 95 + [1.5, 2.0, 3.0, 4.0, 5.0]))
    assert (zeros.edges, zeros.counts) == ([1.5], [95, 5])
    middle = of_numbers(np.array([1.0] * 2 + [5.0] * 96 + [9.0] * 2))
    assert (middle.edges, middle.counts) == ([5.0, 9.0], [2, 96, 2])
    constant = of_numbers(np.full(50, 3.0))
    assert (constant.edges, constant.counts) == ([], [50])


def test_nothing_but_missing_values_has_no_range() -> None:
    """And no edges: there is nothing to compare with."""
    found = of_numbers(np.full(5, np.nan))
    assert (found.minimum, found.maximum, found.n_missing, found.counts) == (None, None, 5, [0])


def test_texts_beyond_the_listed_ones_are_counted() -> None:
    """A missing text is none of them."""
    column = np.array([""] * 3 + ["a"] * 5 + [f"t{i}" for i in range(120)], dtype=object)
    found = of_texts(column, OPEN)
    assert found.values is not None
    assert (found.values[0], len(found.values)) == ("a", 100)
    assert (found.n_missing, found.n_unlisted) == (3, 21)
    assert sum(found.counts) + found.n_unlisted == 125


def test_truth_values_and_dates_have_bins_of_their_own() -> None:
    """Few that are true are told from the rest; a date has months and weekdays."""
    rows = rows_of_orders(400, 1)
    table = Table(VALUE, block_of(VALUE, rows), np.zeros(400))
    found = references(table)
    n_gifts = sum(row["is_gift"] for row in rows)
    assert found["is_gift"].counts == [400 - n_gifts, n_gifts]
    ordered = found["ordered_at"]
    assert ordered.months is not None
    assert ordered.weekdays is not None
    assert sum(ordered.months) == sum(ordered.weekdays) == 400
    assert ordered.weekdays[0] == sum(row["ordered_at"].weekday() == 0 for row in rows)
    assert Bins(found, VALUE.contract), "rollouts cut their slices at them"


@pytest.mark.parametrize("spec", KINDS.values(), ids=list(KINDS))
def test_scores_of_every_kind_have_a_reference(spec: ModelSpec) -> None:
    """Of each output, or of the classes; rows that failed are counted apart."""
    scores = scores_of(spec, 500, 1)
    scores[:5] = np.nan
    found = score_references(spec, scores, 0.01)
    names = {"classifier": ("class",)}.get(spec.kind, spec.outputs or ("score",))
    assert tuple(found) == tuple(names)
    for reference in found.values():
        assert reference.n_missing == 5
        assert sum(reference.counts) == 495
    if spec is CLASSIFIER:
        assert found["class"].values == list(spec.classes)
    if spec is OUTPUTS:
        assert found["days"].counts != found["cost_usd"].counts or (
            found["days"].edges != found["cost_usd"].edges
        )


def test_edges_of_scores_lie_between_scores() -> None:
    """A tree has few of them, and a compiled one gives each a little more or less."""
    scores = np.array([0.1] * 30 + [0.4] * 50 + [0.9] * 20)
    found = score_references(KINDS["labels"], scores, 1e-5)["score"]
    assert found.edges == pytest.approx([0.25, 0.65])
    assert found.counts == [30, 50, 20]
    assert found.minimum == pytest.approx(0.1 - 1e-5, abs=1e-9)
    assert found.maximum == pytest.approx(0.9 + 1e-5, abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": [1.0, 2.0], "counts": [1, 1]},
        {"edges": [2.0, 1.0], "counts": [1, 1, 1]},
        {"edges": [float("nan"), 1.0], "counts": [1, 1, 1]},
        {"values": ["a"], "counts": [1, 1]},
        {"values": ["a"], "edges": [], "counts": [1]},
        {"counts": [1]},
    ],
)
def test_bins_that_cannot_be_counted_are_refused(wrong: dict[str, object]) -> None:
    """Before a bundle is opened; references of older formats were never looked at so."""
    with pytest.raises(ValidationError):
        Reference(share_missing=0.0, n_missing=0, **wrong)  # type: ignore[arg-type]
    assert Reference(share_missing=0.0, **wrong)  # type: ignore[arg-type]
