"""Bundles in an object store: S3, Google Cloud Storage, Azure."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from serve_app.bundle.manifest import MANIFEST
from serve_app.bundle.objects import (
    NoSuchObject,
    ObjectExists,
    ObjectFault,
    Objects,
    ObjectTooLarge,
    open_objects,
)
from serve_app.bundle.store import (
    MOST_UNLISTED_BYTES,
    immutable,
    missing,
    nothing_to_remove,
    too_large,
)
from serve_app.errors import BundleError, BundleUnavailable, StoreAway

RETRY_S = 10.0
TIMEOUT_S = 60.0
T = TypeVar("T")


class ObjectStoreStore:
    """Bundles under a URI of an object store."""

    def __init__(self, uri: str, objects: Objects) -> None:
        self.uri = uri.rstrip("/")
        self._objects = objects

    @classmethod
    def from_uri(cls, uri: str) -> "ObjectStoreStore":
        """From `s3://bucket/prefix` and the like. Raises BundleError."""
        try:
            return cls(uri, open_objects(uri, retry_s=RETRY_S, timeout_s=TIMEOUT_S))
        except ValueError as error:
            raise BundleError(f"store: {uri!r} cannot be used ({error})") from None

    def read(
        self, model: str, version: str, file: str, most_bytes: int = MOST_UNLISTED_BYTES
    ) -> bytes:
        """The bytes of one file."""
        key = f"{model}/{version}/{file}"
        try:
            return _ask(f"{self.uri}/{key}", lambda: self._objects.get(key, most_bytes))
        except NoSuchObject:
            raise BundleUnavailable(missing(f"{self.uri}/{key}", model, version)) from None
        except ObjectTooLarge as error:
            place = f"{self.uri}/{key}"
            raise BundleError(too_large(place, most_bytes, error.n_bytes)) from None

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""
        keys = _ask(self.uri, lambda: self._objects.below(f"{model}/"))
        paths = [PurePosixPath(key) for key in keys]
        return sorted(path.parent.name for path in paths if path.name == MANIFEST)

    def doubt(self, model: str, version: str) -> str:
        """Who may write into a bucket cannot be seen from here."""
        return "an object store"

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Each file only where none is, the manifest last: a version without one does not exist.

        A file that is there with the same bytes is of an attempt that was cut off.
        """
        if version in self.versions(model):
            raise BundleError(immutable(f"{self.uri}/{model}/{version}"))
        for name in sorted(files, key=lambda name: name == MANIFEST):
            place = f"{self.uri}/{model}/{version}/{name}"
            try:
                self._create(f"{model}/{version}/{name}", files[name])
            except ObjectExists:
                if self.read(model, version, name, len(files[name])) != files[name]:
                    raise BundleError(immutable(place)) from None

    def put(self, model: str, version: str, file: str, data: bytes) -> None:
        """Put a file next to the bundle; an older one is replaced."""
        key = f"{model}/{version}/{file}"
        _ask(f"{self.uri}/{key}", lambda: self._objects.replace(key, data))

    def remove(self, model: str, version: str) -> None:
        """Delete the manifest first, since a version without one does not exist; then the files."""
        place = f"{self.uri}/{model}/{version}"
        keys = _ask(place, lambda: self._objects.below(f"{model}/{version}/"))
        if not keys:
            raise BundleUnavailable(nothing_to_remove(place))
        manifest = f"{model}/{version}/{MANIFEST}"
        for key in sorted(keys, key=lambda key: key != manifest):
            _ask(f"{self.uri}/{key}", partial(self._objects.delete, key))

    def _create(self, key: str, data: bytes) -> None:
        _ask(f"{self.uri}/{key}", lambda: self._objects.create(key, data))


def _ask(place: str, call: Callable[[], T]) -> T:
    """What the call gives. Raises StoreAway, which says whether it is the permission."""
    try:
        return call()
    except ObjectFault as error:
        if error.is_permission:
            raise StoreAway(
                f"{place}: no permission ({error.kind}); expected credentials in the environment "
                "or a role of this machine that may read (and for a push write) there"
            ) from error
        raise StoreAway(
            f"{place}: the store gives no whole answer ({error.kind}): it is away, slow or cuts "
            "off; check its URI and endpoint, and the network"
        ) from error
