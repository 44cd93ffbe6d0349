"""Rows of the prediction log with what came true for them, as training reads them.

The join is by prediction id alone. Labels that a server counted are no help here: it keeps sums of
them, and no ids with values (docs/decisions/058-quality-is-sums.md).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from serve_app.contract import ModelSpec
from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.line import Line
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged, rows_of


@dataclass(frozen=True)
class LoggedRows:
    """`frame` has the contract's columns and the targets; `n_labels` are the labels of the files.

    `n_incomplete` labelled rows lack a field, and are not in the frame.
    """

    frame: pd.DataFrame
    n_labels: int
    n_incomplete: int

    @property
    def said(self) -> str:
        """How many of how many, in a sentence."""
        n_missing = self.n_labels - len(self.frame) - self.n_incomplete
        parts = [f"{len(self.frame):,} of {self.n_labels:,} labels have their row in the log"]
        if n_missing:
            parts.append(f"{n_missing:,} have none in this time")
        if self.n_incomplete:
            parts.append(f"rows of {self.n_incomplete:,} lack a field")
        return "; ".join(parts)


def labelled_rows(
    place: LogPlace, spec: ModelSpec, labels: Mapping[str, Any], since: datetime | None = None
) -> LoggedRows:
    """Join the log with labels; a row whose id comes twice counts once.

    Only what has a label is held. Raises PredictionLogError where nothing can be joined.
    """
    found = _join(logged(place, spec.name, since), spec, labels)
    if found.frame.empty:
        lacking = ""
        if found.n_incomplete:
            lacking = (
                f", and {found.n_incomplete:,} without all fields: `log.leave_out` or "
                "`log.hashed` keeps some out"
            )
        raise PredictionLogError(
            f"{place.uri}: found none of {found.n_labels:,} labelled predictions of {spec.name}"
            f"{lacking}; expected rows of the ids in --labels, which a server logs when its args "
            "have `log`"
        )
    return found


def _join(lines: Iterable[Line], spec: ModelSpec, labels: Mapping[str, Any]) -> LoggedRows:
    wanted = {feature.name for feature in spec.contract}
    joined: dict[str, dict[str, Any]] = {}
    incomplete: set[str] = set()
    for line in lines:
        places = [i for i, name in enumerate(line.ids) if name in labels]
        if not places:
            continue
        if not wanted <= set(line.features) - set(line.hashed):
            incomplete.update(line.ids[i] for i in places)
            continue
        rows = rows_of(line, spec.contract)
        for i in places:
            joined[line.ids[i]] = {**rows[i], **_targets(spec, labels[line.ids[i]])}
    columns = [*(feature.name for feature in spec.contract), *spec.targets]
    # As they are: of an int with missing values pandas would make floats.
    frame = pd.DataFrame(list(joined.values()), columns=columns, dtype=object)
    return LoggedRows(frame, len(labels), len(incomplete - set(joined)))


def _targets(spec: ModelSpec, actual: Any) -> dict[str, Any]:
    if isinstance(actual, Mapping):
        return {name: actual[name] for name in spec.targets}
    return {spec.target: actual}
