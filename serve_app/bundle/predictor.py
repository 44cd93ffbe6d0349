"""A version that scores blocks, and that proves itself on its golden rows first."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from serve_app.bundle.manifest import Manifest
from serve_app.bundle.refusals import RefusedRows
from serve_app.bundle.room import is_memory
from serve_app.bundle.runtimes.record import Runtime
from serve_app.bundle.tolerance import differing
from serve_app.contract.block import Block, Layout, Scores
from serve_app.errors import BundleError, NoRoom

logger = logging.getLogger(__name__)

# At most one line of log in this time for rows that fail: a client can send a thousand a second.
LOG_EVERY_S = 60.0
# How far a sum of float32 goes beyond 0 and 1.
PROBABILITY_SLACK = 1e-6
# Golden rows that are also replayed one by one, where a call may be slow.
N_ALONE = 10


@dataclass(frozen=True)
class Cost:
    """What scoring costs, as measured: `call_ms` for one row, `row_ms` for each further one."""

    call_ms: float
    row_ms: float

    def of_rows(self, n_rows: int) -> float:
        """Expected milliseconds for a block."""
        return self.call_ms + (n_rows - 1) * self.row_ms


UNKNOWN_COST = Cost(call_ms=0.0, row_ms=0.0)


class Predictor:
    """Scores blocks with one version; a row that fails gets NaN and hurts no other."""

    def __init__(
        self, manifest: Manifest, manifest_sha256: str, runtime: Runtime, threshold: float
    ) -> None:
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256
        self._runtime = runtime
        self._threshold = threshold
        self._refused = RefusedRows(manifest.refusals, manifest.contract)
        self._n_scores = n_scores_of(manifest)
        self._is_probability = manifest.kind != "regressor"
        self._n_failed = 0
        self._log_again_s = 0.0
        self.cost = self._prove()

    def score(self, block: Block) -> Scores:
        """(n_rows,) or (n_rows, n_outputs) scores, NaN where a row failed. Never raises.

        Rows with a value that the bundle lists as refused are not shown to the model. A block that
        fails all the same is halved until the failing rows stand alone, so that every other row is
        scored.
        """
        refused = self._refused.find(block)
        if refused is None or not refused.any():
            return self._score(block)
        scores = self._failed(len(block))
        asked = ~refused
        if asked.any():
            scores[asked] = self._score(block[asked])
        return scores

    def _score(self, block: Block) -> Scores:
        try:
            return self._checked(block)
        except Exception as error:
            if len(block) > 1:
                return self._score_halves(block)
            self._note(error)
            return self._failed(1)

    def _score_halves(self, block: Block) -> Scores:
        scores = self._failed(len(block))
        middle = len(block) // 2
        waiting = deque([slice(0, middle), slice(middle, len(block))])
        while waiting:
            part = waiting.popleft()
            try:
                scores[part] = self._checked(block[part])
            except Exception as error:
                if part.stop - part.start == 1:
                    self._note(error)
                    continue
                middle = (part.start + part.stop) // 2
                waiting += [slice(part.start, middle), slice(middle, part.stop)]
        return scores

    def _checked(self, block: Block) -> Scores:
        """The scores of one call; what is no number, or no probability, is NaN."""
        scores = self._runtime.score(block)
        shape = (len(block),) if self._n_scores == 1 else (len(block), self._n_scores)
        if scores.shape != shape:
            raise ValueError(f"found scores of shape {scores.shape}, expected {shape}")
        if shape == (1,):
            # By Python itself: three calls of numpy would take a tenth of a whole request.
            score = scores.item()
            good = 0 <= score <= 1 if self._is_probability else isfinite(score)
            return scores if good else self._mended(scores)
        is_good = (scores >= 0) & (scores <= 1) if self._is_probability else np.isfinite(scores)
        return scores if is_good.all() else self._mended(scores)

    def _mended(self, scores: Scores) -> Scores:
        """Scores with NaN for what is none; a probability beyond its end by rounding is at it."""
        if self._is_probability:
            nearest = np.clip(scores, 0.0, 1.0)
            return np.where(np.abs(scores - nearest) <= PROBABILITY_SLACK, nearest, np.nan)
        return np.where(np.isfinite(scores), scores, np.nan)

    def _failed(self, n_rows: int) -> Scores:
        shape = (n_rows,) if self._n_scores == 1 else (n_rows, self._n_scores)
        return np.full(shape, np.nan)

    def _note(self, error: Exception) -> None:
        """Count a failed row, and log the count now and then."""
        self._n_failed += 1
        now_s = time.monotonic()
        if now_s >= self._log_again_s:
            self._log_again_s = now_s + LOG_EVERY_S
            logger.warning(
                "%s %s: %d rows failed so far, the last one with %s",
                *self._name,
                self._n_failed,
                type(error).__name__,
            )

    @property
    def _name(self) -> tuple[str, str]:
        return self.manifest.model, self.manifest.version

    def _prove(self) -> Cost:
        """Replay the golden rows together and one by one; measure what a call costs."""
        golden = self.manifest.golden_rows
        block = Layout(self.manifest.contract).block([item.row for item in golden])
        expected = self._failed(len(golden))
        for i, item in enumerate(golden):
            if item.score is not None:
                expected[i] = item.score
        self._compare(block, self.score(block), expected, "together")
        n_alone = min(len(golden), N_ALONE)
        singles = [_timed_ms(partial(self.score, block[i : i + 1])) for i in range(n_alone)]
        alone = np.concatenate([score for _, score in singles])
        self._compare(block[:n_alone], alone, expected[:n_alone], "alone")
        call_ms = float(np.median([ms for ms, _ in singles]))
        all_ms = min(_timed_ms(partial(self.score, block))[0] for _ in range(3))
        return Cost(call_ms, max(0.0, all_ms - call_ms) / max(1, len(golden) - 1))

    def _compare(self, block: Block, found: Scores, expected: Scores, how: str) -> None:
        differs = differing(
            found, expected, self.manifest.tolerance, self._threshold, self.manifest.kind
        )
        if differs.any():
            first = int(np.argmax(differs))
            self._require_memory(block[first : first + 1])
            raise BundleError(
                f"{'/'.join(self._name)}: {int(differs.sum())} of {len(differs)} golden rows "
                f"scored {how} differ; row {first}: expected {_shown(expected[first])}, found "
                f"{_shown(found[first])}. The model does not compute here what it computed in "
                "training: it must not serve."
            )

    def _require_memory(self, row: Block) -> None:
        """Raise NoRoom where a row gets no score for want of memory: that is no wrong score."""
        try:
            self._runtime.score(row)
        except Exception as error:
            if is_memory(error):
                raise NoRoom(
                    f"{'/'.join(self._name)}: no memory to score a golden row "
                    f"({type(error).__name__})"
                ) from error


def n_scores_of(manifest: Manifest) -> int:
    """How many numbers a row gets from the model of a bundle."""
    if manifest.kind == "classifier":
        return len(manifest.classes)
    return len(manifest.outputs) or 1


def _shown(score: Any) -> str:
    """A score, or the scores of a row, in an error."""
    return ", ".join(
        "no score" if np.isnan(value) else f"{value:.6g}" for value in np.atleast_1d(score)[:8]
    )


def _timed_ms(call: Callable[[], Scores]) -> tuple[float, Scores]:
    start = time.perf_counter()
    scores = call()
    return (time.perf_counter() - start) * 1000, scores
