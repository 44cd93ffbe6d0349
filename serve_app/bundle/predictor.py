"""A version that has proven itself: verified, opened, and replayed on its golden rows."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from serve_app.bundle.manifest import TOLERANCE, Manifest
from serve_app.bundle.pin import missing_pin
from serve_app.bundle.runtimes.record import Runtime
from serve_app.bundle.runtimes.registry import record_of
from serve_app.bundle.store import Store
from serve_app.bundle.verified import read_manifest, read_verified
from serve_app.contract import ModelSpec, differences
from serve_app.contract.block import Block, Layout, Scores
from serve_app.errors import BundleError

logger = logging.getLogger(__name__)

# For one block with failing rows: eight bad rows among 256 need some 130 calls.
MAX_CALLS = 200


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
        self._threshold = threshold
        self.cost = self._prove()

    def score(self, block: Block) -> Scores:
        """(n_rows,) scores, NaN where the model raised or gave no finite number. Never raises.

        A block that fails is halved until the failing rows stand alone: a few calls find them, and
        all others are scored. Where nearly every row fails, the rest is given up after MAX_CALLS.
        """
        try:
            return self._checked(block)
        except Exception as error:
            if len(block) > 1:
                return self._score_halves(block)
            logger.warning("%s %s: a row failed: %s", *self._name, type(error).__name__)
            return np.full(1, np.nan)

    def _score_halves(self, block: Block) -> Scores:
        scores = np.full(len(block), np.nan)
        waiting = deque([slice(0, len(block) // 2), slice(len(block) // 2, len(block))])
        for _ in range(MAX_CALLS):
            if not waiting:
                break
            part = waiting.popleft()
            try:
                scores[part] = self._checked(block[part])
            except Exception as error:
                if part.stop - part.start == 1:
                    logger.warning("%s %s: a row failed: %s", *self._name, type(error).__name__)
                    continue
                middle = (part.start + part.stop) // 2
                waiting += [slice(part.start, middle), slice(middle, part.stop)]
        return scores

    def _checked(self, block: Block) -> Scores:
        """(n_rows,) scores of one call, infinities as NaN."""
        scores = self._runtime.score(block)
        if scores.shape != (len(block),):
            raise ValueError(f"found scores of shape {scores.shape}, expected {(len(block),)}")
        is_finite = np.isfinite(scores)
        return scores if is_finite.all() else np.where(is_finite, scores, np.nan)

    @property
    def _name(self) -> tuple[str, str]:
        return self.manifest.model, self.manifest.version

    def _prove(self) -> Cost:
        """Replay the golden rows together and one by one; measure what a call costs."""
        golden = self.manifest.golden_rows
        block = Layout(self.manifest.contract).block([item.row for item in golden])
        expected = np.array([item.score for item in golden])
        self._compare(self.score(block), expected, "together")
        singles = [
            _timed_ms(partial(self.score, block[i : i + 1])) for i in range(min(len(golden), 10))
        ]
        self._compare(
            np.concatenate([score for _, score in singles]), expected[: len(singles)], "alone"
        )
        call_ms = float(np.median([ms for ms, _ in singles]))
        all_ms = min(_timed_ms(partial(self.score, block))[0] for _ in range(3))
        return Cost(call_ms, max(0.0, all_ms - call_ms) / max(1, len(golden) - 1))

    def _compare(self, found: Scores, expected: Scores, how: str) -> None:
        kind = self.manifest.kind
        close = np.abs(found - expected) <= TOLERANCE[kind]
        if kind == "binary_classifier":
            close &= (found >= self._threshold) == (expected >= self._threshold)
        # NaN compares false, so a failing golden row counts here too.
        if not close.all():
            first = int(np.argmin(close))
            raise BundleError(
                f"{'/'.join(self._name)}: {int((~close).sum())} of {len(close)} golden rows scored "
                f"{how} differ; row {first}: expected {expected[first]:.6g}, found "
                f"{found[first]:.6g}. The model does not compute here what it computed in "
                "training: it must not serve."
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
    if manifest.kind != spec.kind:
        raise BundleError(f"{where}: expected a {spec.kind}, found a {manifest.kind}")
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


def _require_answers(spec: ModelSpec, manifest: Manifest, where: str) -> None:
    """Make an answer of each golden score, by the bundle's parameters. Raises BundleError."""
    try:
        for item in manifest.golden_rows:
            spec.answer(item.score, manifest.parameters)
    except Exception as error:
        raise BundleError(
            f"{where}: found parameters {sorted(manifest.parameters)}, from which no "
            f"{spec.prediction.__name__} can be made ({type(error).__name__}); expected those that "
            "training writes"
        ) from error


def _open(data: bytes, manifest: Manifest) -> Runtime:
    record = record_of(manifest.runtime)
    fault = record.library_fault(manifest.libraries)
    if fault:
        raise BundleError(f"{manifest.model}/{manifest.version}: {fault}")
    return record.open(data, manifest.contract, manifest.kind)
