"""FastAPI as the tutorials do it: joblib, a DataFrame and scikit-learn for each request.

Kinder than most of them: a list of rows is one DataFrame, not a loop of one-row frames.
"""

import os
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI

from serve_app.models.churn import ChurnFeatures, risk_level

app = FastAPI()
pipeline = joblib.load(Path(os.environ["BUNDLE"]) / "pipeline.joblib")


@app.post("/v1/predict")
def predict(row: ChurnFeatures) -> dict[str, Any]:
    """Answer one row."""
    return _answers([row])[0]


@app.post("/v1/predict/batch")
def predict_batch(rows: list[ChurnFeatures]) -> dict[str, Any]:
    """A list of rows."""
    return {"predictions": _answers(rows)}


def _answers(rows: list[ChurnFeatures]) -> list[dict[str, Any]]:
    scores = pipeline.predict_proba(pd.DataFrame([row.model_dump() for row in rows]))[:, 1]
    return [
        {
            "prediction": int(score >= 0.5),
            "label": "Churned" if score >= 0.5 else "Retained",
            "churn_probability": round(float(score), 4),
            "risk_level": risk_level(float(score)),
        }
        for score in scores
    ]
