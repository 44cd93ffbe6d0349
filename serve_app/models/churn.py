"""Customer churn: will this customer leave within 30 days?

The ten features of the ClearPath tutorial.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from serve_app.contract import Choice, Example, Features, ModelSpec, Prediction
from serve_app.contract.answers import threshold_of

CHURN_THRESHOLD = 0.5
MEDIUM_RISK_FROM = 0.3
HIGH_RISK_FROM = 0.6


def _field(description: str, unit: str, minimum: int, maximum: int) -> object:
    """An integer's bounds, unit and meaning."""
    return Field(ge=minimum, le=maximum, description=description, json_schema_extra={"unit": unit})


class ChurnFeatures(Features):
    """What is known of one customer today."""

    monthly_active_days: Annotated[
        int, _field("Days with a login in the last 30 days", "days", 0, 31)
    ]
    num_features_used: Annotated[int, _field("Distinct product features used", "features", 0, 100)]
    support_tickets_opened: Annotated[
        int, _field("Tickets in the last 90 days", "tickets", 0, 1_000)
    ]
    days_since_last_login: Annotated[int, _field("Days since the last login", "days", 0, 3_650)]
    contract_length_months: Annotated[
        int,
        Choice((1, 6, 12, 24)),
        Field(description="Length of the contract", json_schema_extra={"unit": "months"}),
    ]
    monthly_spend_usd: Annotated[
        float,
        Field(gt=0, le=1_000_000, description="Monthly spend", json_schema_extra={"unit": "USD"}),
    ]
    num_team_members: Annotated[int, _field("Seats in the customer's team", "people", 1, 100_000)]
    billing_failures: Annotated[
        int, _field("Failed payments in the last 6 months", "failures", 0, 100)
    ]
    onboarding_completed: Annotated[
        int, _field("1 when onboarding was completed, else 0", "flag", 0, 1)
    ]
    nps_score: Annotated[int, _field("Answer to 'would you recommend us?'", "points", 0, 10)]


class ChurnPrediction(Prediction):
    """Whether the customer is expected to leave, and how sure that is."""

    prediction: Annotated[int, Field(ge=0, le=1, description="1: leaves within 30 days, 0: stays")]
    label: Literal["Churned", "Retained"]
    churn_probability: Annotated[
        float, Field(ge=0, le=1, description="Calibrated, rounded to 4 digits")
    ]
    risk_level: Annotated[
        Literal["Low", "Medium", "High"],
        Field(description="Low < 0.3 <= Medium < 0.6 <= High, decided before rounding"),
    ]


def risk_level(probability: float) -> Literal["Low", "Medium", "High"]:
    """The risk band of an unrounded probability."""
    if probability >= HIGH_RISK_FROM:
        return "High"
    return "Medium" if probability >= MEDIUM_RISK_FROM else "Low"


def answer(score: float, parameters: Mapping[str, float]) -> ChurnPrediction:
    """The answer for a probability."""
    churned = score >= threshold_of(parameters, CHURN_THRESHOLD)
    return ChurnPrediction(
        prediction=int(churned),
        label="Churned" if churned else "Retained",
        churn_probability=round(score, 4),
        risk_level=risk_level(score),
    )


SPEC = ModelSpec(
    name="churn",
    title="Customer churn",
    kind="binary_classifier",
    target="churned",
    features=ChurnFeatures,
    prediction=ChurnPrediction,
    answer=answer,
    threshold=CHURN_THRESHOLD,
    examples=(
        Example(
            "leaving",
            "3 active days, 6 tickets, monthly contract: expected to churn",
            ChurnFeatures(
                monthly_active_days=3,
                num_features_used=2,
                support_tickets_opened=6,
                days_since_last_login=30,
                contract_length_months=1,
                monthly_spend_usd=49.0,
                num_team_members=2,
                billing_failures=3,
                onboarding_completed=0,
                nps_score=1,
            ),
        ),
        Example(
            "staying",
            "28 active days, no tickets, two-year contract: expected to stay",
            ChurnFeatures(
                monthly_active_days=28,
                num_features_used=18,
                support_tickets_opened=0,
                days_since_last_login=1,
                contract_length_months=24,
                monthly_spend_usd=499.0,
                num_team_members=25,
                billing_failures=0,
                onboarding_completed=1,
                nps_score=10,
            ),
        ),
    ),
)
