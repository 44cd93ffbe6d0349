"""How often drift is raised for nothing, and how often a shift is found: simulated windows.

Reference bins are frozen from training rows as `training.references` does it. Live windows are
drawn from the same distribution, or from a shifted one, and judged as `GET /v1/drift` judges them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Reference
from serve_app.contract import Feature
from serve_app.monitoring.drift_bins import range_edges, text_places
from serve_app.monitoring.drift_histograms import FieldCounts, number_counts, text_counts
from serve_app.monitoring.drift_view import field_drift
from training.references import of_numbers, of_texts

N_LIVE = (50, 100, 200, 500, 1_000, 10_000, 100_000)
N_TRAINING = (200, 2_000, 20_000)
N_LIVE_OF_SHIFT = 500
SHIFT_SD = 0.5
NUMBER = Feature(name="x", dtype="float")
TEXT = Feature(name="x", dtype="text", max_length=40)
# In 100 windows; as many as the issue of false alarms allows for a window and a feature.
MOST_FALSE_PERCENT = 0.5

Rng = np.random.Generator
Judge = Callable[[NDArray[np.int64]], FieldCounts]


@dataclass(frozen=True)
class Numbers:
    """A distribution of numbers: how rows are drawn, its cumulative function, its deviation."""

    draw: Callable[[Rng, int], NDArray[np.float64]]
    below: Callable[[float], float]
    sd: float

    def frozen(self, rng: Rng, n_rows: int, shift_sd: float) -> tuple[NDArray[np.float64], Judge]:
        """The probability of each bin of live rows, and what is made of their counts."""
        reference = of_numbers(self.draw(rng, n_rows))
        edges = range_edges(reference)
        inside = [self.below(edge - shift_sd * self.sd) for edge in edges]
        shares = np.diff([0.0, *inside, 1.0])
        # The last place is for missing rows, of which there are none.
        probabilities = np.append(shares, 0.0)
        return probabilities, lambda live: number_counts(reference, NUMBER, live)


@dataclass(frozen=True)
class Texts:
    """A distribution of texts: the weight of each."""

    weights: tuple[float, ...]

    def frozen(self, rng: Rng, n_rows: int, shift_sd: float) -> tuple[NDArray[np.float64], Judge]:
        """As for numbers; there is no shift of texts."""
        shares = np.array(self.weights) / sum(self.weights)
        counts = rng.multinomial(n_rows, shares)
        names = np.array([f"text {i}" for i in range(len(shares))], dtype=object)
        reference: Reference = of_texts(np.repeat(names, counts), TEXT)
        places, other, size = text_places(reference)
        of_each = [places.get(name, other) for name in names]
        sums = np.bincount(of_each, weights=shares, minlength=size)
        probabilities = np.asarray(sums, dtype=np.float64)
        return probabilities, lambda live: text_counts(reference, live)


def _normal() -> Numbers:
    return Numbers(lambda rng, n: rng.normal(size=n), NormalDist().cdf, 1.0)


def _exponential(share: float = 1.0) -> Numbers:
    """Exponential values for a share of the rows, zero for all others."""
    sd = math.sqrt(2 * share - share * share)

    def draw(rng: Rng, n: int) -> NDArray[np.float64]:
        return np.where(rng.random(n) < share, rng.exponential(size=n), 0.0)

    def below(x: float) -> float:
        return 0.0 if x <= 0 else 1 - share * math.exp(-x)

    return Numbers(draw, below, sd)


def _lognormal(sigma: float) -> Numbers:
    variance = (math.exp(sigma**2) - 1) * math.exp(sigma**2)

    def below(x: float) -> float:
        return NormalDist(0, sigma).cdf(math.log(x)) if x > 0 else 0.0

    return Numbers(lambda rng, n: rng.lognormal(sigma=sigma, size=n), below, math.sqrt(variance))


def _uniform() -> Numbers:
    return Numbers(lambda rng, n: rng.random(n), lambda x: min(max(x, 0.0), 1.0), 1 / math.sqrt(12))


DISTRIBUTIONS: Mapping[str, Numbers | Texts] = {
    "normal": _normal(),
    "uniform": _uniform(),
    "exponential": _exponential(),
    "lognormal, sigma 1.5": _lognormal(1.5),
    "95 % zeros": _exponential(0.05),
    "true in 3 %": Texts((0.97, 0.03)),
    "5 texts, 50 % to 1 %": Texts((0.5, 0.3, 0.15, 0.04, 0.01)),
    "40 texts, each 0.8 of the one before": Texts(tuple(0.8**i for i in range(40))),
    "600 texts, as 1/rank": Texts(tuple(1 / (i + 1) for i in range(600))),
    "600 equal texts": Texts((1.0,) * 600),
}


def raised_percent(
    name: str,
    n_training: int,
    n_live: int,
    *,
    shift_sd: float = 0.0,
    n_compared: int = 1,
    n_trainings: int = 10,
    n_windows: int = 100,
    seed: int = 7,
) -> float:
    """In how many of 100 windows drift is raised.

    Each of `n_trainings` freezes bins of its own, and judges `n_windows`. `n_compared`
    distributions are watched together, of which this is one.
    """
    rng = np.random.default_rng([seed, n_training, n_live, *name.encode()])
    n_raised = 0
    for _ in range(n_trainings):
        probabilities, judge = DISTRIBUTIONS[name].frozen(rng, n_training, shift_sd)
        windows = rng.multinomial(n_live, probabilities / probabilities.sum(), size=n_windows)
        n_raised += sum(field_drift(judge(live), n_compared).is_drifting for live in windows)
    return 100 * n_raised / (n_trainings * n_windows)


def lines(n_windows: int, seed: int) -> Iterator[str]:
    """Two tables in Markdown, a line at a time, as docs/monitoring.md has them."""
    heads = " | ".join(f"{n:,}" for n in N_LIVE)
    yield f"| rows are | training rows | {heads} |"
    yield "|---" * (len(N_LIVE) + 2) + "|"
    for name in DISTRIBUTIONS:
        for n_training in N_TRAINING:
            found = (
                raised_percent(name, n_training, n, n_windows=n_windows, seed=seed) for n in N_LIVE
            )
            cells = " | ".join(f"{percent:.2f}" for percent in found)
            yield f"| {name} | {n_training:,} | {cells} |"
    yield ""
    yield "| rows are | training rows | 1 watched | 20 watched |"
    yield "|---|---|---|---|"
    for name, distribution in DISTRIBUTIONS.items():
        if isinstance(distribution, Texts):
            continue
        for n_training in N_TRAINING:
            found = (
                raised_percent(
                    name,
                    n_training,
                    N_LIVE_OF_SHIFT,
                    shift_sd=SHIFT_SD,
                    n_compared=n_compared,
                    n_windows=n_windows,
                    seed=seed,
                )
                for n_compared in (1, 20)
            )
            cells = " | ".join(f"{percent:.1f}" for percent in found)
            yield f"| {name} | {n_training:,} | {cells} |"
