"""Reading a bundle: pin, signature and hashes are checked before anything is opened."""

from collections.abc import Sequence

from serve_app.bundle.manifest import MANIFEST, SIGNATURE, Manifest, parse, sha256_of
from serve_app.bundle.pin import fits_pin
from serve_app.bundle.store import Store
from serve_app.errors import BundleError, BundleUnavailable, NoRoom, StoreAway


def read_manifest(
    store: Store, model: str, version: str, pin: str | None = None, public_keys: Sequence[str] = ()
) -> tuple[Manifest, str]:
    """A version's manifest and its sha256.

    It is checked against its place in the store, the pin of the table and, where public keys are
    set, its signature. Raises BundleError.
    """
    data = store.read(model, version, MANIFEST)
    digest = sha256_of(data)
    where = f"{store.uri}/{model}/{version}"
    if not fits_pin(pin, digest):
        raise BundleError(
            f"{where}/{MANIFEST}: expected sha256 {pin} (pinned by the table), found {digest}"
        )
    if public_keys:
        _require_signature(store, model, version, data, public_keys)
    manifest = parse(data, where)
    if (manifest.model, manifest.version) != (model, version):
        raise BundleError(
            f"{where}/{MANIFEST}: expected {model} {version}, found {manifest.model} "
            f"{manifest.version}"
        )
    return manifest, digest


def _require_signature(
    store: Store, model: str, version: str, data: bytes, public_keys: Sequence[str]
) -> None:
    # Imported late: most deployments set no keys, and start sooner without cryptography.
    from serve_app.bundle.signature import is_signed

    where = f"{store.uri}/{model}/{version}"
    advice = f"After a look at it: sluice sign {model} {version} --key KEY --store {store.uri}"
    try:
        signatures = store.read(model, version, SIGNATURE)
    except StoreAway:
        raise
    except BundleUnavailable:
        raise BundleError(
            f"{where}: is not signed, and this deployment has public_keys. {advice}"
        ) from None
    if not is_signed(data, signatures, public_keys):
        raise BundleError(
            f"{where}/{SIGNATURE}: expected a signature by one of public_keys, found none. {advice}"
        )


def read_verified(store: Store, manifest: Manifest, file: str) -> bytes:
    """A file's bytes: its size is compared with the manifest before it is read, its hash before
    anything opens it.

    Raises BundleError, and NoRoom where this machine has no memory for it.
    """
    where = f"{store.uri}/{manifest.model}/{manifest.version}/{file}"
    if file not in manifest.files:
        raise BundleError(f"{where}: expected in the manifest's list of files, found none")
    wanted = manifest.files[file]
    try:
        data = store.read(manifest.model, manifest.version, file, wanted.size_bytes)
    except MemoryError as error:
        raise NoRoom(
            f"{where}: no memory for its {wanted.size_bytes} bytes; expected as much and more to "
            "be free where it serves"
        ) from error
    if len(data) != wanted.size_bytes:
        # A copy that is under way is shorter, and whole some seconds later.
        kind = BundleUnavailable if len(data) < wanted.size_bytes else BundleError
        raise kind(
            f"{where}: expected {wanted.size_bytes} bytes, found {len(data)}: truncated or replaced"
        )
    digest = sha256_of(data)
    if digest != wanted.sha256:
        raise BundleError(
            f"{where}: expected sha256 {wanted.sha256}, found {digest}: corrupt or replaced"
        )
    return data
