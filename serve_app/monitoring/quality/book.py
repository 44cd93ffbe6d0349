"""All that is known of labels and scores of one model: pure, and as plain values for a file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from serve_app.monitoring.labels.carried import run_code
from serve_app.monitoring.labels.shapes import Label, Shape
from serve_app.monitoring.quality.seen_labels import SeenLabels
from serve_app.monitoring.quality.sums import (
    Sums,
    add_to,
    loss_of_label,
    require_sums,
    sums_of_label,
)
from serve_app.monitoring.quality.unjudged import S_PER_DAY, expected_of
from serve_app.statistics.early_labels import DayCount
from serve_app.statistics.loss_test import LossTest

FORMAT = 1
# By the day of the prediction. A label may come 90 days later, and its month is still whole.
KEPT_DAYS = 120
# Of all versions that ever answered, the newest ones.
MOST_VERSIONS = 50
MOST_RUNS = 4
# An absolute error beyond so many times stable's mean one counts as so many: otherwise a single
# broken label would decide, and no test could promise anything.
CUT_OF_MAE = 4.0


@dataclass
class LabelledRun:
    """A run of a rollout, and what labels say of its candidate.

    `classes` are those of stable's labels, and those that its scores expect (`expected_of`).
    """

    stable: str
    candidate: str
    test: LossTest
    classes: Sums = field(default_factory=dict)


@dataclass
class Book:
    """`days` has sums by version and day (of 1970), `metrics` those of each version's hold-out.

    `n_counted`, `n_duplicates` and `n_too_old` are labels since the book was begun.
    """

    shape: Shape
    outputs: tuple[str, ...] = ()
    days: dict[str, dict[int, Sums]] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    seen: SeenLabels = field(default_factory=SeenLabels)
    runs: dict[str, LabelledRun] = field(default_factory=dict)
    n_counted: int = 0
    n_duplicates: int = 0
    n_too_old: int = 0

    def add_labels(self, labels: Iterable[Label], now_s: float) -> None:
        """Count each label once, on the day of its prediction."""
        oldest = int(now_s // S_PER_DAY) - KEPT_DAYS
        for label in labels:
            day = label.at_s // S_PER_DAY
            if day < oldest:
                self.n_too_old += 1
            elif not self.seen.add(day, label.id):
                self.n_duplicates += 1
            else:
                self.n_counted += 1
                add_to(self._sums(label.version, day), sums_of_label(self.shape, label))
                self._judge(label)

    def add_scores(self, scores: Mapping[str, Sums], now_s: float) -> None:
        """Add what the scores of answers let expect, by version, today."""
        for version, sums in scores.items():
            add_to(self._sums(version, int(now_s // S_PER_DAY)), sums)

    def know(self, metrics: Mapping[str, Mapping[str, float]]) -> None:
        """Note what versions were on their hold-outs; those that were told last come last."""
        for version, found in metrics.items():
            self.metrics.pop(version, None)
            self.metrics[version] = dict(found)

    def forget(self, now_s: float) -> None:
        """Forget days that are too old, and what has none any more."""
        oldest = int(now_s // S_PER_DAY) - KEPT_DAYS
        self.seen.forget_before(oldest)
        for version, days in list(self.days.items()):
            for day in [each for each in days if each < oldest]:
                del days[day]
            if not days:
                del self.days[version]
        newest = sorted(self.days, key=lambda version: max(self.days[version]))
        for version in newest[:-MOST_VERSIONS]:
            del self.days[version]
        for version in list(self.metrics)[:-MOST_VERSIONS]:
            if version not in self.days:
                del self.metrics[version]

    def labels_by_day(self) -> dict[int, DayCount]:
        """How many rows were answered on each day, by whatever version, and have a label."""
        found: dict[int, DayCount] = {}
        for days in self.days.values():
            for day, sums in days.items():
                one = found.get(day, DayCount(0.0, 0.0))
                n_rows = one.n_rows + sums.get("answered", 0.0)
                found[day] = DayCount(n_rows, one.n_labels + sums.get("n", 0.0))
        return found

    def follow_run(self, run: str, stable: str, candidate: str, max_ratio: float) -> LabelledRun:
        """What labels say of the candidate of this run, which is counted from now on."""
        found = self.runs.get(run)
        if found is None:
            found = LabelledRun(stable, candidate, LossTest(max_ratio))
            self.know_runs({run: found})
        return found

    def know_runs(self, runs: Mapping[str, LabelledRun]) -> None:
        """Follow these runs too, where they are not known; of too many the first are left."""
        for run, found in runs.items():
            self.runs.setdefault(run, found)
        while len(self.runs) > MOST_RUNS:
            del self.runs[next(iter(self.runs))]

    def _sums(self, version: str, day: int) -> Sums:
        return self.days.setdefault(version, {}).setdefault(day, {})

    def _judge(self, label: Label) -> None:
        if not label.run:
            return
        for run, labelled in self.runs.items():
            if run_code(run) != label.run:
                continue
            if label.version not in (labelled.stable, labelled.candidate):
                continue
            loss = loss_of_label(self.shape, label, self._scales(labelled.stable))
            if loss is not None:
                arm = "stable" if label.version == labelled.stable else "candidate"
                labelled.test.add(label.phase, arm, label.key, loss)  # type: ignore[arg-type]
                if arm == "stable":
                    add_to(labelled.classes, expected_of(self.shape, label))

    def _scales(self, stable: str) -> list[float]:
        """Where absolute errors are cut, by stable's hold-out; 0 where that is not known."""
        metrics = self.metrics.get(stable, {})
        names = [f"mae_{name}" for name in self.outputs] or ["mae"]
        return [CUT_OF_MAE * metrics.get(name, 0.0) for name in names]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "format": FORMAT,
            "shape": int(self.shape),
            "days": {
                version: {str(day): sums for day, sums in days.items()}
                for version, days in self.days.items()
            },
            "metrics": self.metrics,
            "seen": self.seen.to_json(),
            "runs": {
                run: {
                    "stable": one.stable,
                    "candidate": one.candidate,
                    "test": one.test.to_json(),
                    "classes": one.classes,
                }
                for run, one in self.runs.items()
            },
            "n_counted": self.n_counted,
            "n_duplicates": self.n_duplicates,
            "n_too_old": self.n_too_old,
        }


def book_of(found: Any, shape: Shape, outputs: tuple[str, ...]) -> Book:
    """What `to_json` gave.

    Raises ValueError, TypeError, LookupError, AttributeError or ArithmeticError for anything else:
    a book of which nothing could be told would be kept for ever.
    """
    if found["format"] != FORMAT or found["shape"] != int(shape):
        raise ValueError(
            f"found format {found['format']} of shape {found['shape']}, expected {FORMAT} of "
            f"{int(shape)}"
        )
    days = {
        str(version): {
            int(day): {str(name): float(number) for name, number in sums.items()}
            for day, sums in by_day.items()
        }
        for version, by_day in found["days"].items()
    }
    for by_day in days.values():
        if not by_day:
            raise ValueError("found a version without days, expected one at least")
        for sums in by_day.values():
            require_sums(sums)
    runs = {
        str(run): LabelledRun(
            str(one["stable"]),
            str(one["candidate"]),
            LossTest.from_json(one["test"]),
            # Files of a release before have none.
            {str(name): float(number) for name, number in one.get("classes", {}).items()},
        )
        for run, one in found["runs"].items()
    }
    for run in runs.values():
        # Of what it is made of nothing could be told, if this could not.
        _ = run.test.evidence
    metrics = {
        str(version): {str(name): float(number) for name, number in one.items()}
        for version, one in found["metrics"].items()
    }
    return Book(
        shape,
        outputs,
        days,
        metrics,
        SeenLabels.from_json(found["seen"]),
        runs,
        int(found["n_counted"]),
        int(found["n_duplicates"]),
        int(found["n_too_old"]),
    )
