"""What a fitted pipeline itself says of rows: scores and labels, and which rows it refuses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.contract import ModelSpec

# Rows of one call: one that raises is halved until the row that is to blame stands alone.
N_ROWS_OF_CALL = 4_000
N_ROWS_ALONE = 8

Method = Callable[[pd.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True)
class PipelineAnswers:
    """`scores` (n_rows, n_scores) in the contract's order, NaN where the pipeline has no answer.

    `labels` (n_rows,) are what `predict` says as texts, None where nothing has a label.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.object_] | None

    @property
    def is_refused(self) -> NDArray[np.bool_]:
        """(n_rows,) where the pipeline raises, or gives something that is no number."""
        return np.asarray(~np.isfinite(self.scores).all(axis=1))


def ask(pipeline: Any, spec: ModelSpec, frame: pd.DataFrame) -> PipelineAnswers:
    """Scores and labels of each row of a frame, as the pipeline's own methods give them."""
    scores = _each(_scoring(pipeline, spec), frame, spec.n_scores)
    if not spec.is_classifier and not spec.is_anomaly_score:
        return PipelineAnswers(scores, None)
    labels = np.full(len(frame), None, dtype=object)
    asked = np.isfinite(scores).all(axis=1)
    if asked.any():
        found = np.asarray(pipeline.predict(frame[asked])).reshape(-1)
        labels[asked] = [str(label) for label in found]
    return PipelineAnswers(scores, labels)


def _scoring(pipeline: Any, spec: ModelSpec) -> Method:
    """The method whose answer is served, in the contract's order."""
    if spec.is_anomaly_score:
        return lambda rows: _matrix(pipeline.decision_function(rows))
    if not spec.is_classifier:
        return lambda rows: _matrix(pipeline.predict(rows))
    names = [str(label) for label in pipeline.classes_]
    wanted = [spec.positive] if spec.kind == "binary_classifier" else spec.classes
    places = [names.index(str(label)) for label in wanted]
    return lambda rows: _matrix(pipeline.predict_proba(rows)[:, places])


def _matrix(answer: Any) -> NDArray[np.float64]:
    values = np.asarray(answer, dtype=np.float64)
    return values.reshape(len(values), -1)


def _each(method: Method, frame: pd.DataFrame, n_columns: int) -> NDArray[np.float64]:
    """(n_rows, n_columns) answers, NaN where a row raises."""
    answers = np.full((len(frame), n_columns), np.nan)
    waiting = [
        slice(start, min(start + N_ROWS_OF_CALL, len(frame)))
        for start in range(0, len(frame), N_ROWS_OF_CALL)
    ]
    while waiting:
        part = waiting.pop()
        try:
            answers[part] = method(frame.iloc[part])
        except Exception:
            # Whatever an estimator raises: it does not take one of these rows.
            waiting += _pieces(part)
    return answers


def _pieces(part: slice) -> list[slice]:
    """The halves of a part, the single rows of a small one, and nothing of a single row."""
    n_rows = part.stop - part.start
    if n_rows == 1:
        return []
    if n_rows <= N_ROWS_ALONE:
        return [slice(row, row + 1) for row in range(part.start, part.stop)]
    middle = (part.start + part.stop) // 2
    return [slice(part.start, middle), slice(middle, part.stop)]
