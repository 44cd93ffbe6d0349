"""Bytes by key in an object store or a folder. The only module that knows the client, obstore."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, ObjectStore, from_url

SCHEMES = ("s3://", "gs://", "az://", "memory://")
CONNECT_TIMEOUT_S = 3.0
MAX_RETRIES = 2
# Of the client's variables: `AWS_ENDPOINT_URL` and the like.
PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
# Options that are given make the client forget the variables of the same group: hand these on.
VARIABLES = ("allow_http", "allow_invalid_certificates", "proxy_url")
T = TypeVar("T")


class ObjectFault(Exception):
    """The store gives no whole answer, or no permission. `kind` is the client's name of the error.

    The client's own text is left out, since it may hold URLs with credentials.
    """

    def __init__(self, kind: str, *, is_permission: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.is_permission = is_permission


class NoSuchObject(Exception):
    """There is nothing under this key."""


class ObjectTooLarge(Exception):
    """There are more bytes under this key than are wanted: `n_bytes`."""

    def __init__(self, key: str, n_bytes: int) -> None:
        super().__init__(key)
        self.n_bytes = n_bytes


class ObjectExists(Exception):
    """There is something under this key already."""


class Objects:
    """An object store, or a folder in its manner.

    Every call waits for it, and may raise ObjectFault.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def get(self, key: str, most_bytes: int) -> bytes:
        """The bytes under a key. Raises NoSuchObject.

        Raises ObjectTooLarge, before any of them is read, when there are more than `most_bytes`.
        """
        missing = (NotFoundError, FileNotFoundError)

        def read() -> bytes:
            found = obstore.get(self._store, key)
            if found.meta["size"] > most_bytes:
                raise ObjectTooLarge(key, found.meta["size"])
            return bytes(found.bytes())

        try:
            return _ask(read, missing)
        except missing:
            raise NoSuchObject(key) from None

    def create(self, key: str, data: bytes) -> None:
        """Put bytes where nothing is: of several who do so at once, one succeeds.

        Raises ObjectExists.
        """
        try:
            _ask(lambda: obstore.put(self._store, key, data, mode="create"), (AlreadyExistsError,))
        except AlreadyExistsError:
            raise ObjectExists(key) from None

    def replace(self, key: str, data: bytes) -> None:
        """Put bytes, whatever was there."""
        _ask(lambda: obstore.put(self._store, key, data, mode="overwrite"))

    def delete(self, key: str) -> None:
        """Take away what is under a key; nothing there is no fault."""
        with suppress(NotFoundError, FileNotFoundError):
            _ask(lambda: obstore.delete(self._store, key), (NotFoundError, FileNotFoundError))

    def below(self, prefix: str) -> list[str]:
        """All keys below a folder, at any depth."""
        batches = _ask(lambda: list(obstore.list(self._store, prefix=prefix)))
        return [entry["path"] for batch in batches for entry in batch]

    def inside(self, folder: str) -> list[str]:
        """The keys directly in a folder."""
        found = _ask(lambda: obstore.list_with_delimiter(self._store, prefix=folder))
        return [entry["path"] for entry in found["objects"]]


def is_object_uri(place: str) -> bool:
    """Whether a place is a URI of an object store, and no folder."""
    return place.startswith(SCHEMES)


def scheme_fault(place: str) -> str | None:
    """Why a place is neither a folder nor a URI that is known here; None when it is one."""
    if is_object_uri(place) or "://" not in place:
        return None
    return f"found {place!r}, expected a folder or one of {', '.join(SCHEMES)}"


def open_objects(place: str, *, retry_s: float, timeout_s: float) -> Objects:
    """A client for a folder, which is made, or for `s3://bucket/prefix`, `gs://…`, `az://…`.

    Credentials and endpoint come from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`) or the
    machine's role. A call takes at most `timeout_s`, and a failed one is tried again for at most
    `retry_s`: the client's own patience is three minutes, and who asks here asks again by itself.

    Raises ValueError with a reason that holds no credentials, and OSError for a folder that cannot
    be made.
    """
    try:
        if is_object_uri(place):
            return Objects(from_url(place, **_options(place, retry_s, timeout_s)))
        return Objects(LocalStore(Path(place).absolute(), mkdir=True))
    except (BaseError, ValueError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _ask(call: Callable[[], T], expected: tuple[type[Exception], ...] = ()) -> T:
    """What the call gives. Errors that are `expected` are answers, and raised as they are."""
    try:
        return call()
    except expected:
        raise
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise ObjectFault(type(error).__name__, is_permission=True) from error
    except (BaseError, OSError) as error:
        raise ObjectFault(type(error).__name__) from error


def _options(uri: str, retry_s: float, timeout_s: float) -> dict[str, Any]:
    prefix = PREFIXES.get(uri.partition(":")[0])
    if prefix is None:
        return {}
    named = {name: os.environ.get(prefix + name.upper()) for name in VARIABLES}
    client = {
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=timeout_s),
    }
    return {
        "retry_config": {"max_retries": MAX_RETRIES, "retry_timeout": timedelta(seconds=retry_s)},
        "client_options": client | {name: text for name, text in named.items() if text},
    }
