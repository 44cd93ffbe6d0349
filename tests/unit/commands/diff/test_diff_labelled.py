"""Labels of a file measure two versions of every kind of model, without any bundle."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_kind import ANOMALY, CLASSIFIER, EXAMPLE, KINDS, OUTPUTS, QUANTILES, YES_NO
from rich.console import Console

from serve_app.commands.diff.comparison import CsvShift, Diff, Side
from serve_app.commands.diff.csv_rows import BadRow, LabelledRow, read_labelled_rows, read_rows
from serve_app.commands.diff.labelled import Labels, Quality
from serve_app.commands.diff.page import as_json, show
from serve_app.commands.diff.scoring import Scored
from serve_app.commands.diff.shift import FlipGroup, shift
from serve_app.contract import ModelSpec
from serve_app.contract.labels import name_of_label
from serve_app.statistics.disagreement import Comparison

ROW = EXAMPLE.row.model_dump(mode="json")
NO_PARAMETERS: tuple[dict[str, float], dict[str, float]] = ({}, {})


def quality_of(
    spec: ModelSpec, labels: list[dict[str, str]], stable: Any, candidate: Any
) -> Quality | None:
    """Return what rows with these labels and scores say; half of them are gifts."""
    collected = Labels(spec)
    for line, found in enumerate(labels, start=2):
        collected.add(LabelledRow(line, ROW, found))
    gift = next(feature for feature in spec.contract if feature.name == "is_gift")
    columns = {gift: np.arange(len(labels)) % 2.0}
    scored = Scored(np.array(stable, dtype=float), np.array(candidate, dtype=float), columns)
    return collected.quality(scored, NO_PARAMETERS)


def test_a_candidate_that_is_worse_for_one_group_is_found_there() -> None:
    """Gifts are guessed by the candidate, and the slice of gifts stands first."""
    classes = CLASSIFIER.classes
    truth = np.arange(120) % 3
    stable = np.full((120, 3), 0.1) + 0.7 * np.eye(3)[truth]
    candidate = stable.copy()
    candidate[1::2] = 1 / 3
    labels = [{"arrival": str(classes[i])} for i in truth]
    found = quality_of(CLASSIFIER, labels, stable, candidate)
    assert found is not None
    assert (found.n_rows, found.reason, found.error) == (120, "", "log_loss")
    first, second = found.slices
    assert (first.feature, first.label, first.n_rows, first.verdict) == (
        "is_gift",
        "true",
        60,
        "worse",
    )
    assert (second.label, second.verdict, second.difference.value) == ("false", "alike", 0)
    assert {pair.name: pair.verdict for pair in found.metrics}["log_loss"] == "worse"


@pytest.mark.parametrize(
    ("spec", "label", "n_scores"),
    [
        (YES_NO, lambda n: {"returned": "yes" if n % 3 else "no"}, 1),
        (CLASSIFIER, lambda n: {"arrival": str(CLASSIFIER.classes[n % 3])}, 3),
        (OUTPUTS, lambda n: {"days": str(n), "cost_usd": f"{n}.5"}, 2),
        (QUANTILES, lambda n: {"days": str(n)}, 3),
        (KINDS["value"], lambda n: {"days": f"{n}e0"}, 1),
    ],
)
def test_every_kind_with_a_truth_is_measured(spec: ModelSpec, label: Any, n_scores: int) -> None:
    """Each has its metrics and slices, and the same scores are alike."""
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.ones(max(2, n_scores)), 60)[:, :n_scores]
    stable = scores[:, 0] if n_scores == 1 else scores
    found = quality_of(spec, [label(n) for n in range(60)], stable, stable)
    assert found is not None
    assert found.reason == ""
    assert {pair.verdict for pair in found.metrics} == {"alike"}
    assert len(found.slices) == 2


def test_an_anomaly_score_has_no_labels() -> None:
    """A file cannot have a column of a target that there is not."""
    assert quality_of(ANOMALY, [{}] * 40, np.zeros(40), np.zeros(40)) is None


def test_too_few_labels_or_one_class_are_said_and_not_measured() -> None:
    """An interval of three rows would be no news."""
    few = quality_of(YES_NO, [{"returned": "yes"}] * 3, [0.1] * 3, [0.1] * 3)
    assert few is not None
    assert few.metrics == ()
    assert few.reason.startswith("found 3 rows with a label and a score of both versions")
    one = quality_of(YES_NO, [{"returned": "yes"}] * 40, [0.1] * 40, [0.1] * 40)
    assert one is not None
    assert one.reason == "found one class only among the labels, expected at least two"


def test_rows_that_one_version_cannot_score_are_not_measured() -> None:
    """Both are measured on the same rows, or the comparison means nothing."""
    labels = [{"returned": "yes" if n % 2 else "no"} for n in range(50)]
    stable = np.linspace(0, 1, 50)
    candidate = stable.copy()
    candidate[:10] = np.nan
    found = quality_of(YES_NO, labels, stable, candidate)
    assert found is not None
    assert found.n_rows == 40


@pytest.mark.parametrize(
    ("label", "name"),
    [(True, "1"), ("False", "0"), (2.0, "2"), ("-1.0", "-1"), ("yes", "yes"), ("1.5", "1.5")],
)
def test_a_label_has_one_name_however_it_is_written(label: Any, name: str) -> None:
    """A table that had a gap writes 1 as 1.0, and pandas writes True for true."""
    assert name_of_label(label) == name
    assert name_of_label(np.float64(2)) == "2"


def test_a_flip_of_classes_is_named_with_both() -> None:
    """Which class became which, the most frequent first; up and down mean nothing here."""
    before = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    after = np.array([[0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.6, 0.1, 0.3]])
    found = shift(Scored(before, after, {}), Comparison.of(CLASSIFIER, {}))
    assert found.flips is not None
    assert (found.flips.n, found.flips.n_up) == (3, None)
    assert found.flips.groups == (
        FlipGroup("late → in time", 2),
        FlipGroup("early → late", 1),
    )
    assert found.largest == pytest.approx(0.5)
    assert found.largest_of == "late"


def test_outputs_that_leave_their_interval_are_named() -> None:
    """A row counts once, however many of its outputs are outside."""
    comparison = Comparison.of(OUTPUTS, {"half_width": 1.0})
    before = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 1.0]])
    after = np.array([[3.0, -5.0], [1.0, 1.5], [1.0, 1.0]])
    found = shift(Scored(before, after, {}), comparison)
    assert found.flips is not None
    assert (found.flips.n, found.n_compared, found.n_candidate_only) == (1, 2, 1)
    assert {group.name: group.n for group in found.flips.groups} == {"days": 1, "cost_usd": 1}
    assert (found.largest, found.largest_of) == (-6.0, "cost_usd")


HEADER = [*ROW, "arrival"]
GOOD = {
    **{name: "" if value is None else str(value) for name, value in ROW.items()},
    "arrival": "late",
}


def written(folder: Path, *rows: dict[str, str]) -> Path:
    """Return a CSV file of these rows."""
    lines = [",".join(HEADER), *(",".join(row[name] for name in HEADER) for row in rows)]
    path = folder / "orders.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_type_of_field_is_read_from_a_file(tmp_path: Path) -> None:
    """Truth values as people write them, dates as ISO 8601, any text, any finite number."""
    other = {"is_gift": "1", "is_member": "", "birthday": "", "city": "123", "amount": "1e300"}
    found = list(read_labelled_rows(written(tmp_path, GOOD, GOOD | other), CLASSIFIER))
    assert found[0] == LabelledRow(2, ROW, {"arrival": "late"})
    expected = {"is_gift": True, "is_member": None, "birthday": None, "city": "123"}
    assert isinstance(found[1], LabelledRow)
    assert found[1].row == ROW | expected | {"amount": 1e300}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_gift": "maybe"}, "is_gift is not true or false, expected true or false"),
        ({"is_gift": ""}, "is_gift is empty, expected true or false"),
        ({"ordered_at": "28.11.2026"}, "ordered_at is not an ISO date of this form, expected date"),
        ({"city": "x" * 41}, "city is too long, expected text of 1 to 40 characters"),
        ({"amount": "1e999"}, "amount is not a finite number, expected finite number"),
    ],
)
def test_a_wrong_cell_of_a_new_type_is_named(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    """Found, expected, and the line; the other rows are read."""
    found = list(read_rows(written(tmp_path, GOOD, GOOD | change), CLASSIFIER))
    assert found[0] == ROW
    assert isinstance(found[1], BadRow)
    assert found[1].line == 3
    assert found[1].reason.startswith(reason)


def page_of(csv: CsvShift, spec: ModelSpec, answers: Any) -> str:
    """Return the page of two versions of which only the rows of a file are compared."""
    side = Side("1.0.0", "0" * 64, "0" * 64, "onnx", (), 1, 1, 0.1, 0.1)
    targets = ", ".join(spec.targets)
    found = Diff(spec.name, spec.kind, targets, answers, side, side, (), (), csv.shift, csv)
    console = Console(file=io.StringIO(), width=110, markup=False, emoji=False)
    show(found, console)
    assert isinstance(console.file, io.StringIO)
    assert json.loads(as_json(found))["csv"]["path"] == csv.path
    return console.file.getvalue()


def test_the_page_of_a_classifier_names_flips_and_worse_slices() -> None:
    """Which class became which, and where the candidate loses."""
    truth = np.arange(120) % 3
    stable = np.full((120, 3), 0.1) + 0.7 * np.eye(3)[truth]
    candidate = stable.copy()
    candidate[1::2] = [0.2, 0.3, 0.5]
    labels = [{"arrival": str(CLASSIFIER.classes[i])} for i in truth]
    quality = quality_of(CLASSIFIER, labels, stable, candidate)
    moved = shift(Scored(stable, candidate, {}), Comparison.of(CLASSIFIER, {}))
    text = page_of(CsvShift("orders.csv", (), moved, quality), CLASSIFIER, "class")
    assert "late → early     20" in text
    assert "metrics of both on the same 120 rows of orders.csv" in text
    assert "where 1.0.0 loses most, by log_loss (less is better)" in text
    assert re.search(r"is_gift +true +60 .* worse", text)


def test_the_page_of_outputs_shows_small_numbers_and_large_ones() -> None:
    """Metres of a thousandth are no zeros."""
    n = np.arange(60.0)
    stable = np.column_stack([1e-4 * n, 1e6 * n])
    candidate = stable + np.array([1e-5, 1e5])
    labels = [{"days": repr(a), "cost_usd": repr(b)} for a, b in stable.tolist()]
    quality = quality_of(OUTPUTS, labels, stable, candidate)
    comparison = Comparison.of(OUTPUTS, {"half_width_days": 1e-6})
    moved = shift(Scored(stable, candidate, {}), comparison)
    text = page_of(CsvShift("orders.csv", (), moved, quality), OUTPUTS, "outputs")
    assert "outside 1.0.0's intervals" in text
    assert re.search(r"days +60 *\n", text)
    assert re.search(r"mae_days .*1e-05", text)
    assert "+1e+05" in text
