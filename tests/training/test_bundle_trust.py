"""A bundle vouches for itself: what training wrote loads, and what was changed since is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from obstore.store import MemoryStore

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import MANIFEST, parse, sha256_of
from serve_app.bundle.object_store import ObjectStoreStore
from serve_app.bundle.objects import Objects
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.errors import BundleError, BundleUnavailable
from serve_app.models import get_spec
from training.bundling import Written
from training.table import Table


@pytest.fixture(params=["churn_bundle", "delivery_bundle"])
def written(request: pytest.FixtureRequest) -> Written:
    """Each of the two trained bundles."""
    bundle: Written = request.getfixturevalue(request.param)
    return bundle


@pytest.fixture
def copied(written: Written, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(written.where, tmp_path / written.manifest.model / "1.0.0"))


def refusal(folder: Path, version: str = "1.0.0", pin: str | None = None) -> str:
    """What loading this bundle says; it must refuse."""
    return str(refused(folder, version, pin))


def refused(folder: Path, version: str = "1.0.0", pin: str | None = None) -> BundleError:
    """The error with which loading this bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load(FolderStore(folder.parents[1]), get_spec(folder.parent.name), version, pin)
    return caught.value


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle as somebody with an editor would."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_the_digest_that_training_prints_is_the_pin_that_serving_checks(
    written: Written, store: FolderStore
) -> None:
    """The pinned version loads; under another pin it does not."""
    model = written.manifest.model
    assert (
        load(store, get_spec(model), "1.0.0", pin=written.manifest_sha256).manifest
        == written.manifest
    )
    assert "pinned by the table" in refusal(Path(written.where), pin="0" * 64)


def test_a_manifest_lists_every_file_with_its_hash_and_nothing_else_lies_there(
    written: Written,
) -> None:
    """The folder and the manifest tell the same story."""
    folder = Path(written.where)
    found = {
        path.name: sha256_of(path.read_bytes())
        for path in folder.iterdir()
        if path.name != MANIFEST
    }
    assert found == {name: file.sha256 for name, file in written.manifest.files.items()}
    assert {"pipeline.joblib", "model.onnx", "report.html"} == set(found)


def test_a_manifest_is_readable_json_that_survives_the_round_trip(written: Written) -> None:
    """One can look at it in an editor, and nothing is lost in reading it back."""
    data = (Path(written.where) / MANIFEST).read_bytes()
    assert data.startswith(b'{\n  "format": 3,')
    assert parse(data, "test") == written.manifest


def test_references_count_every_training_row(written: Written) -> None:
    """The bins of drift add up, have increasing edges, and more than one of them is filled."""
    for name, reference in written.manifest.references.items():
        assert sum(reference.counts) == written.manifest.n_training_rows, name
        assert sum(count > 0 for count in reference.counts) > 1, name
        if reference.edges is None:
            assert reference.values is not None
            assert len(reference.values) == len(reference.counts)
        else:
            assert len(reference.counts) == len(reference.edges) + 1
            assert reference.edges == sorted(set(reference.edges))


def test_scores_of_the_hold_out_are_frozen_too(written: Written) -> None:
    """Drift is measured against them, and against rows whose ends are known."""
    manifest = written.manifest
    scores = manifest.score_references["score"]
    assert scores.edges is not None
    assert len(scores.edges) >= 8
    assert sum(scores.counts) > 500
    for name, reference in manifest.references.items():
        assert reference.n_missing == 0, name
        assert reference.values is not None or reference.minimum is not None, name


def test_golden_rows_spread_over_the_scores_and_have_the_examples_and_probes(
    written: Written,
) -> None:
    """A constant model, or one with its columns exchanged, cannot reproduce them."""
    golden = written.manifest.golden_rows
    scores = np.array([row.score for row in golden])
    spec = get_spec(written.manifest.model)
    n_before = 32 + len(spec.examples)
    assert len(golden) == n_before + 32
    assert (np.diff(scores[:32]) >= 0).all()
    assert len(np.unique(scores)) > 20
    assert [row.row for row in golden[32:n_before]] == [
        example.row.model_dump() for example in spec.examples
    ]


def test_every_metric_lies_within_its_own_interval(written: Written) -> None:
    """Intervals are around their numbers, and have a width where the number can vary."""
    for name, metric in written.manifest.metrics.items():
        # The plain bootstrap is biased upwards for ece: resampling adds noise to every bin.
        assert name == "ece" or metric.low <= metric.value <= metric.high, name
        assert name == "interval_width" or metric.low < metric.high, name


def test_the_pipeline_in_the_bundle_gives_the_golden_scores(churn_bundle: Written) -> None:
    """`pipeline.joblib` is the fitted pipeline that the compiled model stands for."""
    manifest = churn_bundle.manifest
    pipeline = joblib.load(Path(churn_bundle.where) / "pipeline.joblib")
    block = Layout(manifest.contract).block([row.row for row in manifest.golden_rows])
    scores = SklearnRuntime(pipeline, manifest.contract, manifest.call).score(block)
    assert scores == pytest.approx([row.score for row in manifest.golden_rows], abs=1e-12)


def test_a_truncated_model_is_refused_with_both_sizes(copied: Path) -> None:
    """Half a download is never opened; it is waited for, as the rest may be on its way."""
    path = copied / "model.onnx"
    size = path.stat().st_size
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    half = refused(copied)
    assert f"expected {size} bytes, found 1000" in str(half)
    assert isinstance(half, BundleUnavailable)
    path.write_bytes(whole + b"more")
    assert not isinstance(refused(copied), BundleUnavailable)


def test_one_flipped_byte_is_refused_with_both_hashes(copied: Path) -> None:
    """So is a file of the right size with the wrong content."""
    path = copied / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert f"found {sha256_of(bytes(data))}: corrupt or replaced" in refusal(copied)


def test_a_changed_report_is_refused_too(copied: Path) -> None:
    """What a person looked at before letting the version in is part of the proof."""
    (copied / "report.html").write_text("looks good")
    assert "report.html: expected" in refusal(copied)


def test_a_missing_model_file_is_refused_with_the_command_that_makes_it(copied: Path) -> None:
    """The message says which command makes it."""
    (copied / "model.onnx").unlink()
    assert "python -m training" in refusal(copied)


def test_half_a_manifest_is_refused(copied: Path) -> None:
    """JSON that was cut off is no manifest."""
    path = copied / MANIFEST
    path.write_text(path.read_text()[:500])
    assert "expected a manifest of format 1" in refusal(copied)


def test_another_format_is_refused(copied: Path) -> None:
    """A bundle from the future says so, instead of being half understood."""
    edit(copied, lambda manifest: manifest.update(format=4))
    message = refusal(copied)
    assert "format" in message
    assert "expected a manifest of format 1" in message


def test_a_bundle_under_another_version_s_name_is_refused(copied: Path) -> None:
    """Renaming a folder does not make a new version."""
    copied.rename(copied.with_name("2.0.0"))
    model = copied.parent.name
    assert f"expected {model} 2.0.0, found {model} 1.0.0" in refusal(copied, "2.0.0")


def test_a_tampered_golden_score_is_refused_with_both_numbers(copied: Path) -> None:
    """A model that does not compute what it computed in training must not serve."""
    edit(copied, lambda manifest: manifest["golden_rows"][5].update(score=0.123456))
    message = refusal(copied)
    assert "1 of" in message
    assert "row 5: expected 0.123456, found" in message
    assert "must not serve" in message


def test_two_exchanged_columns_are_found_by_the_golden_rows(copied: Path) -> None:
    """The silent fault: valid numbers in the wrong fields."""
    first, second = (
        ("num_team_members", "monthly_active_days")
        if copied.parent.name == "churn"
        else ("order_hour", "distance_km")
    )

    def exchange(manifest: dict[str, Any]) -> None:
        for golden in manifest["golden_rows"]:
            row = golden["row"]
            row[first], row[second] = row[second], row[first]

    edit(copied, exchange)
    assert "golden rows scored together differ" in refusal(copied)


def test_a_bundle_with_a_narrower_contract_is_refused_with_the_field(copied: Path) -> None:
    """The server's contract is the contract: a bundle must take all that it takes."""

    def narrow(manifest: dict[str, Any]) -> None:
        feature = next(f for f in manifest["features"] if f["maximum"] is not None)
        feature["maximum"] = 2.0

    edit(copied, narrow)
    assert "does not fit the contract" in refusal(copied)


def test_a_pickled_model_of_another_scikit_learn_is_refused_with_both_versions(
    copied: Path,
) -> None:
    """A pickle is valid for the version that wrote it."""

    def pretend(manifest: dict[str, Any]) -> None:
        manifest["runtime"] = "sklearn"
        manifest["libraries"]["scikit-learn"] = "0.1"

    edit(copied, pretend)
    assert "needs scikit-learn 0.1, found" in refusal(copied)


def test_loaded_models_answer_differently_for_different_rows(
    churn_bundle: Written, churn_rows: Table, store: FolderStore
) -> None:
    """A constant model would pass every test above this one."""
    scores = load(store, get_spec("churn"), "1.0.0").score(churn_rows.block)
    assert scores.std() > 0.1


def test_an_interval_without_its_half_width_is_refused(
    delivery_bundle: Written, tmp_path: Path
) -> None:
    """A score alone is no answer: a bundle that cannot make one fails while it is proven."""
    copied = Path(shutil.copytree(delivery_bundle.where, tmp_path / "delivery_time" / "1.0.0"))
    edit(copied, lambda manifest: manifest["parameters"].pop("half_width"))
    assert "found parameters ['coverage'], from which no DeliveryPrediction can be made" in refusal(
        copied
    )


@pytest.fixture
def uncompiled_elsewhere(churn_bundle: Written) -> tuple[ObjectStoreStore, str]:
    """An uncompiled churn 1.0.0 in an object store, and the sha256 of its manifest."""
    folder = Path(churn_bundle.where)
    manifest = json.loads((folder / MANIFEST).read_text()) | {"runtime": "sklearn"}
    text = json.dumps(manifest).encode()
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | {MANIFEST: text}
    elsewhere = ObjectStoreStore("memory:///", Objects(MemoryStore()))
    elsewhere.write("churn", "1.0.0", files)
    return elsewhere, sha256_of(text)


def test_an_uncompiled_bundle_from_an_object_store_is_opened_only_when_it_is_pinned(
    uncompiled_elsewhere: tuple[ObjectStoreStore, str],
) -> None:
    """Opening pipeline.joblib runs the code inside, so somebody must have pinned its manifest."""
    elsewhere, digest = uncompiled_elsewhere
    with pytest.raises(BundleError, match="expected manifest_sha256 in the table, found none"):
        load(elsewhere, get_spec("churn"), "1.0.0")
    assert load(elsewhere, get_spec("churn"), "1.0.0", pin=digest).manifest.runtime == "sklearn"


def test_an_object_store_refuses_other_bytes_under_a_version_that_exists(
    uncompiled_elsewhere: tuple[ObjectStoreStore, str],
) -> None:
    """Versions are immutable, wherever they are kept."""
    elsewhere, _ = uncompiled_elsewhere
    assert elsewhere.versions("churn") == ["1.0.0"]
    with pytest.raises(BundleError, match="exists already, and a version is immutable"):
        elsewhere.write("churn", "1.0.0", {MANIFEST: b"{}"})
    with pytest.raises(BundleError, match="not found; expected the bundle of churn"):
        elsewhere.read("churn", "1.1.0", MANIFEST)
