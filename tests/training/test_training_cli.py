"""The command line: what it refuses, how it says so, and what it prints at the end."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import pytest
from loan import make_loans
from own_package import CONTRACT, forget, importable, write_package
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.contract import ModelSpec
from serve_app.errors import SettingsError
from serve_app.models import get_spec
from training.bundling import Written
from training.cli import app
from training.errors import QualityTooLow
from training.models import churn
from training.recipe import Training, get_training
from training.run import train

ROOT = Path(__file__).parents[2]


def test_training_from_a_file_prints_metrics_and_the_digest_to_pin(tmp_path: Path) -> None:
    """The whole command: CSV in, bundle out, numbers on the screen."""
    churn.make_rows(2_000, 5).drop(columns="best_score").to_csv(tmp_path / "rows.csv", index=False)
    words = [
        "churn",
        "--version",
        "1.2.0",
        "--data",
        str(tmp_path / "rows.csv"),
        "--store",
        str(tmp_path / "store"),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    predictor = load(FolderStore(tmp_path / "store"), get_spec("churn"), "1.2.0")
    assert f"manifest_sha256: {predictor.manifest_sha256}" in result.output
    for name, metric in predictor.manifest.metrics.items():
        assert name in result.output
        assert f"{metric.value:.4f}" in result.output
    assert "best_auc" not in predictor.manifest.metrics


def test_a_version_that_exists_is_refused_before_training(
    store: FolderStore, churn_bundle: Written
) -> None:
    """`python -m training` ends with code 1 and one message, and changes no byte."""
    before = (Path(churn_bundle.where) / "manifest.json").read_bytes()
    result = CliRunner().invoke(app, ["churn", "--version", "1.0.0", "--store", store.uri])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert "exists already, and a version is immutable" in result.stderr
    assert "Fitting" not in result.stdout
    assert (Path(churn_bundle.where) / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "version", ["1", "1.0", "v1.0.0", "1.0.0/../2.0.0", "01.0.0", "1.0.0-" + "a" * 40]
)
def test_what_is_no_semantic_version_is_refused(version: str, tmp_path: Path) -> None:
    """A version names a folder: it must not leave the store."""
    result = CliRunner().invoke(app, ["churn", "--version", version, "--store", str(tmp_path)])
    assert result.exit_code == 1
    assert "expected a semantic version such as 1.0.0" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["fraud", "--version", "1.0.0"], ["bundle", "fraud"]])
def test_an_unknown_model_is_an_ordinary_usage_error_that_lists_the_models(
    words: list[str],
) -> None:
    """It ends with exit code 2 and the names that exist."""
    more = ["--pipeline", "a", "--data", "b", "--version", "1.0.0"] if words[0] == "bundle" else []
    result = CliRunner().invoke(app, words + more)
    assert result.exit_code == 2
    for word in ("fraud", "churn", "delivery_time"):
        assert word in result.stderr


def own(folder: Path, *words: str) -> Any:
    """`python -m training` in a folder that has a package next to it."""
    command = [sys.executable, "-m", "training", *words]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
    )


def test_a_contract_next_to_the_working_directory_is_trained_by_its_module(tmp_path: Path) -> None:
    """No file of the project is edited and nothing is installed; the store has the SPEC's name."""
    write_package(tmp_path)
    done = own(tmp_path, "shop.models.loan", "--version", "1.0.0", "--store", "store")
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = (tmp_path / "store" / "loan" / "1.0.0" / "manifest.json").read_text()
    assert '"model": "loan"' in manifest


def test_a_pipeline_is_bundled_for_a_contract_without_a_training_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract is all that a fitted pipeline needs."""
    monkeypatch.chdir(tmp_path)
    with importable(tmp_path):
        rows = get_training("shop.models.loan").make_rows(400, 1)
        get_training("shop.models.loan").pipeline()
        fitted = LogisticRegression().fit(rows.drop(columns="defaulted"), rows.defaulted)
        (tmp_path / "shop" / "models" / "loan_training.py").unlink()
        forget()
        joblib.dump(fitted, "fitted.joblib")
        rows.to_csv("rows.csv", index=False)
        words = ["bundle", "shop.models.loan", "--pipeline", "fitted.joblib", "--data", "rows.csv"]
        words += ["--version", "1.0.0", "--store", "store"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert FolderStore(tmp_path / "store").versions("loan") == ["1.0.0"]
        words = ["shop.models.loan", "--version", "2.0.0", "--store", "store"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        assert "loan: its training has no pipeline()" in result.stderr


OWN_FAULTS = {
    "no module": ({}, "there is no module shop here; install the package that has it"),
    "no spec": ({"shop/models/loan.py": "X = 1"}, "shop.models.loan has no SPEC"),
    "training next to the spec": (
        {"shop/models/loan.py": CONTRACT + "\nTRAINING = 1\n"},
        "found TRAINING next to SPEC, in a module that servers import",
    ),
    "no training in its file": (
        {"shop/models/loan.py": CONTRACT, "shop/models/loan_training.py": "X = 1"},
        "shop.models.loan_training: has no TRAINING; expected TRAINING = Training(",
    ),
    "a training that raises": (
        {"shop/models/loan.py": CONTRACT, "shop/models/loan_training.py": "1 / 0"},
        "shop.models.loan_training cannot be imported: ZeroDivisionError: division by zero",
    ),
}


@pytest.mark.parametrize("fault", OWN_FAULTS)
@pytest.mark.parametrize("is_bundle", [True, False])
def test_a_contract_that_cannot_be_trained_is_one_sentence(
    tmp_path: Path, fault: str, is_bundle: bool
) -> None:
    """Whatever is wrong with the module, no traceback is shown."""
    files, sentence = OWN_FAULTS[fault]
    words = ["shop.models.loan", "--version", "1.0.0", "--store", str(tmp_path / "store")]
    if is_bundle:
        words = ["bundle", *words, "--pipeline", "a", "--data", "b"]
    with importable(tmp_path, files):
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


class Terminal:
    """A stream of a person."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(("typed", "trusted"), [("y\n", ["shop.steps.own"]), ("n\n", [])])
def test_at_a_terminal_a_person_is_asked_about_each_type_of_a_skops_file(
    typed: str, trusted: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was named with --trust is not asked again, and a no is no."""
    seen: list[list[str]] = []

    def asked(*words: Any) -> Any:
        seen.append(words[-1])
        raise SettingsError("that is all")

    terminal = SimpleNamespace(stdin=Terminal(), stdout=Terminal())
    monkeypatch.setattr("training.cli.sys", terminal)
    types = ["shop.steps.own", "shop.steps.known"]
    monkeypatch.setattr("training.cli.types_to_trust", lambda path: types)
    monkeypatch.setattr("training.cli.bundle", asked)
    words = ["bundle", "churn", "--pipeline", "a.skops", "--data", "b", "--version", "1.0.0"]
    words += ["--store", str(tmp_path), "--trust", "shop.steps.known"]
    result = CliRunner().invoke(app, words, input=typed)
    assert "a.skops: shop.steps.own is not known to skops. Run its code?" in result.output
    assert "shop.steps.known is not known" not in result.output
    assert seen == [["shop.steps.known", *trusted]]


def test_the_help_warns_that_opening_a_pipeline_runs_code() -> None:
    """Nobody should learn of that afterwards."""
    result = CliRunner().invoke(app, ["bundle", "--help"])
    assert "runs the code inside" in " ".join(result.output.replace("│", " ").split())


def test_broken_data_ends_the_command_with_one_message(tmp_path: Path) -> None:
    """Exit code 1, the field and the expectation, no traceback."""
    churn.make_rows(400, 5).assign(nps_score=99).to_csv(tmp_path / "rows.csv", index=False)
    words = [
        "churn",
        "--version",
        "1.0.0",
        "--data",
        str(tmp_path / "rows.csv"),
        "--store",
        str(tmp_path / "store"),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert (
        "nps_score: found 99 in line 2 (400 rows in all), expected integer from 0 to 10"
        in result.stderr
    )
    assert "Traceback" not in result.output


def test_a_model_under_its_floor_is_refused_with_the_numbers_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    """A constant model does not become a version."""
    lazy = replace(
        get_training("churn"), n_rows=1_000, pipeline=lambda: DummyClassifier(strategy="prior")
    )
    with pytest.raises(QualityTooLow) as refusal:
        train(lazy, get_spec("churn"), "1.0.0", FolderStore(tmp_path))
    for words in ("auc: found 0.5, expected at least 0.7", "brier: found", "of the best reachable"):
        assert words in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_third_model_with_missing_values_needs_only_its_rows_and_its_pipeline(
    loan_spec: ModelSpec, tmp_path: Path
) -> None:
    """What a newcomer writes is enough for a compiled, proven bundle with a report."""

    def pipeline() -> Pipeline:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = [
            ("employment", encoder, ["employment"]),
            ("numbers", "passthrough", ["income_usd", "n_children"]),
        ]
        trees = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=6)
        return Pipeline([("columns", ColumnTransformer(columns)), ("model", trees)])

    newcomer = Training(
        make_rows=make_loans, pipeline=pipeline, n_rows=2_000, at_least={"auc": 0.6}
    )
    written = train(newcomer, loan_spec, "0.1.0", FolderStore(tmp_path))
    assert written.manifest.runtime == "onnx"
    references = written.manifest.references
    assert 0.05 < references["n_children"].share_missing < 0.15
    assert 0.05 < references["employment"].share_missing < 0.15
    assert any(row.row["n_children"] is None for row in written.manifest.golden_rows)
    assert ">missing<" in (tmp_path / "loan" / "0.1.0" / "report.html").read_text()
