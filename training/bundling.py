"""A fitted pipeline as a bundle: its files, the manifest of them, and the proof that it loads."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import (
    COMPILED,
    FORMAT,
    MANIFEST,
    PIPELINE,
    REPORT,
    File,
    Manifest,
    sha256_of,
)
from serve_app.bundle.runtimes.needs import installed_version
from serve_app.bundle.runtimes.registry import ONNX, SKLEARN
from serve_app.bundle.store import FolderStore, Store
from serve_app.errors import BundleError
from training.compilation.proof import Compilation
from training.fitted_pipeline import FittedPipeline
from training.golden import golden_rows
from training.pickled import Needs, needs_of, pickled
from training.references import references, score_references
from training.report import render
from training.truth import Truth

# What made the graph of a compiled version, where it is installed.
COMPILERS = ("onnxruntime", "skl2onnx", "onnxmltools")


@dataclass(frozen=True)
class Written:
    """A bundle in the store that has proven itself; a table may pin its `manifest_sha256`."""

    manifest: Manifest
    manifest_sha256: str
    where: str


def require_new(store: Store, model: str, version: str) -> None:
    """Refuse a version that exists, before any time goes into training. Raises BundleError."""
    if version in store.versions(model):
        raise BundleError(
            f"{store.uri}/{model}/{version}: exists already, and a version is immutable. "
            "Choose the next version number."
        )


def write(fitted: FittedPipeline, truth: Truth, compilation: Compilation, store: Store) -> Written:
    """Load the bundle as a replica would, from a draft; only then put it into the store.

    Raises BundleError.
    """
    needs = needs_of(fitted.pipeline)
    notes = [*fitted.notes, *truth.notes, *_notes(needs, compilation)]
    pipeline = pickled(fitted.pipeline)
    files = {PIPELINE: pipeline, REPORT: render(fitted, compilation, notes).encode()}
    if compilation.graph is not None:
        files[COMPILED] = compilation.graph
    manifest = _manifest(fitted, truth, compilation, files, needs, notes)
    text = (manifest.model_dump_json(indent=2) + "\n").encode()
    files[MANIFEST] = text
    digest = sha256_of(text)
    with tempfile.TemporaryDirectory() as folder:
        # A version is immutable: one that cannot serve must not get its number.
        _write_and_load(FolderStore(Path(folder)), fitted, files, digest)
    _write_and_load(store, fitted, files, digest)
    return Written(manifest, digest, f"{store.uri}/{manifest.model}/{manifest.version}")


def _write_and_load(
    store: Store, fitted: FittedPipeline, files: dict[str, bytes], digest: str
) -> None:
    store.write(fitted.spec.name, fitted.version, files)
    load(store, fitted.spec, fitted.version, pin=digest)


def _manifest(
    fitted: FittedPipeline,
    truth: Truth,
    compilation: Compilation,
    files: dict[str, bytes],
    needs: Needs,
    notes: list[str],
) -> Manifest:
    spec = fitted.spec
    runtime = SKLEARN
    libraries = needs.libraries
    if compilation.graph is not None:
        runtime = ONNX
        libraries = libraries | _compilers()
    return Manifest(
        format=FORMAT,
        model=fitted.spec.name,
        version=fitted.version,
        kind=fitted.spec.kind,
        runtime=runtime.name,
        runtime_reason=compilation.reason,
        features=list(fitted.spec.contract),
        references=references(fitted.reference),
        score_references=score_references(spec, fitted.scores, truth.tolerance),
        parameters=fitted.parameters,
        metrics=fitted.metrics,
        training_data_sha256=fitted.reference.sha256,
        # How many rows a foreign pipeline was fitted on, nobody here knows.
        n_training_rows=0 if fitted.is_foreign else len(fitted.reference),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries=libraries,
        modules=needs.modules,
        files={
            name: File(sha256=sha256_of(data), size_bytes=len(data))
            for name, data in sorted(files.items())
        },
        golden_rows=golden_rows(spec, truth.block, truth.scores, truth.n_file_rows),
        call=fitted.call,
        classes=list(spec.classes),
        positive=spec.positive,
        outputs=list(spec.outputs),
        tolerance=truth.tolerance,
        refusals=truth.refusals,
        notes=notes,
    )


def _compilers() -> dict[str, str]:
    found = {name: installed_version(name) for name in COMPILERS}
    return {name: version for name, version in found.items() if version is not None}


def _notes(needs: Needs, compilation: Compilation) -> list[str]:
    """What has to be installed where this version serves."""
    if compilation.graph is not None or not needs.modules:
        return []
    return [
        f"Opening it needs the modules {', '.join(needs.modules)} where it serves, with the source "
        "that they have here"
    ]
