"""Bundles in an object store: S3, Google Cloud Storage, Azure, by one client (obstore)."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

from serve_app.bundle.manifest import MANIFEST
from serve_app.bundle.store import immutable, missing
from serve_app.errors import BundleError, BundleUnavailable, StoreAway

# The client's own patience is three minutes; who asks here asks again by itself, and says meanwhile what it waits for.
RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
CLIENT: Any = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=60)}
PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}  # of the client's variables
# Options that are given make it forget the variables of the same group, so these are handed on.
VARIABLES = ("allow_http", "allow_invalid_certificates", "proxy_url")
T = TypeVar("T")


class ObjectStoreStore:
    """Bundles under a URI of an object store."""

    is_local = False

    def __init__(self, uri: str, objects: ObjectStore) -> None:
        self.uri = uri.rstrip("/")
        self._objects = objects

    @classmethod
    def from_uri(cls, uri: str) -> "ObjectStoreStore":
        """From `s3://bucket/prefix` and the like; credentials and endpoint come from the environment (`AWS_…`,
        `GOOGLE_…`, `AZURE_…`) or the machine's role. Raises BundleError."""
        try:
            return cls(uri, from_url(uri, **_options(uri)))
        except (BaseError, ValueError) as error:
            raise BundleError(
                f"store: {uri!r} cannot be used ({str(error).splitlines()[0]})"
            ) from None

    def read(self, model: str, version: str, file: str) -> bytes:
        """The bytes of one file."""
        key = f"{model}/{version}/{file}"
        try:
            return self._ask(
                f"{self.uri}/{key}", lambda: bytes(obstore.get(self._objects, key).bytes())
            )
        except (NotFoundError, FileNotFoundError):
            raise BundleUnavailable(missing(f"{self.uri}/{key}", model, version)) from None

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""
        batches = self._ask(self.uri, lambda: list(obstore.list(self._objects, prefix=f"{model}/")))
        paths = [PurePosixPath(entry["path"]) for batch in batches for entry in batch]
        return sorted(path.parent.name for path in paths if path.name == MANIFEST)

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Each file only where none is, the manifest last: a version without one does not exist. A file that is there
        with the same bytes is of an attempt that was cut off."""
        if version in self.versions(model):
            raise BundleError(immutable(f"{self.uri}/{model}/{version}"))
        for name in sorted(files, key=lambda name: name == MANIFEST):
            key, data = f"{model}/{version}/{name}", files[name]
            try:
                self._put(key, data, "create")
            except AlreadyExistsError:
                if self.read(model, version, name) != data:
                    raise BundleError(immutable(f"{self.uri}/{key}")) from None

    def put(self, model: str, version: str, file: str, data: bytes) -> None:
        """Put a file beside the bundle; an older one is replaced."""
        self._put(f"{model}/{version}/{file}", data, "overwrite")

    def _put(self, key: str, data: bytes, mode: Any) -> None:
        self._ask(f"{self.uri}/{key}", lambda: obstore.put(self._objects, key, data, mode=mode))

    def _ask(self, place: str, call: Callable[[], T]) -> T:
        """What the call gives. The client's own text is left out: it may hold URLs with credentials."""
        try:
            return call()
        except (NotFoundError, FileNotFoundError, AlreadyExistsError):
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreAway(
                f"{place}: no permission ({type(error).__name__}); expected credentials in the environment or a role "
                "of this machine that may read (and for a push write) there"
            ) from error
        except (BaseError, OSError) as error:
            raise StoreAway(
                f"{place}: the store gives no whole answer ({type(error).__name__}): it is away, slow or cuts off; "
                "check its URI and endpoint, and the network"
            ) from error


def _options(uri: str) -> dict[str, Any]:
    prefix = PREFIXES.get(uri.partition(":")[0])
    if prefix is None:
        return {}
    named = {name: os.environ.get(prefix + name.upper()) for name in VARIABLES}
    return {
        "retry_config": RETRY,
        "client_options": CLIENT | {name: text for name, text in named.items() if text},
    }
