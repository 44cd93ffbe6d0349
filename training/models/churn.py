"""Customers who leave or stay: made by a recipe whose true churn probability is known.

Three hidden traits, engagement, satisfaction and size, make the ten features hang together. The
label is drawn from a probability, not cut at a threshold, so that a calibrated probability means
something and the best reachable AUC and Brier score are known: those of the true probability.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from training.recipe import BEST, Training

Numbers = NDArray[np.float64]

# Which way each feature moves the risk. What goes the other way is noise, which the trees may not
# learn.
DIRECTIONS = {
    "monthly_active_days": -1,
    "num_features_used": -1,
    "support_tickets_opened": 1,
    "days_since_last_login": 1,
    "contract_length_months": -1,
    "monthly_spend_usd": 1,
    "num_team_members": -1,
    "billing_failures": 1,
    "onboarding_completed": -1,
    "nps_score": -1,
}
CONTRACT_EFFECT = {1: 0.8, 6: 0.2, 12: -0.4, 24: -1.1}


def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
    """Make customers with the label drawn from `best_score`; about 23 % of them leave."""
    rng = np.random.default_rng(seed)
    rows = _customers(n_rows, rng)
    probability = churn_probability(rows)
    return rows.assign(
        churned=(rng.random(n_rows) < probability).astype(np.int64), **{BEST: probability}
    )


def _customers(n_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """The ten features: behaviour follows from the hidden traits, and from each other."""
    engagement = rng.normal(size=n_rows)
    size = rng.normal(size=n_rows)
    satisfaction = 0.5 * engagement + np.sqrt(0.75) * rng.normal(size=n_rows)
    onboarded = (rng.random(n_rows) < _sigmoid(0.9 + 0.9 * engagement)).astype(np.int64)
    active_days = rng.binomial(30, _sigmoid(0.2 + 1.1 * engagement))
    team = np.clip(np.exp(1.7 + 0.9 * size + 0.3 * rng.normal(size=n_rows)), 1, 500).astype(
        np.int64
    )
    idle_days = rng.exponential(1.0 + 30.0 * np.exp(-active_days / 6.0))
    return pd.DataFrame(
        {
            "monthly_active_days": active_days,
            "num_features_used": np.minimum(
                rng.poisson(np.exp(1.5 + 0.45 * engagement + 0.3 * onboarded)), 60
            ),
            "support_tickets_opened": np.minimum(
                rng.poisson(np.exp(0.1 - 0.5 * satisfaction + 0.25 * size)), 60
            ),
            "days_since_last_login": np.minimum(idle_days, 365).astype(np.int64),
            "contract_length_months": _contract_months(size, rng),
            "monthly_spend_usd": np.round(
                np.clip(20 * team**0.95 * np.exp(0.5 * rng.normal(size=n_rows)), 5, 2e4), 2
            ),
            "num_team_members": team,
            "billing_failures": np.minimum(rng.poisson(np.exp(-1.1 - 0.35 * satisfaction)), 12),
            "onboarding_completed": onboarded,
            "nps_score": np.clip(
                np.round(6.3 + 1.8 * satisfaction + 1.2 * rng.normal(size=n_rows)), 0, 10
            ).astype(int),
        }
    )


def _contract_months(size: Numbers, rng: np.random.Generator) -> NDArray[np.int64]:
    """Larger customers sign for longer."""
    rank = size + 1.2 * rng.normal(size=len(size))
    return np.array([1, 6, 12, 24])[np.digitize(rank, [-0.4, 0.5, 1.5])]


def churn_probability(rows: pd.DataFrame) -> Numbers:
    """Compute the true probability of leaving: all ten features count, most not linearly."""
    tickets = np.log1p(rows["support_tickets_opened"])
    detractor = rows["nps_score"] <= 6
    logit = (
        -2.1
        - 1.5 * np.tanh((rows["monthly_active_days"] - 13) / 8)
        - 0.6 * np.log1p(rows["num_features_used"] / 3)
        + 0.6 * tickets
        + 0.7 * tickets * detractor
        + 0.7 * np.tanh(rows["days_since_last_login"] / 14)
        + rows["contract_length_months"].map(CONTRACT_EFFECT)
        + 0.6 * np.log(rows["monthly_spend_usd"] / rows["num_team_members"] / 20)
        - 0.3 * np.log(rows["num_team_members"] / 5)
        + 0.8 * np.minimum(rows["billing_failures"], 3)
        - 0.6 * rows["onboarding_completed"]
        + 0.6 * detractor
        - 0.5 * (rows["nps_score"] >= 9)
    )
    return _sigmoid(logit.to_numpy(np.float64))


def _sigmoid(logit: Numbers) -> Numbers:
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def pipeline() -> Any:
    """Build boosted trees that may only follow DIRECTIONS.

    They are calibrated in the last step, so that the pipeline can be compiled.
    """
    trees = HistGradientBoostingClassifier(
        learning_rate=0.08,
        max_iter=150,
        max_leaf_nodes=12,
        min_samples_leaf=40,
        l2_regularization=1.0,
        # "auto" would depend on the number of rows.
        early_stopping=False,
        monotonic_cst=list(DIRECTIONS.values()),
        random_state=0,
    )
    numbers = ColumnTransformer([("numbers", "passthrough", list(DIRECTIONS))])
    return Pipeline(
        [
            ("columns", numbers),
            ("model", CalibratedClassifierCV(trees, method="sigmoid", cv=3, ensemble=False)),
        ]
    )


TRAINING = Training(
    make_rows=make_rows,
    pipeline=pipeline,
    n_rows=20_000,
    at_least={"auc": 0.70},
    at_most={"ece": 0.08},
)
