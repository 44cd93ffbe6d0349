"""A season of labels in a book: each "yes" comes at once, each "no" some days later."""

import numpy as np

from serve_app.bundle.manifest import Metric
from serve_app.monitoring.labels.shapes import Shape
from serve_app.monitoring.quality.book import Book
from serve_app.monitoring.quality.measures import realised
from serve_app.monitoring.quality.sums import EDGES, N_BINS, Sums
from serve_app.monitoring.quality.unjudged import S_PER_DAY
from serve_app.monitoring.quality.view import VersionQualityView, view_of

# Noon of some day.
TODAY = 20_786
NOW_S = (TODAY + 0.5) * S_PER_DAY
CLASSES = ("Retained", "Churned")


def sums_of(p: np.ndarray, truth: np.ndarray) -> Sums:
    """What labels add: probabilities (n,) and what came true (n,)."""
    squared = (p - truth) ** 2
    is_right = (p >= 0.5) == truth
    found: Sums = {
        "n": float(len(p)),
        "brier": float(squared.sum()),
        "brier2": float((squared**2).sum()),
        "right": float(is_right.sum()),
    }
    for value, name in enumerate(("neg", "pos")):
        of_class = truth == value
        if of_class.any():
            found[f"class.{value}"] = float(of_class.sum())
            found[f"hit.{value}"] = float((is_right & of_class).sum())
        places = np.searchsorted(EDGES, p[of_class], side="right")
        for place, n in enumerate(np.bincount(places, minlength=N_BINS)):
            if n:
                found[f"{name}.{place}"] = float(n)
    return found


def predictions(
    rng: np.random.Generator, n: int, noise: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and what came true, 20 % of it yes; with noise they are worse."""
    odds = rng.normal(-1.9, 1.5, n)
    truth = rng.random(n) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-(odds + rng.normal(0, 1, n) * noise))), truth


def holdout(rng: np.random.Generator, n: int = 4_000) -> dict[str, Metric]:
    """What a bundle says of its version."""
    found = realised(Shape.BINARY, sums_of(*predictions(rng, n)), CLASSES, ())
    return {
        name: Metric(value=one.value, low=one.low, high=one.high)
        for name, one in found.items()
        if not name.startswith("recall")
    }


def season(
    rng: np.random.Generator,
    no_after_days: float,
    a_day: int,
    *,
    n_days: int = 120,
    noise: float = 0.0,
) -> Book:
    """The book of today, of a version that has answered so many rows on each of the last days."""
    book = Book(Shape.BINARY)
    for days_ago in range(n_days):
        p, truth = predictions(rng, rng.poisson(a_day), noise)
        has_come = truth | (days_ago + 0.5 - rng.random(len(p)) + 0.5 >= no_after_days)
        found = sums_of(p[has_come], truth[has_come])
        book.days.setdefault("1.0.0", {})[TODAY - days_ago] = found | {"answered": float(len(p))}
    return book


def seen_of(book: Book, label_delay_days: float | None) -> VersionQualityView:
    """What the coordinator tells of the version."""
    [found] = view_of(book, "churn", CLASSES, NOW_S, label_delay_days=label_delay_days).versions
    return found
