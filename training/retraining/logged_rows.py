"""Rows of the prediction log with what came true for them, as training reads them.

The join is by prediction id alone. Labels that a server counted are no help here: it keeps sums of
them, and no ids with values (docs/decisions/058-quality-is-sums.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from serve_app.contract import ModelSpec
from serve_app.contract.labels import name_of_label
from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.line import Line
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged, rows_of, time_of

# Parts begin when rows come, and whole days are deleted.
SLACK = timedelta(days=1)


@dataclass(frozen=True)
class LoggedRows:
    """`frame` has the contract's columns and the targets; `n_labels` are the labels of the files.

    `n_incomplete` labelled rows lack a field, and are not in the frame. `at_us` has when each row
    of it was answered, in microseconds since 1970. `late_begin` is when the log begins, where that
    is later than was asked for.
    """

    frame: pd.DataFrame
    n_labels: int
    n_incomplete: int
    at_us: Sequence[int] = ()
    late_begin: datetime | None = None

    @property
    def said(self) -> str:
        """How many of how many, and from when, in a sentence."""
        n_missing = self.n_labels - len(self.frame) - self.n_incomplete
        parts = [f"{len(self.frame):,} of {self.n_labels:,} labels have their row in the log"]
        if n_missing:
            parts.append(f"{n_missing:,} have none in this time")
        if self.n_incomplete:
            parts.append(f"rows of {self.n_incomplete:,} lack a field")
        if self.at_us:
            first = time_of(min(self.at_us))
            last = time_of(max(self.at_us))
            parts.append(f"they were answered from {first:%Y-%m-%d} to {last:%Y-%m-%d} UTC")
        if self.late_begin is not None:
            parts.append(
                f"the log begins on {self.late_begin:%Y-%m-%d}, later than --last asks for: labels "
                "that come later than `log.keep_days` find no row"
            )
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
    return replace(found, late_begin=_late_begin(place, spec.name, since))


def _late_begin(place: LogPlace, model: str, since: datetime | None) -> datetime | None:
    """When the log begins, where that is later than was asked for."""
    first = next(place.parts(model), None)
    if since is None or first is None or first.begin <= since + SLACK:
        return None
    return first.begin


def _join(lines: Iterable[Line], spec: ModelSpec, labels: Mapping[str, Any]) -> LoggedRows:
    wanted = {feature.name for feature in spec.contract}
    joined: dict[str, dict[str, Any]] = {}
    at_us: dict[str, int] = {}
    # As the contract spells them: pandas writes 1.0 for 1 as soon as a column has gaps.
    classes = {name_of_label(label): label for label in spec.classes}
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
            name = line.ids[i]
            joined[name] = {**rows[i], **_targets(spec, labels[name], classes)}
            at_us[name] = line.at_us[i]
    columns = [*(feature.name for feature in spec.contract), *spec.targets]
    # As they are: of an int with missing values pandas would make floats.
    frame = pd.DataFrame(list(joined.values()), columns=columns, dtype=object)
    n_incomplete = len(incomplete - set(joined))
    return LoggedRows(frame, len(labels), n_incomplete, tuple(at_us.values()))


def _targets(spec: ModelSpec, actual: Any, classes: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(actual, Mapping):
        return {name: actual[name] for name in spec.targets}
    if spec.is_classifier:
        return {spec.target: classes.get(name_of_label(actual), actual)}
    return {spec.target: actual}
