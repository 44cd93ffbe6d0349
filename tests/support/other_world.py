"""Customers of churn after the world has changed: the same fields, and other reasons to leave.

The directions stay those that the pipeline may learn, so that another training can follow.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.models.churn import make_rows


def customers(n_rows: int, seed: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows as a client sends them, and whether each of them leaves."""
    rows = make_rows(n_rows, seed).drop(columns=["churned", "best_score"])
    leaves = np.random.default_rng(seed).random(n_rows) < _probability(rows)
    return rows.to_dict("records"), leaves.astype(int).tolist()


def _probability(rows: pd.DataFrame) -> Any:
    """Who leaves now is who pays a lot; what one does with the product no longer matters."""
    odds = 2.5 * np.log(rows["monthly_spend_usd"] / 100)
    return 1 / (1 + np.exp(-odds))


def write_labels(path: Path, ids: Iterable[str], actual: Iterable[int]) -> None:
    """A file as `sluice label` takes it."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prediction_id", "actual"])
        writer.writerows(zip(ids, actual, strict=True))
