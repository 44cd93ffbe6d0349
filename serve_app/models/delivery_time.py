"""Food delivery: minutes from order to door, with an interval of known coverage."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from serve_app.contract import Example, Features, ModelSpec, Prediction

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


class DeliveryFeatures(Features):
    """What is known of an order when it is placed."""

    order_hour: Annotated[
        float,
        Field(
            ge=0, le=24, description="Time of day, fractional", json_schema_extra={"unit": "hours"}
        ),
    ]
    order_day: Annotated[Day, Field(description="Day of the week")]
    distance_km: Annotated[
        float,
        Field(ge=0, le=100, description="Restaurant to door", json_schema_extra={"unit": "km"}),
    ]
    n_items: Annotated[
        int, Field(ge=1, le=500, description="Items ordered", json_schema_extra={"unit": "items"})
    ]
    n_distinct_items: Annotated[
        int,
        Field(
            ge=1, le=100, description="Different items ordered", json_schema_extra={"unit": "items"}
        ),
    ]


Minutes = Annotated[float, Field(ge=0, json_schema_extra={"unit": "minutes"})]


class DeliveryPrediction(Prediction):
    """Expected minutes, and the interval that holds the truth for a share `coverage` of orders."""

    delivery_minutes: Minutes
    low_minutes: Minutes
    high_minutes: Minutes
    coverage: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Share of all orders within low to high, as aimed at in training",
        ),
    ]


def answer(score: float, parameters: Mapping[str, float]) -> DeliveryPrediction:
    """The answer for predicted minutes, whose interval comes from split conformal prediction."""
    half_width = parameters["half_width"]
    return DeliveryPrediction(
        delivery_minutes=round(max(score, 0.0), 2),
        low_minutes=round(max(score - half_width, 0.0), 2),
        high_minutes=round(max(score + half_width, 0.0), 2),
        coverage=parameters["coverage"],
    )


SPEC = ModelSpec(
    name="delivery_time",
    title="Food-delivery time",
    kind="regressor",
    target="delivery_minutes",
    features=DeliveryFeatures,
    prediction=DeliveryPrediction,
    answer=answer,
    examples=(
        Example(
            "dinner",
            "A small order close by on a Friday evening",
            DeliveryFeatures(
                order_hour=18.5, order_day="Fri", distance_km=3.2, n_items=3, n_distinct_items=2
            ),
        ),
        Example(
            "far_lunch",
            "A large order far away at Monday noon",
            DeliveryFeatures(
                order_hour=12.0, order_day="Mon", distance_km=12.0, n_items=9, n_distinct_items=6
            ),
        ),
    ),
)
