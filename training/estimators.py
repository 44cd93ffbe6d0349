"""What is inside a fitted estimator: its parts, found without knowing how they are nested."""

from collections.abc import Iterator
from typing import Any

# Deeper nesting than people write; an estimator may hold itself.
MAX_DEPTH = 12


def walk(estimator: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the fitted estimator and every estimator in it, the outer ones first."""
    if depth > MAX_DEPTH or not hasattr(estimator, "__dict__"):
        return
    if hasattr(estimator, "get_params") or hasattr(estimator, "predict"):
        yield estimator
        for name, value in vars(estimator).items():
            if name in UNFITTED and any(hasattr(estimator, fitted) for fitted in UNFITTED[name]):
                continue
            yield from _walk_value(value, depth + 1)


# What was given, where a fitted copy of it stands next to it.
UNFITTED = {
    "transformers": ("transformers_",),
    "estimator": ("estimator_", "estimators_", "best_estimator_", "calibrated_classifiers_"),
    "estimators": ("estimators_",),
    "final_estimator": ("final_estimator_",),
    "regressor": ("regressor_",),
    "transformer": ("transformer_",),
    "base_estimator": ("estimator_", "estimators_"),
}


def _walk_value(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _walk_value(item, depth + 1)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _walk_value(item, depth + 1)
    else:
        yield from walk(value, depth)


def last_step(pipeline: Any) -> Any:
    """The estimator at the end of a pipeline, or of pipelines in it."""
    while hasattr(pipeline, "steps"):
        pipeline = pipeline.steps[-1][1]
    return pipeline
