"""Numbers of a block as people read them in the name of a bin or of a slice."""

from datetime import timedelta

from serve_app.contract import Feature
from serve_app.contract.block import EPOCH
from serve_app.contract.feature import MOST_INT

MISSING = "missing"
OTHER = "any other"


def shown(number: float, feature: Feature, digits: int = 4) -> str:
    """A number with so many digits, a truth value as true or false, a date as ISO 8601.

    Dates come as microseconds since 1970; their fractions of a second are left out.
    """
    if feature.dtype == "bool":
        return "true" if number else "false"
    if feature.dtype in ("date", "datetime"):
        time = EPOCH + timedelta(seconds=number // 1_000_000)
        return time.date().isoformat() if feature.dtype == "date" else time.isoformat()
    # Codes and years keep all their digits.
    is_whole = number == number // 1 and abs(number) < MOST_INT
    return f"{number:.0f}" if is_whole else f"{number:.{digits}g}"
