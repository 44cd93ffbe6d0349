"""What a bundle notes of a pickle, and what bundling refuses since no pickle can keep it."""

import functools
import importlib.metadata
import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from odd_estimator import MeanOfColumns, log_of_columns
from own_package import importable
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from training.errors import InvalidPipeline
from training.pickled import global_names, needs_of, pickled, require_named

ROWS = pd.DataFrame({"a": np.arange(1.0, 41), "b": np.arange(1.0, 41)[::-1]})
TARGET = np.arange(40.0)


def version_of(library: str) -> str:
    """What is installed here."""
    return importlib.metadata.version(library)


def test_every_library_of_a_pickle_is_noted_with_its_version() -> None:
    """Also one that only a single array or spline inside comes from."""
    pipeline = make_pipeline(SplineTransformer(), RandomForestRegressor(3, random_state=0)).fit(
        ROWS, TARGET
    )
    needs = needs_of(pipeline)
    for library in ("scikit-learn", "numpy", "scipy", "pandas", "joblib"):
        assert needs.libraries[library] == version_of(library)
    assert not needs.modules


def test_a_module_of_nobody_is_noted_with_the_hash_of_its_source(tmp_path: Path) -> None:
    """Another file gives another hash; the standard library and our own package are not noted."""
    with importable(tmp_path):
        from shop.transforms import root  # type: ignore[import-not-found]

        pipeline = make_pipeline(
            FunctionTransformer(functools.partial(root)),
            FunctionTransformer(log_of_columns),
            LinearRegression(),
        ).fit(ROWS, TARGET)
        needs = needs_of(pipeline)
    assert set(needs.modules) == {"shop.transforms", "odd_estimator"}
    hashes = {module.sha256 for module in needs.modules.values()}
    assert len(hashes) == 2
    assert None not in hashes


def test_the_names_in_a_pickle_are_those_of_its_classes_and_functions() -> None:
    """Read from the pickle itself: what an estimator holds deep inside is there too."""
    pipeline = make_pipeline(
        FunctionTransformer(np.log1p), RandomForestRegressor(2, random_state=0)
    )
    found = global_names(pipeline.fit(ROWS, TARGET))
    assert ("numpy", "log1p") in found
    assert ("sklearn.tree._tree", "Tree") in found
    assert ("sklearn.pipeline", "Pipeline") in found


def inner(rows: Any) -> Any:
    """A function with a name, until a test says that it is of a script."""
    return rows


def local_function() -> Any:
    """A function that no module has by its name."""

    def shifted(rows: Any) -> Any:
        return rows

    return shifted


def of_main() -> Any:
    """A function as the script that fits has it."""
    found = functools.partial(inner).func
    copied = type(found)(found.__code__, found.__globals__, "inner")
    copied.__module__ = "__main__"
    return copied


class OfMain(MeanOfColumns):
    """An estimator as the script that fits has it."""


OfMain.__module__ = "__main__"

UNNAMED = {
    "a lambda": (
        lambda: FunctionTransformer(lambda rows: rows),
        "found a lambda in FunctionTransformer (func): pickle cannot keep it",
    ),
    "a lambda in a partial": (
        lambda: FunctionTransformer(functools.partial(lambda rows: rows)),
        "found a lambda in FunctionTransformer (func)",
    ),
    "a function of a function": (
        lambda: FunctionTransformer(local_function()),
        "found the function shifted, defined inside a function, in FunctionTransformer (func)",
    ),
    "a function of the script": (
        lambda: FunctionTransformer(of_main()),
        "found the function inner of __main__, the script that fitted it, in FunctionTransformer",
    ),
    "a class of the script": (OfMain, "found the class OfMain of __main__"),
}


@pytest.mark.parametrize("fault", UNNAMED)
def test_what_serving_could_not_find_is_refused_with_its_place_and_the_way_out(fault: str) -> None:
    """One sentence: what it is, in which step, and where to put it."""
    make, words = UNNAMED[fault]
    pipeline = make_pipeline(make(), LinearRegression())
    with pytest.raises(InvalidPipeline) as refusal:
        require_named(pipeline)
    assert words in str(refusal.value)
    assert "into a module that is installed where it serves" in str(refusal.value)
    with pytest.raises(InvalidPipeline):
        pickled(pipeline)


class Holding(MeanOfColumns):
    """An estimator that keeps something in a place that nobody looks into."""

    def __getstate__(self) -> Any:
        """What pickle gets."""
        return {"mean_": 1.0, "hidden": io.BufferedReader(io.BytesIO())}  # type: ignore[arg-type]


def test_what_pickle_refuses_is_one_sentence_with_its_own_reason() -> None:
    """An object that holds an open file, for example, names its type."""
    with pytest.raises(InvalidPipeline, match=r"cannot be pickled .*BufferedReader"):
        pickled(Holding())


def test_a_pickle_is_what_joblib_reads(tmp_path: Path) -> None:
    """Compressed, and equal in what it predicts."""
    pipeline = make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(ROWS, TARGET)
    (tmp_path / "pipeline.joblib").write_bytes(pickled(pipeline))
    again = joblib.load(tmp_path / "pipeline.joblib")
    assert np.array_equal(again.predict(ROWS), pipeline.predict(ROWS))
