"""Ray Serve's documented pattern: a FastAPI ingress that asks a model by a handle, row by row.

https://docs.ray.io/en/latest/serve/model_composition.html and .../serve/http-guide.html, but for
N_ONGOING.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.models.churn import ChurnFeatures, risk_level

api = FastAPI()
# Ray's default is 5, with which 64 connections get an eighth of what one connection gets.
N_ONGOING = 100


@serve.deployment(max_ongoing_requests=N_ONGOING)
class Model:
    """Scores one row a call."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = str(Path(os.environ["BUNDLE"]) / "converted.onnx")
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The answer to a row."""
        numbers = np.array([list(row.values())], dtype=np.float32)
        score = float(self.session.run(["score"], {"numbers": numbers})[0][0, -1])
        return {
            "prediction": int(score >= 0.5),
            "label": "Churned" if score >= 0.5 else "Retained",
            "churn_probability": round(score, 4),
            "risk_level": risk_level(score),
        }


@serve.deployment(max_ongoing_requests=N_ONGOING)
@serve.ingress(api)
class Ingress:
    """HTTP in, handle calls out."""

    def __init__(self, model: DeploymentHandle) -> None:
        self.model = model

    @api.post("/v1/predict")
    async def predict(self, row: ChurnFeatures) -> dict[str, Any]:
        """Answer one row."""
        return await self.model.remote(row.model_dump())

    @api.post("/v1/predict/batch")
    async def predict_batch(self, rows: list[ChurnFeatures]) -> dict[str, Any]:
        """A handle call for each row, all under way at once."""
        answers = await asyncio.gather(*(self.model.remote(row.model_dump()) for row in rows))
        return {"predictions": list(answers)}


app = Ingress.bind(Model.bind())
