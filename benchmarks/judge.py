"""`python -m benchmarks.judge`: the tables of docs/rollouts.md.

They say what the judge finds and how often it is wrong. Rollouts are simulated, and the judge looks
every second. Two minutes on one core.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import typer

from benchmarks.looks import N_STEPS, abort
from benchmarks.rollouts import MIN_SECONDS, RATE_PER_S, STEPS, Share, Step, even_keys, zipf_keys

Draw = Callable[[np.random.Generator], list[Step]]
# Rollouts at a time.
N = 1_000
SHARES: tuple[Share, ...] = ("assigned", "of keys", "of requests")
WEIGHTS = (1.0, 5.0, 10.0, 25.0, 50.0)
WORSE = (
    (0.001, 3),
    (0.001, 5),
    (0.001, 10),
    (0.001, 50),
    (0.01, 2),
    (0.01, 3),
    (0.01, 5),
    (0.01, 20),
    (0.05, 1.75),
    (0.05, 2),
    (0.05, 3),
    (0.05, 10),
)


def main() -> None:
    """Print the tables."""
    rng = np.random.default_rng(2022)
    for table in (_detection, _passing, _false_aborts):
        for line in table(rng):
            typer.echo(line)
        typer.echo()


def median_requests(
    rng: np.random.Generator, error: float, ratio: float, weight: float, n: int = N
) -> float:
    """Count canary requests until a candidate is found at one weight: the median of `n` rollouts.

    Nothing is known before.
    """
    per_s = RATE_PER_S * weight / 100
    length_s = 8 / (error * (ratio - 1) * per_s)
    while True:
        found = abort(even_keys(rng, n, error, ratio, (weight,), length_s), n_steps=N_STEPS + 1)
        if found.share > 0.5:
            return float(np.median(found.at_s)) * per_s
        length_s *= 2


def _detection(rng: np.random.Generator) -> Iterator[str]:
    yield _row("bad, stable → candidate", *(f"{weight:g} %" for weight in WEIGHTS))
    yield _row(*["---"] * (1 + len(WEIGHTS)))
    for error, ratio in WORSE:
        found = (median_requests(rng, error, ratio, weight) for weight in WEIGHTS)
        yield _row(_named(error, ratio), *(f"{requests:,.0f}" for requests in found))


def _passing(rng: np.random.Generator) -> Iterator[str]:
    yield _row("bad, stable → candidate", "own keys: passes", "canary requests", "500 keys: passes")
    yield _row(*["---"] * 4)
    for error, ratio in WORSE:
        found = abort(even_keys(rng, N, error, ratio))
        zipf = abort(zipf_keys(rng, N, error, ratio))
        # The last one is for those that pass: their step is -1.
        per_s = np.array([*STEPS, 0]) / 100 * RATE_PER_S
        before = MIN_SECONDS * np.cumsum([0, *per_s[:-1]])
        requests = before[found.step] + np.where(found.step < 0, 0, found.at_s) * per_s[found.step]
        passing = [f"{100 * (1 - aborted.share):.1f} %" for aborted in (found, zipf)]
        yield _row(_named(error, ratio), passing[0], f"{np.median(requests):,.0f}", passing[1])


def _false_aborts(rng: np.random.Generator, batches: int = 5) -> Iterator[str]:
    yield _row("counted", "the share it is told", "traffic", "max_ratio 1.5", "max_ratio 1")
    yield _row(*["---"] * 5)
    kinds: list[tuple[str, str, str, Draw]] = [
        ("keys", "assigned", "own keys, 1 % bad", partial(even_keys, n=N, error=0.01, ratio=1))
    ]
    for error in (0.002, 0.02):
        few = partial(zipf_keys, n=N, error=error, ratio=1)
        traffic = f"500 keys, {100 * error:g} % bad"
        kinds += [("keys", told, traffic, partial(few, told=told)) for told in SHARES]
        kinds += [("requests", "assigned", traffic, partial(few, counted="requests"))]
    for counted, told, traffic, draw in kinds:
        drawn = [draw(rng) for _ in range(batches)]
        found = (
            np.mean([abort(steps, max_ratio).share for steps in drawn]) for max_ratio in (1.5, 1.0)
        )
        yield _row(counted, told, traffic, *(f"{100 * share:.2f} %" for share in found))


def _named(error: float, ratio: float) -> str:
    return f"{100 * error:g} → {100 * error * ratio:g} %"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
