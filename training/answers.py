"""Whether a fitted pipeline answers as its kind of model must, before anything is measured."""

from typing import Any

import numpy as np

from serve_app.contract import Kind
from training.errors import InvalidPipeline
from training.table import Table

METHODS: dict[Kind, str] = {"binary_classifier": "predict_proba", "regressor": "predict"}


def require_answers(pipeline: Any, rows: Table) -> None:
    """Score `rows`, all of them valid, and refuse a wrong shape, range or type.

    Raises InvalidPipeline.
    """
    kind = rows.spec.kind
    method = METHODS[kind]
    if not callable(getattr(pipeline, method, None)):
        raise InvalidPipeline(
            f"pipeline: found a {type(pipeline).__name__} without {method}(), expected a fitted "
            f"{kind}"
        )
    try:
        answers = np.asarray(getattr(pipeline, method)(rows.frame), dtype=np.float64)
    except Exception as error:
        # Whatever a foreign estimator raises is a reason to refuse it.
        columns = ", ".join(f.name for f in rows.spec.contract)
        raise InvalidPipeline(
            f"pipeline: {method}() failed on valid rows with the columns {columns}: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from None
    _require_shape(answers, method, len(rows), kind)
    if not np.isfinite(answers).all():
        raise InvalidPipeline(
            f"pipeline: {method}() gave {int((~np.isfinite(answers)).sum())} answers that are not "
            "finite, expected none"
        )
    if kind == "binary_classifier":
        _require_probabilities(pipeline, answers)


def _require_shape(answers: np.ndarray, method: str, n_rows: int, kind: Kind) -> None:
    allowed = [(n_rows, 2)] if kind == "binary_classifier" else [(n_rows,), (n_rows, 1)]
    if answers.shape not in allowed:
        raise InvalidPipeline(
            f"pipeline: {method}() gave the shape {answers.shape}, expected {allowed[0]} for a "
            f"{kind} and {n_rows} rows"
        )


def _require_probabilities(pipeline: Any, answers: np.ndarray) -> None:
    classes = [str(label) for label in getattr(pipeline, "classes_", ())]
    if [label.removesuffix(".0") for label in classes] not in (["0", "1"], ["False", "True"]):
        raise InvalidPipeline(
            f"pipeline: found the classes {', '.join(classes) or 'none'}, expected 0 and 1 in this "
            "order"
        )
    if answers.min() < 0 or answers.max() > 1:
        raise InvalidPipeline(
            f"pipeline: found probabilities from {answers.min():.4g} to {answers.max():.4g}, "
            "expected 0 to 1"
        )
