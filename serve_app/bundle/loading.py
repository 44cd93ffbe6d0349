"""From a bundle in a store to a version that has proven itself: verified, opened, replayed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serve_app.bundle.manifest import Manifest
from serve_app.bundle.pin import missing_pin
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.room import free_memory_bytes, is_passing, require_memory
from serve_app.bundle.runtimes.needs import import_fault
from serve_app.bundle.runtimes.record import Runtime
from serve_app.bundle.runtimes.registry import record_of
from serve_app.bundle.store import Store
from serve_app.bundle.verified import read_manifest, read_verified
from serve_app.contract import Label, ModelSpec, differences
from serve_app.errors import BundleError, NoRoom


@dataclass(frozen=True)
class Verified:
    """A version whose bytes are those of its manifest, and that nobody has opened yet.

    `model` is the file that is opened; `where` the place that errors name.
    """

    manifest: Manifest
    manifest_sha256: str
    model: bytes
    threshold: float
    where: str


def load(
    store: Store,
    spec: ModelSpec,
    version: str,
    pin: str | None = None,
    public_keys: Sequence[str] = (),
    first: Callable[[Verified], None] | None = None,
) -> Predictor:
    """Verify, open and prove one version that is to serve.

    `first` is told what was verified before it is opened here, and may raise. Raises BundleError
    saying what was expected and found.
    """
    manifest, digest = read_manifest(store, spec.name, version, pin, public_keys)
    lines = differences(spec.contract, manifest.contract)
    if lines:
        where = f"{store.uri}/{spec.name}/{version}"
        raise BundleError(f"{where}: does not fit the contract of {spec.name}: " + "; ".join(lines))
    return open_version(store, spec, manifest, digest, is_pinned=pin is not None, first=first)


def open_version(
    store: Store,
    spec: ModelSpec,
    manifest: Manifest,
    digest: str,
    *,
    is_pinned: bool,
    first: Callable[[Verified], None] | None = None,
    free_bytes: Callable[[], int | None] = free_memory_bytes,
) -> Predictor:
    """Verify, open and prove one version whatever fields it takes: to be compared, not to serve.

    Raises BundleError, and NoRoom before anything is read where its files would take too much of
    the memory that is free here.
    """
    where = f"{store.uri}/{spec.name}/{manifest.version}"
    fault = kind_fault(spec, manifest)
    if fault:
        raise BundleError(f"{where}: {fault}")
    fault = missing_pin(
        manifest,
        digest,
        doubt=store.doubt(spec.name, manifest.version),
        is_pinned=is_pinned,
    )
    if fault:
        raise BundleError(f"{where}: {fault}")
    others = {file: of.size_bytes for file, of in manifest.files.items()}
    model_bytes = others.pop(manifest.model_file, 0)
    require_memory(where, model_bytes + max(others.values(), default=0), free_bytes())
    model = read_verified(store, manifest, manifest.model_file)
    # Compared and let go, one after the other: nobody opens them.
    for file in others:
        read_verified(store, manifest, file)
    verified = Verified(manifest, digest, model, spec.threshold_of(manifest.parameters), where)
    if first is not None:
        first(verified)
    predictor = opened(verified)
    _require_answers(spec, manifest, where)
    return predictor


def opened(verified: Verified) -> Predictor:
    """Open a model and let it prove itself. Raises BundleError."""
    manifest = verified.manifest
    try:
        runtime = _open(verified.model, manifest)
        return Predictor(manifest, verified.manifest_sha256, runtime, verified.threshold)
    except BundleError:
        raise
    except Exception as error:
        kind = NoRoom if is_passing(error) else BundleError
        raise kind(
            f"{verified.where}/{manifest.model_file}: cannot be opened ({type(error).__name__})"
        ) from error


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
