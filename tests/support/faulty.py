"""Pipelines that are sound on their golden rows and broken on rows that a client marks."""

import time
from typing import Any, Literal

import numpy as np

Fault = Literal["raises", "slow", "nan", "flips"]
SLOW_S = 1.0

# In the third decimal of the spend, where the recipe has none: no golden row is marked.
MARK = 0.007


class Faulty:
    """Wraps a fitted classifier."""

    def __init__(self, inner: Any, fault: Fault) -> None:
        self.inner, self.fault = inner, fault

    def predict_proba(self, rows: Any) -> Any:
        """As scikit-learn, but for marked rows."""
        marked = np.round(rows["monthly_spend_usd"].to_numpy() * 1000).astype(int) % 10 == 7
        found = self.inner.predict_proba(rows)
        if not marked.any():
            return found
        match self.fault:
            case "raises":
                raise ValueError("a marked row")
            case "slow":
                time.sleep(SLOW_S)
            case "nan":
                found[marked] = np.nan
            case "flips":
                found[marked] = found[marked][:, ::-1]
        return found
