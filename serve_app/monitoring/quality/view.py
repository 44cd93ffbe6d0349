"""What `GET /v1/quality` tells: by version and window, realised and expected quality."""

from collections.abc import Mapping, Sequence
from math import isfinite

from pydantic import BaseModel, Field

from serve_app.monitoring.quality.book import KEPT_DAYS, Book
from serve_app.monitoring.quality.measures import LEAST, Measured, estimated, no_estimate, realised
from serve_app.monitoring.quality.sums import Sums, add_to
from serve_app.monitoring.quality.unjudged import S_PER_DAY, last_whole_day, of_window
from serve_app.statistics.early_labels import are_early

# Days of predictions, today among them.
WINDOWS_DAYS = (1, 7, 30, KEPT_DAYS)
# A day is too little to say something of a version: a Saturday is no Monday.
JUDGED_DAYS = WINDOWS_DAYS[1:]
RECALL = "recall_"
SELECTION = (
    "Realised numbers are of the predictions whose labels came, which may be no fair sample: "
    "docs/labels.md says what that means."
)


class MeasureView(BaseModel):
    """A number with its interval of 95 %, where there is one, and of how many rows it is."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int


class WindowView(BaseModel):
    """A version's predictions of some days, by the time of the prediction (UTC)."""

    days: int = Field(description="the last one and the days before")
    ends_days_ago: int = Field(default=0, description="when the last one is; 0: today")
    n_predictions: int = Field(description="rows that it answered")
    n_labels: int
    realised: dict[str, MeasureView] = Field(description=f"by labels; of {LEAST} or more")
    estimated: dict[str, MeasureView] = Field(description="by the scores alone")
    unjudged: str = Field(
        default="", description="of `judged`: why its labels judge nothing; empty: they do"
    )


class VersionQualityView(BaseModel):
    """A version that has answered, or of which labels came."""

    version: str
    baseline: dict[str, float] = Field(description="on the hold-out, as the bundle has it")
    no_estimate: str = Field(description="why there is no estimate; empty: there is one")
    windows: list[WindowView]
    judged: list[WindowView] = Field(
        default=[], description="those whose labels may ask for training; all labels have come"
    )


class QualityView(BaseModel):
    """How good the versions of a model are now."""

    model: str
    versions: list[VersionQualityView]
    n_labels: int = Field(description=f"counted, of predictions of the last {KEPT_DAYS} days")
    n_duplicates: int = Field(description="sent again, and not counted again")
    n_too_old: int = Field(description=f"of predictions of more than {KEPT_DAYS} days ago")
    trouble: str = Field(description="why labels are not kept; empty when they are")
    label_delay_days: float | None = Field(
        default=None, description="after so many days all labels have come; null: nobody said"
    )
    selection: str = SELECTION


def view_of(
    book: Book,
    model: str,
    classes: Sequence[str],
    now_s: float,
    *,
    trouble: str = "",
    label_delay_days: float | None = None,
) -> QualityView:
    """What a book says at this time."""
    by_day = book.labels_by_day()
    last = last_whole_day(now_s, label_delay_days)
    early = {days: are_early(by_day, last - days + 1, last) for days in JUDGED_DAYS}
    today = int(now_s // S_PER_DAY)
    versions = []
    for version in sorted(book.days, key=lambda name: -max(book.days[name])):
        whole = [_window(book, version, classes, last, days) for days in JUDGED_DAYS]
        versions.append(
            VersionQualityView(
                version=version,
                baseline=_finite(book.metrics.get(version, {})),
                no_estimate=no_estimate(book.shape, book.metrics.get(version, {})),
                windows=[_window(book, version, classes, today, days) for days in WINDOWS_DAYS],
                judged=[
                    _judged(one, today - last, label_delay_days, are_early=early[one.days])
                    for one in whole
                ],
            )
        )
    return QualityView(
        model=model,
        versions=versions,
        n_labels=book.n_counted,
        n_duplicates=book.n_duplicates,
        n_too_old=book.n_too_old,
        trouble=trouble,
        label_delay_days=label_delay_days,
    )


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if isfinite(value)}


def _window(book: Book, version: str, classes: Sequence[str], last: int, n_days: int) -> WindowView:
    sums: Sums = {}
    for day, of_day in book.days[version].items():
        if last - n_days < day <= last:
            add_to(sums, of_day)
    has_estimate = not no_estimate(book.shape, book.metrics.get(version, {}))
    expected = estimated(book.shape, sums) if has_estimate else {}
    return WindowView(
        days=n_days,
        n_predictions=int(sums.get("answered", 0)),
        n_labels=int(sums.get("n", 0)),
        realised=_shown(realised(book.shape, sums, classes, book.outputs)),
        estimated=_shown(expected),
    )


def _judged(
    window: WindowView, ends_days_ago: int, label_delay_days: float | None, *, are_early: bool
) -> WindowView:
    # Recall is told of each class that has labels; of values there is none.
    n_classes = sum(name.startswith(RECALL) for name in window.realised)
    unjudged = of_window(n_classes, label_delay_days, are_early=are_early)
    return window.model_copy(update={"ends_days_ago": ends_days_ago, "unjudged": unjudged})


def _shown(found: Mapping[str, Measured]) -> dict[str, MeasureView]:
    return {
        name: MeasureView(
            value=one.value,
            low=one.low if isfinite(one.low) else None,
            high=one.high if isfinite(one.high) else None,
            n=one.n,
        )
        for name, one in found.items()
        if isfinite(one.value)
    }
