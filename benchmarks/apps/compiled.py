"""The limit of the Python stack: the same strict rows, compiled model and answers, without Ray."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from serve_app.models.churn import ChurnFeatures, risk_level

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
model = str(Path(os.environ["BUNDLE"]) / "converted.onnx")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
one_row = TypeAdapter(ChurnFeatures)
many_rows = TypeAdapter(list[ChurnFeatures])


async def predict(request: Request) -> Response:
    """Answer one row."""
    row = one_row.validate_json(await request.body())
    return _json(_answers([row])[0])


async def predict_batch(request: Request) -> Response:
    """A list of rows in one call of the model."""
    return _json({"predictions": _answers(many_rows.validate_json(await request.body()))})


def _answers(rows: list[ChurnFeatures]) -> list[dict[str, Any]]:
    numbers = np.array([list(row.__dict__.values()) for row in rows], dtype=np.float32)
    return [
        {
            "prediction": int(score >= 0.5),
            "label": "Churned" if score >= 0.5 else "Retained",
            "churn_probability": round(score, 4),
            "risk_level": risk_level(score),
        }
        for score in session.run(["score"], {"numbers": numbers})[0][:, -1].tolist()
    ]


def _json(value: Any) -> Response:
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json")


app = FastAPI()
app.add_route("/v1/predict", predict, methods=["POST"])
app.add_route("/v1/predict/batch", predict_batch, methods=["POST"])
