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
    if spec.is_anomaly_score:
        scores = _each(lambda rows: _matrix(pipeline.decision_function(rows)), frame, 1)
        labels = _each(lambda rows: pipeline.predict(rows).astype(object)[:, None], frame, 1)
        return PipelineAnswers(scores.astype(np.float64), labels[:, 0])
    if not spec.is_classifier:
        n_values = len(spec.outputs) or 1
        values = _each(lambda rows: _matrix(pipeline.predict(rows)), frame, n_values)
        return PipelineAnswers(values.astype(np.float64), None)
    names = [str(label) for label in pipeline.classes_]
    wanted = [spec.positive] if spec.kind == "binary_classifier" else spec.classes
    places = [names.index(str(label)) for label in wanted]
    scores = _each(lambda rows: pipeline.predict_proba(rows)[:, places], frame, len(places))
    labels = _each(lambda rows: _labels(pipeline.predict(rows)), frame, 1)
    return PipelineAnswers(scores.astype(np.float64), labels[:, 0])


def _labels(answer: Any) -> NDArray[np.object_]:
    return np.array([str(label) for label in np.asarray(answer).reshape(-1)], object)[:, None]


def _matrix(answer: Any) -> NDArray[np.float64]:
    values = np.asarray(answer, dtype=np.float64)
    return values.reshape(len(values), -1)


def _each(
    method: Callable[[pd.DataFrame], NDArray[Any]], frame: pd.DataFrame, n_columns: int
) -> NDArray[Any]:
    """(n_rows, n_columns) answers, NaN where a row raises."""
    answers = np.full((len(frame), n_columns), np.nan, dtype=object)
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
            middle = (part.start + part.stop) // 2
            if part.stop - part.start > 1:
                waiting += [slice(part.start, middle), slice(middle, part.stop)]
    return answers
