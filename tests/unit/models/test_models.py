"""How a score becomes an answer that a person acts on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve_app.models import churn, delivery_time


@pytest.mark.parametrize(
    ("probability", "shown", "risk", "label"),
    [
        (0.0, 0.0, "Low", "Retained"),
        (0.29996, 0.3, "Low", "Retained"),
        (0.3, 0.3, "Medium", "Retained"),
        (0.30004, 0.3, "Medium", "Retained"),
        (0.49996, 0.5, "Medium", "Retained"),
        (0.5, 0.5, "Medium", "Churned"),
        (0.59996, 0.6, "Medium", "Churned"),
        (0.6, 0.6, "High", "Churned"),
        (1.0, 1.0, "High", "Churned"),
    ],
)
def test_churn_is_decided_before_rounding(
    probability: float, shown: float, risk: str, label: str
) -> None:
    """The band and the label belong to the real probability, though four digits are shown."""
    answer = churn.answer(probability, {})
    assert answer.churn_probability == shown
    assert answer.risk_level == risk
    assert answer.label == label
    assert answer.prediction == (1 if label == "Churned" else 0)


@pytest.mark.parametrize("score", [-0.0001, 1.0001, 1.7, float("nan"), float("inf")])
def test_a_score_that_is_no_probability_is_no_churn_answer(score: float) -> None:
    """Just outside of 0 to 1 is outside, however it would be rounded."""
    with pytest.raises((ValidationError, ValueError)):
        churn.answer(score, {})


@given(one=st.floats(0, 1), other=st.floats(0, 1))
def test_a_higher_probability_never_means_less_risk(one: float, other: float) -> None:
    """Bands and labels are in the order of the probability."""
    order = ["Low", "Medium", "High"]
    low, high = (churn.answer(value, {}) for value in sorted((one, other)))
    assert order.index(low.risk_level) <= order.index(high.risk_level)
    assert low.prediction <= high.prediction


@pytest.mark.parametrize(
    ("score", "minutes"),
    [
        (30.0, (30.0, 22.5, 37.5)),
        (5.0, (5.0, 0.0, 12.5)),
        (-2.0, (0.0, 0.0, 5.5)),
        (-20.0, (0.0, 0.0, 0.0)),
    ],
)
def test_a_delivery_has_an_interval_that_never_starts_before_the_order(
    score: float, minutes: tuple[float, float, float]
) -> None:
    """Expected, earliest and latest minutes: none is negative, the half-width is the bundle's."""
    answer = delivery_time.answer(score, {"half_width": 7.5, "coverage": 0.9})
    assert (answer.delivery_minutes, answer.low_minutes, answer.high_minutes) == minutes
    assert answer.coverage == 0.9


@given(score=st.floats(-1e6, 1e6), half_width=st.floats(0, 1e4))
def test_a_delivery_lies_within_its_interval(score: float, half_width: float) -> None:
    """0 <= low <= minutes <= high, also after rounding."""
    answer = delivery_time.answer(score, {"half_width": half_width, "coverage": 0.9})
    assert 0 <= answer.low_minutes <= answer.delivery_minutes <= answer.high_minutes
    assert answer.high_minutes - answer.low_minutes <= 2 * half_width + 0.02


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_delivery_time_that_is_no_number_is_no_answer(score: float) -> None:
    """A score that is no number makes no answer at all."""
    with pytest.raises((ValidationError, ValueError)):
        delivery_time.answer(score, {"half_width": 7.5, "coverage": 0.9})
