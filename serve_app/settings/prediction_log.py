"""`log` of a table: which answers the prediction log keeps, what of them, and for how long."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from serve_app.contract import Feature
from serve_app.settings.setting import Setting

# A part is written for so long at most: who looks for rows of a time looks so much further back.
MOST_PART_S = 3_600

FieldNames = Annotated[tuple[str, ...], Field(strict=False, max_length=1_000)]


class LogOptions(Setting):
    """What is kept where `args.log` names a place."""

    sample_percent: Annotated[
        float,
        Field(ge=0, le=100, description="share of the routing keys whose answers are kept"),
    ] = 100.0
    leave_out: Annotated[FieldNames, Field(description="fields that are not written")] = ()
    hashed: Annotated[
        FieldNames, Field(description="fields of text of which only a hash is written")
    ] = ()
    keep_days: Annotated[
        int, Field(ge=1, le=3_650, description="older days are deleted, by UTC")
    ] = 30
    part_s: Annotated[
        int,
        Field(ge=10, le=MOST_PART_S, description="how long a part is written before the next one"),
    ] = 300

    @model_validator(mode="after")
    def _check_fields(self) -> "LogOptions":
        twice = [name for name in self.hashed if name in self.leave_out]
        if twice:
            raise ValueError(f"hashed: {', '.join(twice)} is left out too; keep one of the two")
        return self


def log_fault(options: LogOptions, contract: Iterable[Feature]) -> str:
    """Say which fields of a log's options the contract does not have, or cannot hash; else empty.

    Only texts are hashed: who wants to know the number behind a hash tries all numbers.
    """
    features = {feature.name: feature for feature in contract}
    for key, names in (("leave_out", options.leave_out), ("hashed", options.hashed)):
        unknown = [name for name in names if name not in features]
        if unknown:
            return (
                f"{key}: found {', '.join(unknown)}, expected fields of the contract: "
                f"{', '.join(features)}"
            )
    numbers = [name for name in options.hashed if not features[name].is_text]
    if numbers:
        texts = [name for name, feature in features.items() if feature.is_text]
        return (
            f"hashed: found {', '.join(numbers)}, expected fields of text: "
            f"{', '.join(texts) or 'this contract has none'}; leave others out"
        )
    return ""
