"""A fitted pipeline as bytes that serving can open, or the reason why it has none."""

import io
import types
from collections.abc import Iterator
from typing import Any

import joblib

from training.errors import InvalidPipeline
from training.estimators import walk

# A third of the size; opening takes no longer.
JOBLIB_COMPRESSION = 3


def pickled(pipeline: Any) -> bytes:
    """The bytes of `pipeline.joblib`.

    Raises InvalidPipeline for what cannot be stored by name: a lambda, a function inside another.
    """
    buffer = io.BytesIO()
    try:
        joblib.dump(pipeline, buffer, compress=JOBLIB_COMPRESSION)
    except Exception as error:
        # Pickling raises many types: PicklingError, AttributeError, TypeError and the object's own.
        raise InvalidPipeline(_sentence(pipeline, error)) from None
    return buffer.getvalue()


def _sentence(pipeline: Any, error: Exception) -> str:
    nameless = list(dict.fromkeys(_nameless(pipeline)))
    if not nameless:
        cause = " ".join(str(error).split())[:200]
        return (
            f"pipeline: cannot be stored ({type(error).__name__}: {cause}); expected only classes "
            "and functions that are found by name in an installed module"
        )
    return (
        f"pipeline: found {', '.join(nameless)}, which no file can hold; expected a function that "
        "is found by name: write it as a `def` at the top of a module that is installed where the "
        "model serves"
    )


def _nameless(pipeline: Any) -> Iterator[str]:
    """Parameters and attributes that are functions without a place to import them from."""
    for part in walk(pipeline):
        for name, value in vars(part).items():
            if isinstance(value, types.FunctionType) and "<" in value.__qualname__:
                is_lambda = value.__name__ == "<lambda>"
                what = "a lambda" if is_lambda else f"{value.__name__}(), a function in a function,"
                yield f"{what} as {name} of {type(part).__name__}"
