"""A package as somebody has next to serve_config.yaml: contracts, a training, and transformers."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

CONTRACT = """
from typing import Annotated
from pydantic import Field
from serve_app.contract import Example, Features, ModelSpec

class LoanFeatures(Features):
    income_usd: Annotated[float, Field(gt=0, le=1_000_000)]
    n_children: Annotated[int, Field(ge=0, le=20)]

ROW = LoanFeatures(income_usd=2500.0, n_children=1)
SPEC = ModelSpec(
    name="loan",
    title="Loan default",
    kind="binary_classifier",
    target="defaulted",
    features=LoanFeatures,
    examples=(Example("typical", "A usual one", ROW),),
)
"""
TRAINING = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from training.recipe import Training

def make_rows(n_rows, seed):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({
        "income_usd": np.round(rng.uniform(500, 5000, n_rows), 2),
        "n_children": rng.integers(0, 5, n_rows),
    })
    chance = 1 / (1 + np.exp(rows.income_usd / 1000 - 1 - rows.n_children / 2))
    return rows.assign(defaulted=(rng.random(n_rows) < chance).astype(int))

TRAINING = Training(
    make_rows=make_rows,
    pipeline=lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    n_rows=600,
)
"""
TRANSFORMS = """
import numpy as np

def root(rows):
    return np.sqrt(rows)
"""
FILES = {
    "shop/models/loan.py": CONTRACT,
    "shop/models/loan_training.py": TRAINING,
    "shop/transforms.py": TRANSFORMS,
}


def write_package(folder: Path, files: Mapping[str, str] = FILES) -> None:
    """Write the files, and an empty `__init__.py` in every package."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for package in path.relative_to(folder).parents[:-1]:
            (folder / package / "__init__.py").touch()
        path.write_text(textwrap.dedent(text).lstrip())


def forget(top: str = "shop") -> None:
    """As if nothing of a package had been imported yet."""
    for name in list(sys.modules):
        if name.partition(".")[0] == top:
            del sys.modules[name]


@contextmanager
def importable(folder: Path, files: Mapping[str, str] = FILES) -> Iterator[Path]:
    """The package in a folder that Python finds, until the end."""
    write_package(folder, files)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget()
        yield folder
    forget()
