"""Pipelines of LightGBM, XGBoost and CatBoost; each imports its library when it is made."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmarks.agree.case import NUMBERS, TEXTS, WHOLE, Case
from benchmarks.agree.parts import N_TREES, as_categories, columns, filled_with_missing, isotonic


def lightgbm(kind: str = "Classifier", **words: Any) -> Any:
    """A model of LightGBM."""
    library = import_module("lightgbm")
    return getattr(library, f"LGBM{kind}")(
        n_estimators=N_TREES, n_jobs=1, verbose=-1, random_state=0, **words
    )


def xgboost(kind: str = "Classifier", **words: Any) -> Any:
    """A model of XGBoost."""
    library = import_module("xgboost")
    return getattr(library, f"XGB{kind}")(n_estimators=N_TREES, n_jobs=1, random_state=0, **words)


def catboost(kind: str = "Classifier", **words: Any) -> Any:
    """A model of CatBoost."""
    library = import_module("catboost")
    return getattr(library, f"CatBoost{kind}")(
        n_estimators=N_TREES,
        thread_count=1,
        verbose=False,
        random_state=0,
        allow_writing_files=False,
        **words,
    )


def booster_cases() -> Iterator[Case]:
    """Alone, in a pipeline, with categories by pandas, three classes, values."""
    for name, make in (("LightGBM", lightgbm), ("XGBoost", xgboost), ("CatBoost", catboost)):
        library = name.lower()
        yield Case(name, make, NUMBERS, library=library)
        yield Case(f"{name}, three classes", make, WHOLE, "grade", library=library)
        yield Case(f"{name} of prices", _of_values(make), NUMBERS, "price", library=library)
        yield Case(f"{name} behind one-hot", _behind(make), library=library)
    yield Case("LightGBM, categories by pandas", lightgbm, texts="category", library="lightgbm")
    yield Case(
        "XGBoost, categories by pandas",
        lambda: xgboost(enable_categorical=True),
        texts="category",
        library="xgboost",
    )
    yield Case(
        "LightGBM, categories by a function",
        lambda: make_pipeline(FunctionTransformer(as_categories), lightgbm()),
        library="lightgbm",
    )
    yield Case(
        "LightGBM, calibrated, isotonic",
        lambda: isotonic(lightgbm()),
        NUMBERS,
        library="lightgbm",
    )
    yield Case(
        "CatBoost, texts",
        lambda: make_pipeline(
            FunctionTransformer(filled_with_missing), catboost(cat_features=list(TEXTS))
        ),
        TEXTS,
        library="catboost",
    )


def _of_values(make: Any) -> Any:
    return lambda: make("Regressor")


def _behind(make: Any) -> Any:
    return lambda: make_pipeline(columns(NUMBERS, TEXTS), make())
