"""Models of every kind over one contract with every kind of field; nobody registered them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from serve_app.bundle.manifest import GoldenRow, Manifest, Reference
from serve_app.contract import Choice, Example, Features, ModelSpec
from serve_app.contract.fields import Date, DateTime, Number, Text


class OrderFeatures(Features):
    """What is known of an order: a field of every type, some of which may be missing."""

    amount: Number
    n_items: Annotated[int, Field(ge=1, le=100)]
    weight_kg: Annotated[float, Field(gt=0, le=50)] | None
    priority: Annotated[int, Choice((1, 2, 3))]
    channel: Literal["web", "shop", "phone"] | None
    city: Annotated[str, Text(40)]
    is_gift: bool
    is_member: bool | None
    birthday: Date | None
    ordered_at: DateTime


EXAMPLE = Example(
    "plain",
    "An order of a member",
    OrderFeatures(
        amount=-1.5e9,
        n_items=3,
        weight_kg=None,
        priority=2,
        channel="web",
        city="Zürich",
        is_gift=False,
        is_member=True,
        birthday=date(1990, 2, 28),
        ordered_at=datetime(2026, 11, 28, 18, 30),
    ),
)
CLASSES = ("late", "in time", "early")


def order_spec(**changes: Any) -> ModelSpec:
    """A model of orders; without `changes` it classifies them into three classes."""
    given: dict[str, Any] = {
        "name": "orders",
        "title": "Orders",
        "kind": "classifier",
        "target": "arrival",
        "features": OrderFeatures,
        "classes": CLASSES,
        "examples": (EXAMPLE,),
    }
    return ModelSpec(**(given | changes))


CLASSIFIER = order_spec()
YES_NO = order_spec(
    kind="binary_classifier", target="returned", classes=("yes", "no"), positive="yes"
)
OUTPUTS = order_spec(kind="regressor", target="", classes=(), outputs=("days", "cost_usd"))
QUANTILES = order_spec(
    kind="regressor", target="days", classes=(), outputs=("low", "middle", "high")
)
ANOMALY = order_spec(kind="regressor", target="", classes=())
VALUE = order_spec(kind="regressor", target="days", classes=())
KINDS = {
    "classes": CLASSIFIER,
    "labels": YES_NO,
    "outputs": OUTPUTS,
    "quantiles": QUANTILES,
    "anomaly score": ANOMALY,
    "value": VALUE,
}


def order_manifest(spec: ModelSpec, scores: list[Any], **changes: Any) -> Manifest:
    """A manifest of orders with these golden scores, and references of three fields."""
    row = EXAMPLE.row.model_dump(mode="json")
    day_us = 86_400_000_000.0
    references: Mapping[str, Reference] = {
        "city": Reference(share_missing=0, counts=[7, 9], values=["Zürich", "Bern"]),
        "amount": Reference(share_missing=0, counts=[1, 1], edges=[0.0]),
        "birthday": Reference(share_missing=0.1, counts=[1, 1, 1], edges=[0.0, 365 * day_us]),
    }
    given: dict[str, Any] = {
        "format": 2,
        "model": spec.name,
        "version": "1.0.0",
        "kind": spec.kind,
        "features": list(spec.contract),
        "classes": list(spec.classes),
        "positive": spec.positive,
        "outputs": list(spec.outputs),
        "references": dict(references),
        "parameters": {},
        "golden_rows": [GoldenRow(row=row, score=score) for score in scores],
    }
    return Manifest.model_construct(**(given | changes))
