"""A row made from a contract alone, for what needs some row: a curl, a measurement."""

from collections.abc import Iterable

from serve_app.contract.feature import Feature, Value

DATE = "2026-01-31"
DATETIME = "2026-01-31T12:00:00"
TEXT = "text"


def sample_row(contract: Iterable[Feature]) -> dict[str, Value]:
    """A value that each field allows, as in JSON."""
    return {feature.name: _value(feature) for feature in contract}


def _value(feature: Feature) -> Value:
    if feature.choices is not None:
        return feature.choices[0]
    match feature.dtype:
        case "bool":
            return False
        case "date":
            return DATE
        case "datetime":
            return DATETIME
        case "text":
            return TEXT[: feature.max_length]
    return _number(feature)


def _number(feature: Feature) -> Value:
    """One, or the allowed number next to it."""
    high = feature.maximum
    number = 1.0 if high is None else min(1.0, high)
    low = feature.minimum
    if low is not None:
        number = max(number, low)
    above = feature.exclusive_minimum
    if above is not None and number <= above:
        # An int has its own next number.
        step = 1.0 if feature.dtype == "int" or high is None else min(1.0, (high - above) / 2)
        number = above + step
    return int(number) if feature.dtype == "int" else number
