"""One case from its fit to its verdict: served next to what the pipeline says, row by row."""

import json
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.agree.case import Case
from benchmarks.agree.frames import read_frame
from benchmarks.agree.pipeline_answers import PipelineAnswers, ask
from benchmarks.agree.rows import random_rows
from benchmarks.agree.shop import make_customers, plain_rows
from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import FolderStore
from serve_app.contract import Features, ModelSpec
from serve_app.contract.block import Layout
from serve_app.contract.rows import RowReader
from serve_app.errors import SluiceError
from training.recipe import Training
from training.run import bundle

N_FIT_ROWS = 1_200
N_FILE_ROWS = 500
# What a server scores at once: single rows, and what it coalesced.
N_ALONE = 30
N_ROWS_OF_BLOCK = 256
N_SHOWN = 3
# The share of unusual rows that a detector is meant to find.
CONTAMINATION = 0.1
# Of a value far from all others: float64 sums in another order.
ROUNDING = 1e-9
# How near to the threshold a label is chance: sums of float32, and an estimator's own arithmetic.
LABEL_NOISE = {"onnx": 2e-6, "sklearn": 1e-8}


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    `refusal` says why bundling refused the pipeline, `skipped` why nothing was tried. `shown` has
    some of the rows that differ, with what was served and what is right. `n_errors` are rows that
    the pipeline itself refuses, and that get an error.
    """

    name: str
    is_compiled: bool = False
    reason: str = ""
    n_rows: int = 0
    n_different: int = 0
    n_errors: int = 0
    bundling_s: float = 0.0
    shown: Sequence[str] = ()
    notes: Sequence[str] = ()
    refusal: str = ""
    skipped: str = ""

    @property
    def is_right(self) -> bool:
        """Whether every row that was tried has the pipeline's answer."""
        return not self.n_different and not self.refusal


@dataclass(frozen=True)
class Served:
    """`scores` (n_rows, n_scores) with NaN for an error row, and the `labels` of the answers."""

    scores: NDArray[np.float64]
    labels: list[str | None]


def judge(case: Case, n_rows: int, seed: int, n_fit_rows: int = N_FIT_ROWS) -> Verdict:
    """Fit, bundle, load as a replica does, and compare on random rows."""
    if not case.is_installed:
        return Verdict(case.name, skipped=f"{case.library} is not installed")
    with warnings.catch_warnings(), threadpool_limits(1):
        # Estimators warn of unknown categories and of future versions.
        warnings.simplefilter("ignore")
        return _judge(case, n_rows, seed, n_fit_rows)


def _judge(case: Case, n_rows: int, seed: int, n_fit_rows: int) -> Verdict:
    fitting = _customers(case, n_fit_rows, seed)
    pipeline = _fitted(case, fitting)
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.monotonic()
        try:
            predictor = _bundled(case, pipeline, Path(folder), seed + 1)
        except SluiceError as error:
            return Verdict(case.name, refusal=" ".join(str(error).split()))
        except Exception as error:
            # Whatever the cause is, it is a fault of the product that one sentence does not say it.
            return Verdict(case.name, refusal=f"RAISES {type(error).__name__}: {error}")
        bundling_s = time.monotonic() - started_s
    contract = case.spec.contract
    rows = random_rows(
        contract, plain_rows(fitting, case.fields), cuts_of(pipeline), n_rows, seed + 2
    )
    right = ask(pipeline, case.spec, read_frame(rows, contract, case.texts))
    served = _served(case, predictor, rows)
    differs = _differs(case, predictor, served, right)
    manifest = predictor.manifest
    return Verdict(
        case.name,
        is_compiled=manifest.runtime == "onnx",
        reason=manifest.runtime_reason,
        n_rows=n_rows,
        n_different=int(differs.sum()),
        n_errors=int(np.isnan(served.scores).any(axis=1).sum()),
        bundling_s=bundling_s,
        shown=[_shown(rows, served, right, int(i)) for i in np.flatnonzero(differs)[:N_SHOWN]],
        notes=manifest.notes,
    )


def _customers(case: Case, n_rows: int, seed: int) -> pd.DataFrame:
    customers = make_customers(n_rows, seed)
    if case.fit_gaps:
        return customers
    return customers.dropna(subset=list(case.fields))


def _fitted(case: Case, customers: pd.DataFrame) -> Any:
    frame = read_frame(plain_rows(customers, case.fields), case.spec.contract, case.texts)
    pipeline = deepcopy(case.make())
    if not case.target:
        return pipeline.fit(frame)
    if isinstance(case.target, str):
        return pipeline.fit(frame, np.array(customers[case.target].tolist()))
    return pipeline.fit(frame, np.array(customers[list(case.target)].to_numpy().tolist()))


def _bundled(case: Case, pipeline: Any, folder: Path, seed: int) -> Predictor:
    """Through the product's own door, and opened as a replica opens it. Raises SluiceError."""
    joblib.dump(pipeline, folder / "fitted.joblib")
    _customers(case, N_FILE_ROWS, seed).to_csv(folder / "rows.csv", index=False)
    store = FolderStore(folder / "store")
    written = bundle(
        Training(contamination=None if case.target else CONTAMINATION),
        case.spec,
        "1.0.0",
        store,
        folder / "fitted.joblib",
        folder / "rows.csv",
        missing_text=case.missing_text,
    )
    return load(store, case.spec, "1.0.0", pin=written.manifest_sha256)


def _served(case: Case, predictor: Predictor, rows: Sequence[dict[str, Any]]) -> Served:
    """What a server answers: bytes, rows, blocks, scores, answers."""
    spec = case.spec
    reader = RowReader(spec)
    layout = Layout(spec.contract)
    scores = []
    for part in _parts(len(rows)):
        body = json.dumps(list(rows[part])).encode()
        read = [_valid(row) for row in reader.many(body, N_ROWS_OF_BLOCK)]
        found = predictor.score(layout.block([row.__dict__ for row in read]))
        scores.append(found.reshape(len(found), -1))
    matrix = np.concatenate(scores)
    return Served(matrix, [_label(spec, row, predictor.manifest.parameters) for row in matrix])


def _parts(n_rows: int) -> Iterator[slice]:
    start = 0
    while start < n_rows:
        stop = min(n_rows, start + (1 if start < N_ALONE else N_ROWS_OF_BLOCK))
        yield slice(start, stop)
        start = stop


def _valid(row: Any) -> Features:
    # A row that the contract refuses is a fault of this program.
    assert isinstance(row, Features), row
    return row


def _label(
    spec: ModelSpec, scores: NDArray[np.float64], parameters: Mapping[str, float]
) -> str | None:
    """The label of the answer for one row's scores; None for an error row, and without labels."""
    if np.isnan(scores).any():
        return None
    said: Any = scores.tolist()
    if spec.n_scores == 1:
        said = said[0]
    answer = spec.answer(said, parameters)
    if hasattr(answer, "is_anomaly"):
        # As `predict` of a detector says it.
        return "-1" if answer.is_anomaly else "1"
    if hasattr(answer, "label"):
        return str(answer.label)
    return None


def _differs(
    case: Case, predictor: Predictor, served: Served, right: PipelineAnswers
) -> NDArray[np.bool_]:
    """(n_rows,) where a score is off, an error is missing or made up, or a label is another."""
    tolerance = predictor.manifest.tolerance
    failed = np.isnan(served.scores).any(axis=1)
    refused = right.is_refused
    with np.errstate(invalid="ignore"):
        most = tolerance + ROUNDING * np.abs(right.scores)
        is_near = (np.abs(served.scores - right.scores) <= most).all(axis=1)
    wrong = np.where(refused | failed, refused != failed, ~is_near)
    if right.labels is None:
        return np.asarray(wrong)
    other = np.array([str(a) != str(b) for a, b in zip(served.labels, right.labels, strict=True)])
    noise = LABEL_NOISE[predictor.manifest.runtime]
    other &= ~_is_tie(case, right, predictor, noise)
    return np.asarray(wrong | (other & ~refused & ~failed))


def _is_tie(
    case: Case, right: PipelineAnswers, predictor: Predictor, noise: float
) -> NDArray[np.bool_]:
    """(n_rows,) where noise alone may give another label."""
    if case.kind == "classifier":
        best = np.sort(right.scores, axis=1)
        return np.asarray(best[:, -1] - best[:, -2] <= noise)
    cut = predictor.manifest.parameters.get("threshold", 0.0)
    return np.asarray(np.abs(right.scores[:, 0] - cut) <= noise)


def _shown(rows: Sequence[dict[str, Any]], served: Served, right: PipelineAnswers, i: int) -> str:
    label = "" if right.labels is None else f" {right.labels[i]}"
    return (
        f"{json.dumps(rows[i], ensure_ascii=False)} served {served.scores[i].tolist()} "
        f"{served.labels[i] or ''} right {right.scores[i].tolist()}{label}"
    )


def cuts_of(estimator: Any) -> NDArray[np.float64]:
    """The thresholds of all of scikit-learn's trees in an estimator, of whatever field."""
    found: list[NDArray[np.float64]] = [np.empty(0)]
    waiting = [estimator]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if hasattr(part, "tree_"):
            tree = part.tree_
            found.append(tree.threshold[tree.children_left >= 0])
        elif hasattr(getattr(part, "nodes", None), "dtype"):
            nodes = part.nodes
            found.append(nodes["num_threshold"][nodes["is_leaf"] == 0])
        else:
            waiting += _parts_of(part)
    cuts = np.unique(np.concatenate(found))
    return np.asarray(cuts[np.isfinite(cuts)])


def _parts_of(value: Any) -> list[Any]:
    """What may hold trees in it."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return []
        return list(value.reshape(-1))
    return list(getattr(value, "__dict__", {}).values())
