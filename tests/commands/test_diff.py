"""`sluice diff`: two versions side by side, from real bundles that differ in one known thing."""

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import COMPILED, MANIFEST, PIPELINE, File, parse, sha256_of
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.bundle.store import FolderStore
from serve_app.commands.diff.comparison import Diff, compare
from serve_app.commands.diff.csv_rows import read_rows
from serve_app.commands.main import app
from serve_app.contract import Feature
from serve_app.contract.block import Layout
from serve_app.errors import BundleError
from serve_app.models import get_spec
from training.recipe import get_training
from training.run import train

CHURN = get_spec("churn")
DELIVERY = get_spec("delivery_time")
HEADER = ",".join(feature.name for feature in CHURN.contract)
# Support tickets: a pipeline fails on so many.
POISON = 999


class Altered:
    """A fitted pipeline behind other fields, which answers otherwise.

    It gets the fields `names`, those of `fill` as constants.
    """

    def __init__(
        self, inner: Any, fill: Mapping[str, Any], *, mirrored: bool = False, late_on: str = ""
    ) -> None:
        self.inner = inner
        self.fill = dict(fill)
        self.mirrored = mirrored
        self.late_on = late_on
        self.names = list(inner.feature_names_in_)

    def predict_proba(self, rows: Any) -> Any:
        """As scikit-learn; with the classes exchanged when `mirrored`, and failing on POISON."""
        if (rows.get("support_tickets_opened", 0) == POISON).any():
            raise ValueError("poisoned")
        found = self.inner.predict_proba(rows.assign(**self.fill)[self.names])
        return found[:, ::-1] if self.mirrored else found

    def predict(self, rows: Any) -> Any:
        """As scikit-learn, with 5 minutes more on one day of the week."""
        return self.inner.predict(rows) + 5.0 * (rows["order_day"] == self.late_on)


def pipeline_of(store: FolderStore, model: str = "churn") -> Any:
    """The fitted pipeline of 1.0.0."""
    return joblib.load(io.BytesIO(store.read(model, "1.0.0", PIPELINE)))


def derive(
    store: FolderStore,
    version: str,
    change: Callable[[dict[str, Any]], object] = lambda manifest: None,
    pipeline: Any = None,
    model: str = "churn",
) -> None:
    """Add a version like 1.0.0, but for this change of its manifest or this pipeline.

    The golden scores are the pipeline's own.
    """
    files = {path.name: path.read_bytes() for path in (store.root / model / "1.0.0").iterdir()}
    manifest = json.loads(files[MANIFEST]) | {"version": version}
    change(manifest)
    if pipeline is not None:
        buffer = io.BytesIO()
        joblib.dump(pipeline, buffer)
        files[PIPELINE] = buffer.getvalue()
        manifest["runtime"] = "sklearn"
        manifest["files"][PIPELINE] = File(
            sha256=sha256_of(files[PIPELINE]), size_bytes=len(files[PIPELINE])
        ).__dict__
        contract = tuple(
            Feature.model_validate_json(json.dumps(feature)) for feature in manifest["features"]
        )
        block = Layout(contract).block([golden["row"] for golden in manifest["golden_rows"]])
        call = parse(json.dumps(manifest).encode(), "derived").call
        scores = SklearnRuntime(pipeline, contract, call).score(block)
        for golden, score in zip(manifest["golden_rows"], scores, strict=True):
            golden["score"] = float(score)
    store.write(model, version, {**files, MANIFEST: json.dumps(manifest).encode()})


def golden_of(store: FolderStore, version: str = "1.0.0") -> set[str]:
    """The golden rows of a version of churn, each once."""
    manifest = json.loads(store.read("churn", version, MANIFEST))
    return {json.dumps(golden["row"], sort_keys=True) for golden in manifest["golden_rows"]}


def field(manifest: dict[str, Any], name: str) -> Any:
    """A field of the contract in a manifest."""
    return next(feature for feature in manifest["features"] if feature["name"] == name)


@pytest.fixture(scope="module")
def trained(trained_store: FolderStore, tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    """Both models' 1.0.0, and churn 1.1.0 trained on fewer and other customers."""
    store = FolderStore(tmp_path_factory.mktemp("store"))
    for model in ("churn", "delivery_time"):
        shutil.copytree(trained_store.root / model / "1.0.0", store.root / model / "1.0.0")
    recipe = get_training("churn")
    fewer = replace(
        recipe, make_rows=lambda n_rows, seed: recipe.make_rows(n_rows, 5), n_rows=2_000
    )
    train(fewer, CHURN, "1.1.0", store)
    return store


@pytest.fixture
def store(trained: FolderStore, tmp_path: Path) -> FolderStore:
    """A copy that a test may add versions to."""
    return FolderStore(Path(shutil.copytree(trained.root, tmp_path / "store")))


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 1,500 customers, with the target, that no version was trained on."""
    path = tmp_path_factory.mktemp("rows") / "customers.csv"
    rows = get_training("churn").make_rows(1_500, 77)
    rows.drop(columns="best_score").to_csv(path, index=False)
    return path


def diff_of(store: FolderStore, candidate: str, csv: Path | None = None) -> Diff:
    """Churn 1.0.0 against a candidate."""
    return compare(store, CHURN, "1.0.0", candidate, csv)


def run(store: FolderStore, *words: str, width: int = 80) -> Result:
    """The command as it is typed."""
    return CliRunner().invoke(
        app, ["diff", *words, "--store", store.uri], env={"COLUMNS": str(width)}
    )


def test_identical_versions_differ_in_nothing_but_the_measured_times(
    store: FolderStore, customers: Path
) -> None:
    """No change, no flip, no shift, the same sizes, and intervals that overlap."""
    derive(store, "1.0.1")
    found = diff_of(store, "1.0.1", customers)
    assert found.broken == found.changes == ()
    assert found.csv
    for shift, n_rows in ((found.golden, len(golden_of(store))), (found.csv.shift, 1_500)):
        assert (shift.n_rows, shift.n_compared, shift.n_stable_only, shift.n_candidate_only) == (
            n_rows,
            n_rows,
            0,
            0,
        )
        assert (shift.mean, shift.largest, shift.slices) == (0, 0, ())
        assert shift.flips
        assert (shift.flips.n, shift.flips.share, shift.flips.low) == (0, 0, 0)
        assert 0 < shift.flips.high < 0.11
        assert shift.largest_of is None
    assert found.stable.model_bytes == found.candidate.model_bytes
    assert [pair.overlap for pair in found.metrics] == [True] * len(found.metrics)


def test_a_retrained_version_shows_its_shift_as_its_own_scores_have_it(
    store: FolderStore, customers: Path
) -> None:
    """Mean, largest difference, flips and slices are those of the two versions asked one by one."""
    found = diff_of(store, "1.1.0", customers)
    assert found.broken == ()
    assert found.csv
    rows = [row for row in read_rows(customers, CHURN) if isinstance(row, dict)]
    block = Layout(CHURN.contract).block(rows)
    before, after = (load(store, CHURN, version).score(block) for version in ("1.0.0", "1.1.0"))
    gap = after - before
    flipped = (before >= 0.5) != (after >= 0.5)
    shift = found.csv.shift
    assert shift.mean == pytest.approx(gap.mean())
    assert shift.largest == pytest.approx(gap[np.argmax(np.abs(gap))])
    assert shift.flips
    assert (shift.flips.n, shift.flips.n_up) == (flipped.sum(), (flipped & (after >= 0.5)).sum())
    assert shift.flips.n > 5
    # What is golden in both, such as the two examples, counts once.
    n_golden = len(golden_of(store) | golden_of(store, "1.1.0"))
    assert found.golden.n_rows == found.golden.n_compared == n_golden
    worst = shift.slices[0]
    inside = np.array([str(row[worst.feature]) == worst.label for row in rows])
    # A slice by value; others are ranges.
    if inside.any():
        assert (worst.n_rows, worst.n_flips) == (inside.sum(), flipped[inside].sum())
        assert worst.mean == pytest.approx(gap[inside].mean())
    assert len(shift.slices) == len({part.feature for part in shift.slices}) == len(CHURN.contract)


def test_metrics_keep_their_intervals_and_say_whether_they_overlap(store: FolderStore) -> None:
    """A metric far off is apart, and one that only one version has is neither.

    Both values are there.
    """

    def change(manifest: dict[str, Any]) -> None:
        manifest["metrics"]["auc"] = {"value": 0.7, "low": 0.68, "high": 0.72}
        manifest["metrics"]["lift"] = manifest["metrics"].pop("ece")

    derive(store, "1.0.1", change)
    pairs = {pair.name: pair for pair in diff_of(store, "1.0.1").metrics}
    assert pairs["auc"].overlap is False
    assert pairs["brier"].overlap is True
    assert pairs["lift"].overlap is None
    assert pairs["lift"].stable is None
    assert pairs["ece"].candidate is None
    page = run(store, "churn", "1.0.0", "1.0.1").stdout
    assert "0.7000 (0.6800 – 0.7200)  apart" in page
    assert "Overlap is no proof that the versions are equally good." in page


def test_a_narrowed_field_breaks_and_its_rows_are_scored_by_stable_only(
    store: FolderStore, customers: Path
) -> None:
    """Rows that clients may send and the candidate refuses are counted, the others compared."""

    def narrow(manifest: dict[str, Any]) -> None:
        field(manifest, "nps_score")["maximum"] = 8.0
        manifest["golden_rows"] = [
            golden for golden in manifest["golden_rows"] if golden["row"]["nps_score"] <= 8
        ]

    derive(store, "1.0.1", narrow)
    found = diff_of(store, "1.0.1", customers)
    (change,) = found.changes
    assert (change.field, change.kind, change.breaks) == ("nps_score", "narrowed", True)
    assert (change.before, change.after) == ("integer from 0 to 10", "integer from 0 to 8")
    assert found.broken == ("nps_score narrowed: values that clients may send are refused",)
    assert found.candidate.refused
    assert found.csv
    n_happy = sum(
        row["nps_score"] > 8 for row in read_rows(customers, CHURN) if isinstance(row, dict)
    )
    assert n_happy > 100
    assert found.csv.shift.n_stable_only == n_happy
    assert found.csv.shift.n_compared == 1_500 - n_happy
    assert found.csv.shift.mean == 0
    assert 0 < found.golden.n_compared < found.golden.n_rows == len(golden_of(store))


def test_an_added_field_breaks_since_nobody_sends_it(store: FolderStore, customers: Path) -> None:
    """Stable scores the candidate's golden rows, the candidate none of stable's."""

    def add(manifest: dict[str, Any]) -> None:
        manifest["features"].append(
            {**field(manifest, "nps_score"), "name": "n_referrals", "nullable": True}
        )
        for golden in manifest["golden_rows"]:
            golden["row"]["n_referrals"] = 3

    derive(store, "1.0.1", add, Altered(pipeline_of(store), {}))
    found = diff_of(store, "1.0.1", customers)
    assert found.broken == (
        "n_referrals added: clients do not send it, and every field is required",
    )
    n_golden = len(golden_of(store))
    assert (found.golden.n_rows, found.golden.n_compared, found.golden.n_stable_only) == (
        2 * n_golden,
        n_golden,
        n_golden,
    )
    assert found.golden.largest == pytest.approx(0, abs=1e-5)
    assert found.csv
    assert (found.csv.shift.n_compared, found.csv.shift.n_stable_only) == (0, 1_500)
    assert (found.csv.shift.mean, found.csv.shift.flips, found.csv.shift.slices) == (None, None, ())
    result = run(store, "churn", "1.0.0", "1.0.1", "--csv", str(customers))
    assert result.exit_code == 1
    assert "n_referrals  added   –      integer from 0 to 10 or null" in result.stdout


def test_a_removed_field_breaks_since_clients_send_it(store: FolderStore) -> None:
    """The candidate scores every golden row of stable without the field.

    The shift is what the field was worth.
    """

    def remove(manifest: dict[str, Any]) -> None:
        manifest["features"].remove(field(manifest, "nps_score"))
        for golden in manifest["golden_rows"]:
            del golden["row"]["nps_score"]

    derive(store, "1.0.1", remove, Altered(pipeline_of(store), {"nps_score": 5}))
    found = diff_of(store, "1.0.1")
    assert [(change.field, change.kind) for change in found.changes] == [("nps_score", "removed")]
    n_golden = len(golden_of(store))
    assert (found.golden.n_rows, found.golden.n_compared, found.golden.n_candidate_only) == (
        2 * n_golden,
        n_golden,
        n_golden,
    )
    assert abs(found.golden.largest or 0) > 0.001
    assert run(store, "churn", "1.0.0", "1.0.1").exit_code == 1


def test_a_candidate_that_flips_every_label_says_so_on_every_row(
    store: FolderStore, customers: Path
) -> None:
    """With the classes exchanged all labels flip, and no client breaks by it."""
    derive(store, "1.0.1", pipeline=Altered(pipeline_of(store), {}, mirrored=True))
    found = diff_of(store, "1.0.1", customers)
    assert found.broken == ()
    assert found.candidate.runtime == "sklearn"
    assert found.csv
    flips = found.csv.shift.flips
    assert flips
    assert flips.n == 1_500
    n_leaving = 1_500 - flips.n_up
    assert 200 < n_leaving < 600
    assert flips.low > 0.99
    assert flips.high == 1
    page = run(store, "churn", "1.0.0", "1.0.1", "--csv", str(customers), width=120)
    assert page.exit_code == 0
    assert f"1,500 ({flips.n_up:,} up, {n_leaving} down)" in page.stdout
    assert "100.00 % (99.74 – 100.00)" in page.stdout


def test_a_pipeline_stops_at_its_limits_and_reads_why(store: FolderStore, customers: Path) -> None:
    """An inverted candidate breaks no client: without limits it passed, with them it does not."""
    derive(store, "1.0.1", pipeline=Altered(pipeline_of(store), {}, mirrored=True))
    derive(store, "1.0.2")
    words = ["--csv", str(customers), "--fail-on", "flips=1%,auc=-0.01,contract"]
    result = run(store, "churn", "1.0.0", "1.0.1", *words)
    assert result.exit_code == 4
    flips, auc = result.stderr.splitlines()
    assert flips.startswith("flips: found 1,500 of 1,500 rows, 100.00 %")
    assert flips.endswith("allowed 1 %")
    assert auc.startswith("auc: found -0.")
    assert auc.endswith("allowed -0.01 or more")
    assert run(store, "churn", "1.0.0", "1.0.1", *words[:3], "flips=1%").exit_code == 5
    result = run(store, "churn", "1.0.0", "1.0.1", *words, "--json")
    assert result.exit_code == 4
    assert [one["code"] for one in json.loads(result.stdout)["limits"]] == [5, 4, 0]
    same = run(store, "churn", "1.0.0", "1.0.2", *words)
    assert (same.exit_code, same.stderr) == (0, "")
    result = run(store, "churn", "1.0.0", "1.0.2", "--fail-on", "auc=-0.01")
    assert result.exit_code == 2
    assert result.stderr == (
        "auc=-0.01: cannot be judged: there are no labels; give rows with a column churned with "
        "--csv\n"
    )
    result = run(store, "churn", "1.0.0", "9.9.9", "--fail-on", "flips=1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected a share of the rows such as flips=1%" in result.stderr


def test_labels_in_the_file_measure_both_versions_on_the_same_rows(
    store: FolderStore, customers: Path
) -> None:
    """Exchanged classes are worse by far in every way, and worst where the page says so."""
    derive(store, "1.0.1", pipeline=Altered(pipeline_of(store), {}, mirrored=True))
    found = diff_of(store, "1.0.1", customers)
    assert found.csv
    quality = found.csv.quality
    assert quality
    assert (quality.n_rows, quality.n_unlabelled, quality.bad_labels) == (1_500, 0, ())
    by_name = {pair.name: pair for pair in quality.metrics}
    auc = by_name["auc"]
    assert auc.stable.value > 0.8
    assert auc.candidate.value == pytest.approx(1 - auc.stable.value, abs=1e-4)
    assert auc.stable.low < auc.stable.value < auc.stable.high
    assert auc.difference.value == pytest.approx(auc.candidate.value - auc.stable.value)
    assert {pair.verdict for pair in quality.metrics} == {"worse"}
    assert {part.feature for part in quality.slices} == {field.name for field in CHURN.contract}
    gaps = [part.difference.low for part in quality.slices]
    assert gaps == sorted(gaps, reverse=True)
    page = run(store, "churn", "1.0.0", "1.0.1", "--csv", str(customers), width=140).stdout
    assert "metrics of both on the same 1,500 rows of customers.csv" in page
    assert "where 1.0.1 loses most, by brier (less is better)" in page
    document = json.loads(
        run(store, "churn", "1.0.0", "1.0.1", "--csv", str(customers), "--json").stdout
    )
    assert document["csv"]["quality"]["metrics"][0]["verdict"] == "worse"
    assert len(document["csv"]["quality"]["slices"]) == len(quality.slices)


def test_the_same_version_twice_is_alike_on_labelled_rows(
    store: FolderStore, customers: Path
) -> None:
    """A paired difference of nothing is exactly nothing, however wide the intervals are."""
    derive(store, "1.0.1")
    found = diff_of(store, "1.0.1", customers)
    assert found.csv
    assert found.csv.quality
    for pair in found.csv.quality.metrics:
        assert (pair.difference.low, pair.difference.high, pair.verdict) == (0, 0, "alike")


def test_a_file_with_some_labels_or_none_is_told_apart(
    store: FolderStore, customers: Path, tmp_path: Path
) -> None:
    """Rows whose label is empty or cannot be read are scored, and left out of the metrics alone."""
    lines = customers.read_text().splitlines()
    assert lines[0].endswith(",churned")
    cut = [lines[0]]
    cut += [line[: line.rindex(",") + 1] for line in lines[1:101]]
    cut += [line[: line.rindex(",") + 1] + "maybe" for line in lines[101:103]]
    some = tmp_path / "some.csv"
    some.write_text("\n".join([*cut, *lines[103:301]]))
    derive(store, "1.0.1")
    found = diff_of(store, "1.0.1", some)
    assert found.csv
    assert found.csv.quality
    assert found.csv.shift.n_compared == 300
    assert (found.csv.quality.n_rows, found.csv.quality.n_unlabelled) == (198, 100)
    assert [(bad.line, bad.reason) for bad in found.csv.quality.bad_labels] == [
        (102, "churned: found 'maybe', expected one of 0, 1"),
        (103, "churned: found 'maybe', expected one of 0, 1"),
    ]
    page = run(store, "churn", "1.0.0", "1.0.1", "--csv", str(some), width=120).stdout
    assert "rows without a label: 100" in page
    assert "labels that cannot be read: 2; line 102: churned: found 'maybe'" in page
    none = tmp_path / "none.csv"
    none.write_text("\n".join(line[: line.rindex(",")] for line in lines[:60]))
    bare = diff_of(store, "1.0.1", none)
    assert bare.csv
    assert bare.csv.quality is None


def test_a_regressor_flips_where_it_leaves_the_interval_of_stable(
    store: FolderStore, tmp_path: Path
) -> None:
    """Five minutes more on Fridays are more than the half-width.

    So each Friday counts, and the slice is named.
    """
    altered = Altered(pipeline_of(store, "delivery_time"), {}, late_on="Fri")
    derive(store, "1.0.1", pipeline=altered, model="delivery_time")
    orders = get_training("delivery_time").make_rows(1_500, 77)
    orders.to_csv(tmp_path / "orders.csv", index=False)
    found = compare(store, DELIVERY, "1.0.0", "1.0.1", tmp_path / "orders.csv")
    n_fridays = int((orders["order_day"] == "Fri").sum())
    assert found.csv
    assert found.csv.shift.flips
    assert (found.csv.shift.flips.n, found.csv.shift.flips.n_up) == (n_fridays, n_fridays)
    worst = found.csv.shift.slices[0]
    assert (worst.feature, worst.label, worst.n_rows, worst.n_flips) == (
        "order_day",
        "Fri",
        n_fridays,
        n_fridays,
    )
    assert worst.mean == pytest.approx(5, abs=1e-3)
    page = run(store, "delivery_time", "1.0.0", "1.0.1").stdout
    assert "outside 1.0.0's interval" in page
    assert "in delivery_minutes. Up: above the interval." in page


def test_rows_that_the_candidate_cannot_score_break_though_the_contract_holds(
    store: FolderStore, customers: Path, tmp_path: Path
) -> None:
    """A contract is a promise to answer: each failing row is found, and no other is lost."""
    derive(store, "1.0.1", pipeline=Altered(pipeline_of(store), {}))
    lines = customers.read_text().splitlines()[1:201]
    lines = [",".join(line.split(",")[:10]) for line in lines]
    for position in range(0, 200, 2):
        cells = lines[position].split(",")
        lines[position] = ",".join([*cells[:2], str(POISON), *cells[3:]])
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([HEADER, *lines]))
    found = diff_of(store, "1.0.1", path)
    assert found.changes == ()
    assert found.csv
    assert (found.csv.shift.n_compared, found.csv.shift.n_stable_only) == (100, 100)
    assert found.broken == ("rows that only 1.0.0 can score: 100",)


def test_bad_rows_are_counted_on_the_page_and_all_named_in_the_json(
    store: FolderStore, tmp_path: Path
) -> None:
    """Five are told to a person, every one to a program."""
    good = ",".join(str(value) for value in CHURN.examples[0].row.model_dump().values())
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([HEADER, good, *["99" + good[1:]] * 7, good]))
    page = run(store, "churn", "1.0.0", "1.1.0", "--csv", str(path)).stdout
    assert "they break the contract: 7" in page
    assert "line 3: monthly_active_days is out of range" in page
    assert "and 2 more" in page
    found = json.loads(run(store, "churn", "1.0.0", "1.1.0", "--csv", str(path), "--json").stdout)
    assert [row["line"] for row in found["csv"]["bad_rows"]] == list(range(3, 10))
    assert found["csv"]["shift"]["n_rows"] == 2


def test_json_says_what_the_page_says(store: FolderStore, customers: Path) -> None:
    """One document on stdout with every part, unrounded, and the same exit code."""

    def change(manifest: dict[str, Any]) -> None:
        field(manifest, "monthly_spend_usd")["unit"] = "EUR"

    derive(store, "1.0.1", change)
    result = run(store, "churn", "1.0.0", "1.0.1", "--csv", str(customers), "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["broken"] == ["monthly_spend_usd unit: the same number means something else"]
    assert (
        found["changes"][0] | {"before": "USD", "after": "EUR", "breaks": True}
        == found["changes"][0]
    )
    assert found["metrics"][0]["name"] == "auc"
    assert found["metrics"][0]["overlap"] is True
    assert found["metrics"][0]["stable"]["low"] < found["metrics"][0]["stable"]["value"]
    assert found["golden"]["n_rows"] == len(golden_of(store))
    assert found["csv"]["shift"]["n_rows"] == 1_500
    assert found["candidate"]["model_bytes"] == len(store.read("churn", "1.0.1", COMPILED))
    folder = store.root / "churn" / "1.0.1"
    assert found["candidate"]["bundle_bytes"] == sum(
        path.stat().st_size for path in folder.iterdir()
    )
    assert found["candidate"]["call_ms"] > 0


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (HEADER + "\n", "found no row that fits the contract of churn, expected at least one"),
        (HEADER + "\n1,2\n", "expected at least one; line 2: found 2 cells, expected 10"),
        ("a;b\n1;2\n", "line 1: missing columns: monthly_active_days"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_without_a_usable_row_ends_with_one_message(
    store: FolderStore, tmp_path: Path, content: str | None, hint: str
) -> None:
    """The command ends with exit code 2, and prints no half a report."""
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_text(content)
    result = run(store, "churn", "1.0.0", "1.1.0", "--csv", str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert hint in result.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_fits_the_screen_and_cuts_nothing_off(
    store: FolderStore, customers: Path, width: int
) -> None:
    """Every section is there, and no line is wider than the screen.

    But for the last one, which is a line for a log.
    """
    result = run(store, "churn", "1.0.0", "1.1.0", "--csv", str(customers), width=width)
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert max(len(line) for line in lines) <= width
    assert "…" not in result.stdout
    for title in (
        "contract",
        "metrics, ",
        "scores of the same rows",
        "where the mean shifts most",
        "size and speed",
    ):
        assert any(line.startswith(title) for line in lines)
    assert lines[-1] == "churn 1.0.0 → 1.1.0: no client of 1.0.0 breaks"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["churn", "1.0.0", "9.9.9"], "not found; expected the bundle of churn 9.9.9"),
        (["churn", "9.9.9", "1.0.0"], "not found; expected the bundle of churn 9.9.9"),
        (["churn", "1.0.0", "../../etc"], "not found"),
        (["fraud", "1.0.0", "1.1.0"], "expected one of churn, delivery_time"),
    ],
)
def test_a_version_that_is_missing_ends_with_one_message(
    store: FolderStore, words: list[str], hint: str
) -> None:
    """The command ends with exit code 2, nothing on stdout and no traceback."""
    result = run(store, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert hint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_version_that_is_corrupt_or_of_another_kind_is_not_compared(store: FolderStore) -> None:
    """Both are proven as a server would: an untrusted bundle is not talked about."""
    derive(store, "1.0.1")
    path = store.root / "churn" / "1.0.1" / COMPILED
    path.write_bytes(path.read_bytes()[:-1])
    assert "truncated or replaced" in run(store, "churn", "1.0.0", "1.0.1").stderr
    derive(store, "1.0.2", lambda manifest: manifest.update(kind="regressor"))
    result = run(store, "churn", "1.0.0", "1.0.2")
    assert result.exit_code == 2
    assert "expected a binary_classifier, found a regressor" in result.stderr


def test_an_uncompiled_version_is_opened_from_a_local_folder_only(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening pipeline.joblib runs the code inside, and nobody has pinned it."""
    derive(store, "1.0.1", pipeline=Altered(pipeline_of(store), {}))
    assert diff_of(store, "1.0.1").candidate.runtime == "sklearn"
    monkeypatch.setattr(FolderStore, "doubt", lambda *_: "an object store")
    with pytest.raises(
        BundleError, match=r"is not compiled, and opening pipeline\.joblib runs the code inside"
    ):
        diff_of(store, "1.0.1")


def test_what_this_code_would_refuse_is_broken_even_if_both_versions_agree(
    store: FolderStore,
) -> None:
    """Two old versions side by side: neither takes what a server with today's contract takes."""

    def narrow(manifest: dict[str, Any]) -> None:
        field(manifest, "num_team_members")["maximum"] = 50_000.0

    derive(store, "0.8.0", narrow)
    derive(store, "0.9.0", narrow)
    found = compare(store, CHURN, "0.8.0", "0.9.0")
    assert found.changes == ()
    assert found.broken == ("a server with this code's contract refuses 0.9.0",)
    assert found.stable.refused[0].startswith(
        "num_team_members: the server takes int integer from 1 to 100000"
    )
