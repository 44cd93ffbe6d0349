"""What versions do when they are called: the only part of a model that is simulated."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.simulator.loop import PROCESS, Process, running_loop
from serve_app.bundle.manifest import GoldenRow, Manifest, Reference, sha256_of
from serve_app.bundle.predictor import Predictor
from serve_app.contract import Features
from serve_app.contract.block import Block, Layout, Scores
from serve_app.models import get_spec
from serve_app.settings import Limits

SPEC = get_spec("churn")
N_ROWS = 400
CANDIDATE_DEADLINE_MS = Limits().candidate_deadline_ms
N_GOLDEN = 40
_SPEND = "monthly_spend_usd"
_MONTHS = "contract_length_months"
_COLUMN = {name: i for i, name in enumerate(Layout(SPEC.contract).number_names)}


@dataclass(frozen=True)
class Behaviour:
    """How a version answers.

    `call_ms` is what one call takes, and `tail_share` of all calls take `tail_ms` instead; so do
    the first `n_cold_calls` in each process that starts `cold_ms`.
    `error_share` of its rows get no score (`months_error_share` of those whose contract has
    `error_months`), `flip_share` the other label. Scores are multiplied by
    `scale`, `shift` is added, and `constant` replaces them. Rows whose contract has
    `inverted_months` get the other label.
    """

    call_ms: float = 0.05
    tail_share: float = 0.0
    tail_ms: float = 0.0
    n_cold_calls: int = 0
    cold_ms: float = 0.0
    error_share: float = 0.0
    error_months: int | None = None
    months_error_share: float = 0.0
    flip_share: float = 0.0
    scale: float = 1.0
    shift: float = 0.0
    constant: float | None = None
    inverted_months: int | None = None

    @property
    def fails_everything(self) -> bool:
        """Whether no answer of it can be used: none is valid, or all come after its deadline."""
        return self.error_share >= 1.0 or self.call_ms >= CANDIDATE_DEADLINE_MS


def _rows() -> list[Features]:
    """Rows that differ in spend, which says the score, and in the length of their contract.

    One in twenty has a contract of 24 months.
    """
    row = SPEC.examples[0].row
    months = (1, 6, 12)
    return [
        row.model_copy(update={_SPEND: 10.0 + 7.31 * i, _MONTHS: months[i % 3] if i % 20 else 24})
        for i in range(N_ROWS)
    ]


ROWS: Sequence[Features] = _rows()


class SimulatedRuntime:
    """An opened model whose calls take virtual time; `failed` is told of rows without a score."""

    def __init__(
        self,
        rng: random.Random,
        behaviour: Behaviour,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._rng = rng
        self._failed = failed
        # Calls by process, of those that are cold first.
        self._n_calls: Counter[Process | None] = Counter()
        self.behaviour = behaviour

    def score(self, block: Block) -> Scores:
        """(n_rows,) scores."""
        how = self.behaviour
        rng = self._rng
        seconds = how.call_ms / 1000
        if how.tail_share and rng.random() < how.tail_share:
            seconds = how.tail_ms / 1000
        if how.n_cold_calls and self._is_cold():
            seconds = how.cold_ms / 1000
        running_loop().spend(seconds)
        scores: Scores = (block.numbers[:, _COLUMN[_SPEND]] * 0.618034) % 1.0
        if how.scale != 1.0:
            scores = scores * how.scale
        if how.shift:
            scores = np.clip(scores + how.shift, 0.0, 1.0)
        if how.constant is not None:
            scores = np.full(len(block), how.constant)
        if how.inverted_months is not None:
            is_hit = block.numbers[:, _COLUMN[_MONTHS]] == how.inverted_months
            scores = np.where(is_hit, 1.0 - scores, scores)
        if how.flip_share:
            scores = np.where(self._draw(len(block), how.flip_share), 1.0 - scores, scores)
        if how.error_share or how.error_months is not None:
            has_none = self._failing(block)
            scores = np.where(has_none, np.nan, scores)
            if any(has_none):
                self._failed()
        return scores

    def _is_cold(self) -> bool:
        process = PROCESS.get()
        self._n_calls[process] += 1
        return self._n_calls[process] <= self.behaviour.n_cold_calls

    def _failing(self, block: Block) -> list[bool]:
        how = self.behaviour
        months = block.numbers[:, _COLUMN[_MONTHS]].tolist()
        return [
            self._rng.random()
            < (how.months_error_share if n_months == how.error_months else how.error_share)
            for n_months in months
        ]

    def _draw(self, n_rows: int, share: float) -> list[bool]:
        return [self._rng.random() < share for _ in range(n_rows)]


def proven(version: str, runtime: SimulatedRuntime) -> Predictor:
    """The real predictor over a simulated runtime, after its proof.

    While it proves itself it has neither errors nor tails: its bundle is sound.
    """
    how = runtime.behaviour
    sound = replace(
        how, error_share=0.0, error_months=None, flip_share=0.0, tail_share=0.0, n_cold_calls=0
    )
    runtime.behaviour = sound
    try:
        manifest = _manifest(version, runtime)
        digest = sha256_of(manifest.model_dump_json().encode())
        return Predictor(manifest, digest, runtime, SPEC.threshold_of(manifest.parameters))
    finally:
        runtime.behaviour = how


def _manifest(version: str, runtime: SimulatedRuntime) -> Manifest:
    rows = [row.model_dump() for row in ROWS[:: N_ROWS // N_GOLDEN]]
    scores = runtime.score(Layout(SPEC.contract).block(rows)).tolist()
    return Manifest.model_validate(
        {
            "format": 2,
            "model": SPEC.name,
            "version": version,
            "kind": SPEC.kind,
            "classes": list(SPEC.classes),
            "positive": SPEC.positive,
            "outputs": list(SPEC.outputs),
            "runtime": "onnx",
            "runtime_reason": "simulated",
            "features": list(SPEC.contract),
            "references": {
                _MONTHS: Reference(share_missing=0, counts=[1, 1, 1, 1], edges=[6, 12, 24]),
                _SPEND: Reference(share_missing=0, counts=[1, 1], edges=[1_000]),
            },
            "parameters": {},
            "metrics": {},
            "training_data_sha256": "0" * 64,
            "n_training_rows": 1_000,
            "created_at": "2026-11-01",
            "libraries": {},
            "files": {},
            "golden_rows": [
                GoldenRow(row=row, score=score) for row, score in zip(rows, scores, strict=True)
            ],
        }
    )
