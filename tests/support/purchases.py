"""A model whose fields are hard to compile: cents, epoch seconds, missing numbers, open text."""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from encoders import one_hot
from pydantic import Field
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline

from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.contract import Example, Features, ModelSpec
from serve_app.contract.fields import Text
from training.calling import find_call
from training.compilation.proof import Compilation, compile_pipeline
from training.reading import check
from training.table import Table
from training.truth import find_truth

NUMBERS = ["amount_usd", "since_s", "n_visits"]
TEXTS = ["plan", "city"]
FIRST_S = 1_600_000_000
LAST_S = 1_760_000_000


class PurchaseFeatures(Features):
    """Money to the cent, seconds since 1970, a count that may be missing, closed and open text."""

    amount_usd: Annotated[float, Field(ge=0, le=1_000_000)]
    since_s: Annotated[int, Field(ge=0, le=4_000_000_000)]
    n_visits: Annotated[int, Field(ge=0, le=50)] | None
    plan: Literal["basic", "pro", "team", "legacy"] | None
    city: Annotated[str, Text(30)] | None


EXAMPLE = PurchaseFeatures(
    amount_usd=5.0, since_s=1_700_000_000, n_visits=3, plan="pro", city="Lyon"
)


def purchase_spec(kind: str) -> ModelSpec:
    """`binary`, `three` classes, `value`, two `outputs`, or `anomaly`."""
    shared: dict[str, Any] = {
        "name": "purchase",
        "title": "Purchase",
        "features": PurchaseFeatures,
        "examples": (Example("typical", "Somebody", EXAMPLE),),
    }
    if kind == "binary":
        return ModelSpec(kind="binary_classifier", target="y", **shared)
    if kind == "three":
        return ModelSpec(kind="classifier", target="y", classes=(0, 1, 2), **shared)
    if kind == "outputs":
        return ModelSpec(kind="regressor", target="", outputs=("u", "w"), **shared)
    return ModelSpec(kind="regressor", target="" if kind == "anomaly" else "y", **shared)


def purchases(n_rows: int, seed: int, kind: str) -> Table:
    """Checked rows; the plan `legacy` never occurs, a tenth of counts and plans is missing."""
    rng = np.random.default_rng(seed)
    amount = np.minimum(np.round(rng.gamma(2, 40_000, n_rows), 2), 1e6)
    since = rng.integers(FIRST_S, LAST_S, n_rows)
    visits = rng.poisson(5, n_rows).astype(float)
    visits[rng.random(n_rows) < 0.1] = np.nan
    plan = rng.choice(["basic", "pro", "team"], n_rows).astype(object)
    plan[rng.random(n_rows) < 0.1] = None
    city = rng.choice(["Lyon", "Porto", "Gent", "Oslo"], n_rows, p=[0.5, 0.3, 0.15, 0.05])
    city = city.astype(object)
    city[rng.random(n_rows) < 0.05] = None
    score = amount / 40_000 - 2 + (since - 1.68e9) / 5e7 + 0.2 * np.nan_to_num(visits, nan=8)
    score = score - 1.5 * (plan == "pro") + (city == "Gent") + rng.normal(0, 0.5, n_rows)
    columns = [amount, since, visits, plan, city]
    rows = pd.DataFrame(dict(zip([*NUMBERS, *TEXTS], columns, strict=True)))
    if kind == "binary":
        rows["y"] = (score > 0.3).astype(int)
    elif kind == "three":
        rows["y"] = np.digitize(score, [-0.5, 1.0])
    elif kind == "value":
        rows["y"] = 70_000 + 10_000 * score
    elif kind == "outputs":
        rows["u"] = 70_000 + 10_000 * score
        rows["w"] = -score
    return check(rows, purchase_spec(kind), "recipe")


def fitted(pipeline: Any, kind: str, n_rows: int = 400) -> Any:
    """The pipeline, fitted on purchases of this kind."""
    rows = purchases(n_rows, 1, kind)
    return pipeline.fit(rows.frame) if kind == "anomaly" else pipeline.fit(rows.frame, rows.labels)


def behind(model: Any, numbers: Any = "passthrough") -> Any:
    """The model at the end of a pipeline that makes numbers of the texts."""
    steps = ColumnTransformer([("texts", one_hot(), TEXTS), ("numbers", numbers, NUMBERS)])
    return make_pipeline(steps, model)


def compiled_purchases(pipeline: Any, kind: str) -> tuple[Compilation, Any, Any]:
    """The outcome for a fitted pipeline, the truth it was compared with, and its call."""
    rows = purchases(300, 2, kind)
    call = find_call(pipeline, rows)
    truth = find_truth(pipeline, rows, call)
    return compile_pipeline(pipeline, rows.spec, call, truth, 0.5), truth, call


def opened(compilation: Compilation, call: Any) -> OnnxRuntime:
    """The runtime of what was compiled."""
    assert compilation.graph is not None, compilation.reason
    return OnnxRuntime(compilation.graph, call)
