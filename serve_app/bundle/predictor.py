"""A version that has proven itself: verified, opened, and replayed on its golden rows."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Manifest
from serve_app.bundle.pin import missing_pin
from serve_app.bundle.refusals import RefusedRows
from serve_app.bundle.runtimes.needs import import_fault
from serve_app.bundle.runtimes.record import Runtime
from serve_app.bundle.runtimes.registry import record_of
from serve_app.bundle.store import Store
from serve_app.bundle.verified import read_manifest, read_verified
from serve_app.contract import Kind, Label, ModelSpec, differences
from serve_app.contract.block import Block, Layout, Scores
from serve_app.errors import BundleError

logger = logging.getLogger(__name__)

# At most one line of log in this time for rows that fail: a client can send a thousand a second.
LOG_EVERY_S = 60.0
# Of a score far from all others: a sum of float64 in another order, as in a block of another size.
ROUNDING = 1e-9
# Sums of a few hundred trees in float32 are so far from those in float64.
LABEL_NOISE = 2e-6
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


class Predictor:
    """Scores blocks with one version; a row that fails gets NaN and hurts no other."""

    def __init__(
        self, manifest: Manifest, manifest_sha256: str, runtime: Runtime, threshold: float
    ) -> None:
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256
        self._runtime = runtime
        self._threshold = manifest.parameters.get("threshold", threshold)
        self._refused = RefusedRows(manifest.refusals, manifest.contract)
        self._n_scores = n_scores_of(manifest)
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
        """The scores of one call, infinities as NaN."""
        scores = self._runtime.score(block)
        shape = (len(block),) if self._n_scores == 1 else (len(block), self._n_scores)
        if scores.shape != shape:
            raise ValueError(f"found scores of shape {scores.shape}, expected {shape}")
        is_finite = np.isfinite(scores)
        return scores if is_finite.all() else np.where(is_finite, scores, np.nan)

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
        self._compare(self.score(block), expected, "together")
        n_alone = min(len(golden), N_ALONE)
        singles = [_timed_ms(partial(self.score, block[i : i + 1])) for i in range(n_alone)]
        alone = np.concatenate([score for _, score in singles])
        self._compare(alone, expected[:n_alone], "alone")
        call_ms = float(np.median([ms for ms, _ in singles]))
        all_ms = min(_timed_ms(partial(self.score, block))[0] for _ in range(3))
        return Cost(call_ms, max(0.0, all_ms - call_ms) / max(1, len(golden) - 1))

    def _compare(self, found: Scores, expected: Scores, how: str) -> None:
        differs = differing(
            found, expected, self.manifest.tolerance, self._threshold, self.manifest.kind
        )
        if differs.any():
            first = int(np.argmax(differs))
            raise BundleError(
                f"{'/'.join(self._name)}: {int(differs.sum())} of {len(differs)} golden rows "
                f"scored {how} differ; row {first}: expected {_shown(expected[first])}, found "
                f"{_shown(found[first])}. The model does not compute here what it computed in "
                "training: it must not serve."
            )


def differing(
    found: Scores, expected: Scores, tolerance: float, threshold: float, kind: Kind
) -> NDArray[np.bool_]:
    """(n_rows,) where `found` is not what `expected` says.

    A row is right when every score is within `tolerance` (and ROUNDING of itself), and the label is
    the same; what is a tie at the threshold but for LABEL_NOISE is no other label. NaN, which says
    that a row is refused, is right where it is expected and nowhere else.
    """
    most = tolerance + ROUNDING * np.abs(expected)
    is_near = (np.abs(found - expected) <= most) | (np.isnan(found) & np.isnan(expected))
    close = np.asarray(is_near if is_near.ndim == 1 else is_near.all(axis=1))
    if kind == "binary_classifier":
        flipped = (found >= threshold) != (expected >= threshold)
        is_tie = np.abs(expected - threshold) <= LABEL_NOISE
        close &= ~flipped | is_tie | np.isnan(expected)
    differs: NDArray[np.bool_] = ~close
    return differs


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


def load(
    store: Store,
    spec: ModelSpec,
    version: str,
    pin: str | None = None,
    public_keys: Sequence[str] = (),
) -> Predictor:
    """Verify, open and prove one version that is to serve.

    Raises BundleError saying what was expected and found.
    """
    manifest, digest = read_manifest(store, spec.name, version, pin, public_keys)
    lines = differences(spec.contract, manifest.contract)
    if lines:
        where = f"{store.uri}/{spec.name}/{version}"
        raise BundleError(f"{where}: does not fit the contract of {spec.name}: " + "; ".join(lines))
    return open_version(store, spec, manifest, digest, is_pinned=pin is not None)


def open_version(
    store: Store, spec: ModelSpec, manifest: Manifest, digest: str, *, is_pinned: bool
) -> Predictor:
    """Verify, open and prove one version whatever fields it takes: to be compared, not to serve.

    Raises BundleError.
    """
    where = f"{store.uri}/{spec.name}/{manifest.version}"
    fault = kind_fault(spec, manifest)
    if fault:
        raise BundleError(f"{where}: {fault}")
    fault = missing_pin(manifest, digest, is_local=store.is_local, is_pinned=is_pinned)
    if fault:
        raise BundleError(f"{where}: {fault}")
    files = {
        file: read_verified(store, manifest, file)
        for file in {*manifest.files, manifest.model_file}
    }
    try:
        runtime = _open(files[manifest.model_file], manifest)
        predictor = Predictor(manifest, digest, runtime, spec.threshold)
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(
            f"{where}/{manifest.model_file}: cannot be opened ({type(error).__name__})"
        ) from error
    _require_answers(spec, manifest, where)
    return predictor


def kind_fault(spec: ModelSpec, manifest: Manifest) -> str | None:
    """Why a bundle's scores are not what this contract asks for; None when they are."""
    if manifest.kind != spec.kind:
        return f"expected a {spec.kind}, found a {manifest.kind}"
    if manifest.format == 1:
        # It knew the classes 0 and 1 only, and one value.
        classes: list[Label] = [0, 1] if spec.kind == "binary_classifier" else []
        found = (classes, manifest.outputs)
    else:
        found = (manifest.classes, manifest.outputs)
    expected = (list(spec.classes), list(spec.outputs))
    if found != expected:
        return f"expected classes and outputs {expected}, found {found}"
    return None


def _require_answers(spec: ModelSpec, manifest: Manifest, where: str) -> None:
    """Make an answer of each golden score, by the bundle's parameters. Raises BundleError."""
    try:
        for item in manifest.golden_rows:
            if item.score is not None:
                spec.answer(item.score, manifest.parameters)
    except Exception as error:
        raise BundleError(
            f"{where}: found parameters {sorted(manifest.parameters)}, from which no "
            f"{spec.prediction.__name__} can be made ({type(error).__name__}); expected those that "
            "training writes"
        ) from error


def _open(data: bytes, manifest: Manifest) -> Runtime:
    """Open a model, its modules imported before. Raises BundleError naming what is missing."""
    record = record_of(manifest.runtime)
    fault = record.needs_fault(manifest)
    if fault is None and record.runs_code:
        fault = import_fault(manifest.modules)
    if fault:
        raise BundleError(f"{manifest.model}/{manifest.version}: {fault}")
    try:
        return record.open(data, manifest)
    except ModuleNotFoundError as error:
        raise BundleError(
            f"{manifest.model}/{manifest.version}: {record.file} needs the module {error.name}, "
            "found none. Install the package that has it where it serves."
        ) from error
