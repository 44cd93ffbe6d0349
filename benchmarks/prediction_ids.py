"""What sealed prediction ids cost, next to random ones: `python -m benchmarks.prediction_ids`."""

import os
import timeit
from collections.abc import Callable
from time import process_time

import numpy as np
import typer

from serve_app.models import get_spec
from serve_app.monitoring.labels.seal import Seal
from serve_app.monitoring.labels.sealed_ids import SealedIds
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.prediction_id import IdMaker, RandomIds

N_CALLS = 2_000


def microseconds(call: Callable[[], object]) -> float:
    """CPU time of the fastest of seven runs, a call: what else the machine does makes it slower."""
    return min(timeit.repeat(call, timer=process_time, number=N_CALLS, repeat=7)) / N_CALLS * 1e6


def main() -> None:
    """Print microseconds a request, by rows, and of opening an id."""
    spec = get_spec("churn")
    seal = Seal([os.urandom(32)], spec.name)
    sealed = SealedIds(Shaper(spec), lambda: seal)
    for n_rows in (1, 100):
        answered = Answered(
            [spec.examples[0].row] * n_rows, "ada", Assignment("1.0.0"), version="1.0.0"
        )
        answered.scores = np.linspace(0, 1, n_rows)
        positions = None if n_rows == 1 else range(n_rows)

        def once(ids: IdMaker, told: Answered = answered, rows: range | None = positions) -> object:
            return ids.ids_of(told, rows)

        for name, ids in (("random", RandomIds()), ("sealed", sealed)):
            cost_us = microseconds(lambda ids=ids, once=once: once(ids))  # type: ignore[misc]
            typer.echo(f"{n_rows:>4} rows, {name}: {cost_us:.1f} us")
    (one,) = sealed.ids_of(
        Answered([spec.examples[0].row], "ada", Assignment("1.0.0"), version="1.0.0"), None
    )
    typer.echo(f"opened: {microseconds(lambda: sealed.open(one)):.1f} us")


if __name__ == "__main__":
    main()
