"""What counting for drift costs a request: CPU time of the observer, with the reports it makes."""

import gc
import time
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from serve_app.bundle.manifest import Manifest
from serve_app.contract.block import Block, Layout
from serve_app.models import get_spec
from serve_app.monitoring.drift_counter import DriftCounter
from serve_app.monitoring.gathered import Gathered
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.member import Opened
from training.models.churn import make_rows
from training.references import references, score_references
from training.table import Table

SPEC = get_spec("churn")
N_TRAINING = 5_000
N_ROWS = 20_000
# Of a server that is busy, a second each.
REQUESTS_OF_REPORT = 2_000
ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU for a request, and milliseconds of the longest step."""

    n_rows: int
    us: float
    longest_ms: float


def costs() -> list[Cost]:
    """Of a single row, and of a batch of 100; ten features."""
    frame = make_rows(N_TRAINING + N_ROWS, 7)
    names = [feature.name for feature in SPEC.contract]
    rows: Any = frame[names].to_dict("records")
    block = Layout(SPEC.contract).block(rows)
    scores = np.random.default_rng(7).random(len(block))
    trained = block[:N_TRAINING]
    given: dict[str, Any] = {
        "version": "1.0.0",
        "kind": SPEC.kind,
        "references": references(Table(SPEC, trained, np.zeros(N_TRAINING))),
        "score_references": score_references(SPEC, scores[:N_TRAINING], 1e-6),
    }
    manifest = Manifest.model_construct(**given)
    return [_cost(manifest, block[N_TRAINING:], scores[N_TRAINING:], n) for n in (1, 100)]


def _cost(manifest: Manifest, block: Block, scores: Any, n_rows: int) -> Cost:
    scorer: Any = SimpleNamespace()
    opened = Opened(manifest, "d" * 64, scorer, False)
    versions: Any = SimpleNamespace(ready=lambda _: opened)
    told = []
    for begin in range(0, N_ROWS, n_rows):
        part = slice(begin, begin + n_rows)
        one = Answered((), "key", Assignment("1.0.0"), version="1.0.0")
        one.block = block[part]
        one.scores = scores[part]
        told.append(one)
    found_us = []
    longest_s = 0.0
    gc.collect()
    for _ in range(ROUNDS):
        counter = DriftCounter(SPEC.contract)
        gathered = Gathered(len(SPEC.contract), versions, (counter,))
        # The bins are made once.
        gathered.heard(told[0])
        gathered.count()
        begin_s = time.process_time()
        for i, one in enumerate(told):
            gathered.heard(one)
            if i % REQUESTS_OF_REPORT == 0:
                gathered.count()
                counter.take()
        gathered.count()
        counter.take()
        found_us.append(1e6 * (time.process_time() - begin_s) / len(told))
        for one in told[:2_000]:
            step_s = time.process_time()
            gathered.heard(one)
            longest_s = max(longest_s, time.process_time() - step_s)
    return Cost(n_rows, median(found_us), 1e3 * longest_s)
