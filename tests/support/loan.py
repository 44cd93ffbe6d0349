"""A third model that nobody registered: its contract has missing ints and missing categories."""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from serve_app.contract import Features


class LoanFeatures(Features):
    """Every kind of field at once: a float, an int, an int and a category that may be missing."""

    income_usd: Annotated[float, Field(gt=0, le=1_000_000)]
    age_years: Annotated[int, Field(ge=18, le=120)]
    n_children: Annotated[int, Field(ge=0, le=20)] | None
    employment: Literal["salaried", "self", "none"] | None


def make_loans(n_rows: int, seed: int) -> pd.DataFrame:
    """Loans with a tenth of the children and of the employments missing."""
    rng = np.random.default_rng(seed)
    children = rng.poisson(1.2, n_rows).astype(float)
    employment = rng.choice(["salaried", "self", "none"], n_rows, p=[0.6, 0.3, 0.1]).astype(object)
    income, age = np.round(rng.gamma(4, 700, n_rows) + 100, 2), rng.integers(18, 80, n_rows)
    logit = (
        1.2 - income / 1_500 + 0.3 * children - 0.01 * age + np.where(employment == "none", 1.5, 0)
    )
    rows = pd.DataFrame(
        {"income_usd": income, "age_years": age, "n_children": children, "employment": employment}
    )
    rows["defaulted"] = (rng.random(n_rows) < 1 / (1 + np.exp(-logit))).astype(int)
    rows.loc[rng.random(n_rows) < 0.1, "n_children"] = np.nan
    rows.loc[rng.random(n_rows) < 0.1, "employment"] = None
    return rows
