"""Rows of the prediction log with what came true for them, as training reads them.

The join is by prediction id alone. Labels that a server counted are no help here: it keeps sums of
them, and no ids with values (docs/decisions/058-quality-is-sums.md).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from serve_app.contract import ModelSpec
from serve_app.contract.labels import name_of_label
from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.line import Line
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged, rows_of, time_of
from serve_app.monitoring.quality.unjudged import SAY_WHEN, SETTING
from serve_app.statistics.early_labels import DayCount, are_early
from training.errors import InvalidData

# Parts begin when rows come, and whole days are deleted.
SLACK = timedelta(days=1)
US_PER_DAY = 86_400_000_000
YOUNG = f"younger than `{SETTING}` says that all labels have come"


@dataclass(frozen=True)
class LoggedRows:
    """`frame` has the contract's columns and the targets; `n_labels` are the labels of the files.

    `n_incomplete` labelled rows lack a field, and are not in the frame. `at_us` has when each row
    of it was answered, in microseconds since 1970. `n_young` rows have labels and are left out,
    since not all labels of their time have come. `by_day` are rows of the log, with and without a
    label. `late_begin` is when the log begins, where that is later than was asked for.
    """

    frame: pd.DataFrame
    n_labels: int
    n_incomplete: int
    at_us: Sequence[int] = ()
    n_young: int = 0
    by_day: Mapping[int, DayCount] = field(default_factory=dict)
    late_begin: datetime | None = None

    @property
    def said(self) -> str:
        """How many of how many, and from when, in a sentence."""
        n_missing = self.n_labels - len(self.frame) - self.n_incomplete - self.n_young
        parts = [f"{len(self.frame):,} of {self.n_labels:,} labels have their row in the log"]
        if n_missing:
            parts.append(f"{n_missing:,} have none in this time")
        if self.n_incomplete:
            parts.append(f"rows of {self.n_incomplete:,} lack a field")
        if self.n_young:
            parts.append(f"{self.n_young:,} are left out, {YOUNG}")
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
    place: LogPlace,
    spec: ModelSpec,
    labels: Mapping[str, Any],
    since: datetime | None = None,
    label_delay_days: float | None = None,
) -> LoggedRows:
    """Join the log with labels; a row whose id comes twice counts once.

    Only what has a label is held. Rows that are younger than `label_delay_days` are left out; where
    nobody said when all labels have come, those that look as early ones are refused. Raises
    PredictionLogError where nothing can be joined, and InvalidData.
    """
    until = datetime.now(UTC) - timedelta(days=label_delay_days or 0.0)
    found = _join(logged(place, spec.name, since), spec, labels, until)
    if found.frame.empty and not found.n_young:
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
    if label_delay_days is None:
        _require_all(found, place)
    return replace(found, late_begin=_late_begin(place, spec.name, since))


def _require_all(found: LoggedRows, place: LogPlace) -> None:
    """Refuse rows of which only early labels have come. Raises InvalidData."""
    if found.by_day and are_early(found.by_day, min(found.by_day), max(found.by_day)):
        raise InvalidData(
            f"{place.uri}: found a smaller share of rows with a label on the newest days than "
            "before, as where only those labels are there that come early; a version that learned "
            f"these would expect too many of them. {SAY_WHEN}: younger rows are left out then (0: "
            "labels are as they should be)"
        )


def _late_begin(place: LogPlace, model: str, since: datetime | None) -> datetime | None:
    """When the log begins, where that is later than was asked for."""
    first = next(place.parts(model), None)
    if since is None or first is None or first.begin <= since + SLACK:
        return None
    return first.begin


def _join(
    lines: Iterable[Line], spec: ModelSpec, labels: Mapping[str, Any], until: datetime
) -> LoggedRows:
    until_us = until.timestamp() * 1e6
    wanted = {feature.name for feature in spec.contract}
    joined: dict[str, dict[str, Any]] = {}
    at_us: dict[str, int] = {}
    # As the contract spells them: pandas writes 1.0 for 1 as soon as a column has gaps.
    classes = {name_of_label(label): label for label in spec.classes}
    incomplete: set[str] = set()
    young: set[str] = set()
    n_rows: Counter[int] = Counter()
    n_labelled: Counter[int] = Counter()
    for line in lines:
        n_rows.update(at_us // US_PER_DAY for at_us in line.at_us)
        labelled = [i for i, name in enumerate(line.ids) if name in labels]
        n_labelled.update(line.at_us[i] // US_PER_DAY for i in labelled)
        places = [i for i in labelled if line.at_us[i] <= until_us]
        young.update(line.ids[i] for i in labelled if line.at_us[i] > until_us)
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
    by_day = {day: DayCount(n, n_labelled[day]) for day, n in n_rows.items()}
    return LoggedRows(
        frame,
        len(labels),
        n_incomplete,
        tuple(at_us.values()),
        len(young - set(joined)),
        by_day,
    )


def _targets(spec: ModelSpec, actual: Any, classes: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(actual, Mapping):
        return {name: actual[name] for name in spec.targets}
    if spec.is_classifier:
        return {spec.target: classes.get(name_of_label(actual), actual)}
    return {spec.target: actual}
