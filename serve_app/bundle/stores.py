"""Which store a URI means, and where bundles are served from."""

import os
from pathlib import Path

from serve_app.bundle.cache import NodeCache
from serve_app.bundle.object_store import ObjectStoreStore
from serve_app.bundle.objects import is_object_uri, scheme_fault
from serve_app.bundle.store import FolderStore, Store
from serve_app.errors import BundleError


def open_store(uri: str, *, cached: bool = False) -> Store:
    """A store for a folder or for `s3://bucket/prefix`, `gs://…`, `az://…`.

    `cached`: an object store behind this node's cache, for replicas. Raises BundleError for a URI
    that is none of these, or that its client cannot use.
    """
    if is_object_uri(uri):
        remote = ObjectStoreStore.from_uri(uri)
        return NodeCache(remote) if cached else remote
    fault = scheme_fault(uri)
    if fault:
        raise BundleError(f"store: {fault}")
    return FolderStore(Path(uri))


def served_uri(uri: str) -> str:
    """Where bundles are served from: `MODEL_PATH`, or what the file says.

    A command's option is above both.
    """
    return os.environ.get("MODEL_PATH") or uri
