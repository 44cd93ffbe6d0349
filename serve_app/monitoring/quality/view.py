"""What `GET /v1/quality` tells: by version and window, realised and expected quality."""

from collections.abc import Mapping, Sequence
from math import isfinite

from pydantic import BaseModel, Field

from serve_app.monitoring.quality.book import KEPT_DAYS, S_PER_DAY, Book
from serve_app.monitoring.quality.measures import LEAST, Measured, estimated, no_estimate, realised
from serve_app.monitoring.quality.sums import Sums, add_to

# Days of predictions, today among them.
WINDOWS_DAYS = (1, 7, 30, KEPT_DAYS)
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

    days: int = Field(description="today and the days before")
    n_predictions: int = Field(description="rows that it answered")
    n_labels: int
    realised: dict[str, MeasureView] = Field(description=f"by labels; of {LEAST} or more")
    estimated: dict[str, MeasureView] = Field(description="by the scores alone")


class VersionQualityView(BaseModel):
    """A version that has answered, or of which labels came."""

    version: str
    baseline: dict[str, float] = Field(description="on the hold-out, as the bundle has it")
    no_estimate: str = Field(description="why there is no estimate; empty: there is one")
    windows: list[WindowView]


class QualityView(BaseModel):
    """How good the versions of a model are now."""

    model: str
    versions: list[VersionQualityView]
    n_labels: int = Field(description=f"counted, of predictions of the last {KEPT_DAYS} days")
    n_duplicates: int = Field(description="sent again, and not counted again")
    n_too_old: int = Field(description=f"of predictions of more than {KEPT_DAYS} days ago")
    trouble: str = Field(description="why labels are not kept; empty when they are")
    selection: str = SELECTION


def view_of(
    book: Book, model: str, classes: Sequence[str], now_s: float, *, trouble: str = ""
) -> QualityView:
    """What a book says at this time."""
    today = int(now_s // S_PER_DAY)
    return QualityView(
        model=model,
        versions=[
            _version(book, version, classes, today)
            for version in sorted(book.days, key=lambda name: -max(book.days[name]))
        ],
        n_labels=book.n_counted,
        n_duplicates=book.n_duplicates,
        n_too_old=book.n_too_old,
        trouble=trouble,
    )


def _version(book: Book, version: str, classes: Sequence[str], today: int) -> VersionQualityView:
    metrics = book.metrics.get(version, {})
    why_not = no_estimate(book.shape, metrics)
    return VersionQualityView(
        version=version,
        baseline={name: value for name, value in metrics.items() if isfinite(value)},
        no_estimate=why_not,
        windows=[
            _window(book, version, classes, today, n_days, has_estimate=not why_not)
            for n_days in WINDOWS_DAYS
        ],
    )


def _window(
    book: Book,
    version: str,
    classes: Sequence[str],
    today: int,
    n_days: int,
    *,
    has_estimate: bool,
) -> WindowView:
    sums: Sums = {}
    for day, of_day in book.days[version].items():
        if today - n_days < day <= today:
            add_to(sums, of_day)
    expected = estimated(book.shape, sums) if has_estimate else {}
    return WindowView(
        days=n_days,
        n_predictions=int(sums.get("answered", 0)),
        n_labels=int(sums.get("n", 0)),
        realised=_shown(realised(book.shape, sums, classes, book.outputs)),
        estimated=_shown(expected),
    )


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
