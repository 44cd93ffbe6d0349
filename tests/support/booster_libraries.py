"""Libraries of boosters, which are no requirement of Sluice: without one its tests are skipped."""

from typing import Any

import pytest


def lightgbm() -> Any:
    """LightGBM, or a skip."""
    return pytest.importorskip("lightgbm", reason="LightGBM is not installed")


def xgboost() -> Any:
    """XGBoost, or a skip."""
    return pytest.importorskip("xgboost", reason="XGBoost is not installed")


def catboost() -> Any:
    """CatBoost, or a skip."""
    return pytest.importorskip("catboost", reason="CatBoost is not installed")
