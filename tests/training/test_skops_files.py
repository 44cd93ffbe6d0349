"""A .skops file as a pipeline: types that skops does not know are listed, and opened if trusted."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from odd_estimator import log_of_columns
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec
from training.cli import app
from training.errors import InvalidPipeline
from training.foreign import read_pipeline, types_to_trust
from training.table import Table

FRAME = pd.DataFrame({"a": np.arange(60.0)})
OWN = "odd_estimator.log_of_columns"


@pytest.fixture
def skops() -> Any:
    """The library, which is a part of the environment that trains."""
    return pytest.importorskip("skops.io")


def test_a_file_of_known_types_is_a_pipeline(skops: Any, tmp_path: Path) -> None:
    """It answers as it did; nothing has to be trusted."""
    fitted = LogisticRegression().fit(FRAME, FRAME.a > 20)
    skops.dump(fitted, tmp_path / "model.skops")
    assert types_to_trust(tmp_path / "model.skops") == []
    found = read_pipeline(tmp_path / "model.skops")
    assert np.array_equal(found.predict_proba(FRAME), fitted.predict_proba(FRAME))


def test_types_that_are_not_known_are_listed_and_opened_when_trusted(
    skops: Any, tmp_path: Path
) -> None:
    """The refusal is the option to give, after a look."""
    path = tmp_path / "model.skops"
    fitted = make_pipeline(FunctionTransformer(log_of_columns), LogisticRegression())
    skops.dump(fitted.fit(FRAME, FRAME.a > 20), path)
    assert types_to_trust(path) == [OWN]
    with pytest.raises(InvalidPipeline, match=f"give --trust {OWN}"):
        read_pipeline(path)
    found = read_pipeline(path, trust=[OWN])
    assert np.array_equal(found.predict_proba(FRAME), fitted.predict_proba(FRAME))


def test_a_skops_file_whose_types_are_trusted_becomes_a_version(
    skops: Any, tmp_path: Path, churn_rows: Table
) -> None:
    """The command of docs/your-model.md: refused without `--trust`, and served with it."""
    path = tmp_path / "churn.skops"
    fitted = make_pipeline(FunctionTransformer(log_of_columns), LogisticRegression(max_iter=200))
    fitted.fit(churn_rows.frame, churn_rows.target.astype(int))
    skops.dump(fitted, path)
    data = tmp_path / "rows.csv"
    churn_rows.frame.assign(churned=churn_rows.target.astype(int)).to_csv(data, index=False)
    words = ["bundle", "churn", "--pipeline", str(path), "--data", str(data)]
    words += ["--version", "1.2.0", "--store", str(tmp_path / "store")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert f"give --trust {OWN}" in refused.stderr
    trusted = CliRunner().invoke(app, [*words, "--trust", OWN])
    assert trusted.exit_code == 0, trusted.output
    predictor = load(FolderStore(tmp_path / "store"), get_spec("churn"), "1.2.0")
    expected = fitted.predict_proba(churn_rows.frame)[:, 1]
    assert np.abs(predictor.score(churn_rows.block) - expected).max() < 1e-5


def test_a_file_that_is_none_of_skops_is_refused(skops: Any, tmp_path: Path) -> None:
    """Noise under the right name, and no file at all."""
    (tmp_path / "noise.skops").write_bytes(b"no zip")
    for name in ("noise.skops", "absent.skops"):
        with pytest.raises(InvalidPipeline, match=f"{name}: cannot be opened"):
            read_pipeline(tmp_path / name)


def test_without_skops_the_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to get it, instead of a traceback."""
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    (tmp_path / "model.skops").write_bytes(b"")
    with pytest.raises(InvalidPipeline, match="needs skops to be opened, found none"):
        read_pipeline(tmp_path / "model.skops")
