"""The rows that every contender is asked, and the fitted pipeline's answers to them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import WrongAnswers
from serve_app.bundle.manifest import PIPELINE
from serve_app.models import get_spec
from training.models import churn

SEED = 7
# Different bodies that a load cycles through.
N_BODIES = 16
# Answers may be rounded to 4 digits.
TOLERANCE = 1e-4

Rows = list[dict[str, Any]]
Numbers = NDArray[np.float64]


class Question:
    """Rows of churn and what one bundle's pipeline says of them."""

    def __init__(self, bundle: Path) -> None:
        self._pipeline: Any = joblib.load(io.BytesIO((bundle / PIPELINE).read_bytes()))
        self._asked: dict[int, list[Rows]] = {}
        self._expected: dict[int, list[Numbers]] = {}

    def ask(self, n_rows: int) -> list[Rows]:
        """Make `N_BODIES` lists of `n_rows` rows: the same at every call, on every machine."""
        if n_rows not in self._asked:
            names = [feature.name for feature in get_spec("churn").contract]
            table = churn.make_rows(N_BODIES * n_rows, SEED)[names]
            scores = np.asarray(self._pipeline.predict_proba(table)[:, -1], dtype=np.float64)
            rows: Rows = [
                dict(zip(names, row, strict=True))
                for row in table.itertuples(index=False, name=None)
            ]
            self._asked[n_rows] = [rows[i * n_rows : (i + 1) * n_rows] for i in range(N_BODIES)]
            self._expected[n_rows] = np.split(scores, N_BODIES)
        return self._asked[n_rows]

    def check(self, who: str, n_rows: int, index: int, found: Sequence[float]) -> None:
        """Compare probabilities with the pipeline's.

        Raises WrongAnswers when one is missing, or differs by more than TOLERANCE.
        """
        self.ask(n_rows)
        expected = self._expected[n_rows][index]
        if len(found) != len(expected):
            raise WrongAnswers(f"{who}: found {len(found)} answers to {len(expected)} rows")
        difference = float(np.max(np.abs(expected - np.asarray(found, dtype=np.float64))))
        # Not `>`: NaN is wrong too.
        if not difference <= TOLERANCE:
            raise WrongAnswers(
                f"{who}: answers differ from the pipeline's by {difference:.2g}, "
                f"expected ≤ {TOLERANCE}"
            )


def encode(value: Any) -> bytes:
    """Write compact JSON, as HTTP clients send it."""
    return json.dumps(value, separators=(",", ":")).encode()
