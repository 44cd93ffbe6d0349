"""A bundle from one store to another, verified on the way; and what a store holds."""

from dataclasses import dataclass

from serve_app.bundle.manifest import MANIFEST, SIGNATURE, Manifest
from serve_app.bundle.store import Store
from serve_app.bundle.verified import read_manifest, read_verified
from serve_app.errors import BundleError, BundleUnavailable, StoreAway


@dataclass(frozen=True)
class Pushed:
    """What a push did: where the bundle is, and how much was copied unless it was there."""

    where: str
    manifest_sha256: str
    was_there: bool
    n_files: int
    n_bytes: int


def push(source: Store, target: Store, model: str, version: str) -> Pushed:
    """Copy a version with its signatures.

    The same bytes under the same version are no fault; other bytes are refused. Raises BundleError.
    """
    manifest, digest = read_manifest(source, model, version)
    where = f"{target.uri}/{model}/{version}"
    files = {file: read_verified(source, manifest, file) for file in manifest.files}
    files[MANIFEST] = source.read(model, version, MANIFEST)
    was_there = version in target.versions(model)
    if was_there:
        _, found = read_manifest(target, model, version)
        if found != digest:
            raise BundleError(
                f"{where}: is there with other bytes (manifest {found}, yours {digest}), and a "
                "version is immutable. Choose the next version number."
            )
    else:
        target.write(model, version, files)
    signatures = signatures_of(source, model, version)
    if signatures:
        target.put(model, version, SIGNATURE, signatures)
    return Pushed(where, digest, was_there, len(files), sum(len(data) for data in files.values()))


def signatures_of(store: Store, model: str, version: str) -> bytes:
    """The lines of `manifest.sig`; none is no fault."""
    try:
        return store.read(model, version, SIGNATURE)
    except StoreAway:
        raise
    except BundleUnavailable:
        return b""


def listed(store: Store, model: str) -> list[tuple[Manifest, str]]:
    """Every version of a model with the sha256 of its manifest, oldest version number first."""
    found = [read_manifest(store, model, version) for version in store.versions(model)]
    return sorted(found, key=lambda item: _precedence(item[0].version))


def _precedence(version: str) -> tuple[list[int], bool, str]:
    """By numbers; a pre-release (`1.1.0-rc.1`) before its release (semver.org, 11)."""
    numbers, _, label = version.partition("-")
    return [int(part) for part in numbers.split(".")], not label, label
