"""The cache of a node: a bundle is fetched once, and then shared by all replicas of the node."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from serve_app.bundle.manifest import MANIFEST, Manifest, parse
from serve_app.bundle.ownership import make_own
from serve_app.bundle.room import free_memory_bytes, require_memory
from serve_app.bundle.store import MOST_UNLISTED_BYTES, FolderStore, Store
from serve_app.bundle.verified import read_manifest, read_verified
from serve_app.errors import BundleError, BundleUnavailable, NoRoom, StoreAway


def cache_folder() -> Path:
    """`CACHE_PATH`, or a folder of this user's below the one for temporary files."""
    return Path(
        os.environ.get("CACHE_PATH") or Path(tempfile.gettempdir()) / f"sluice-{os.getuid()}"
    )


class NodeCache:
    """A store in front of another that is away, slow or expensive to ask.

    A version comes here whole or not at all: verified in a draft folder, then renamed. Since
    versions are immutable, what is here is never asked for again, so a node that has a bundle can
    start replicas while the store is away. While it is fetched all of it is in memory, so that it
    needs room there, by `free_bytes` (None: not known).
    """

    def __init__(
        self,
        remote: Store,
        folder: Path | None = None,
        free_bytes: Callable[[], int | None] = free_memory_bytes,
    ) -> None:
        self.uri = remote.uri
        self._remote = remote
        self._free_bytes = free_bytes
        place = hashlib.sha256(remote.uri.encode()).hexdigest()[:16]
        self._here = FolderStore((folder or cache_folder()) / place)

    def read(
        self, model: str, version: str, file: str, most_bytes: int = MOST_UNLISTED_BYTES
    ) -> bytes:
        """The bytes of one file; the first call fetches the whole version."""
        with self._locked(model, version):
            manifest = self._kept(model, version) or self._fetch(model, version)
            if file == MANIFEST:
                return self._here.read(model, version, file, most_bytes)
            if file not in manifest.files:
                return self._read_through(model, version, file, most_bytes)
            try:
                return read_verified(self._here, manifest, file)
            except BundleError:
                # Damaged on this disk: fetched once more from the store.
                return read_verified(self._here, self._fetch(model, version), file)

    def versions(self, model: str) -> list[str]:
        """The versions of the store, not of the cache."""
        return self._remote.versions(model)

    def doubt(self, model: str, version: str) -> str:
        """What came from elsewhere is trusted as little as that is."""
        return self._remote.doubt(model, version)

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Add a version to the store."""
        self._remote.write(model, version, files)

    def put(self, model: str, version: str, file: str, data: bytes) -> None:
        """Put a file next to the bundle into the store."""
        self._remote.put(model, version, file, data)

    def remove(self, model: str, version: str) -> None:
        """Take a version out of the store; nodes that have it keep it."""
        self._remote.remove(model, version)

    def _kept(self, model: str, version: str) -> Manifest | None:
        try:
            return parse(
                self._here.read(model, version, MANIFEST), f"{self._here.uri}/{model}/{version}"
            )
        except BundleError:
            return None

    def _fetch(self, model: str, version: str) -> Manifest:
        try:
            manifest, _ = read_manifest(self._remote, model, version)
            n_bytes = sum(file.size_bytes for file in manifest.files.values())
            require_memory(f"{self.uri}/{model}/{version}", n_bytes, self._free_bytes())
            files = {file: read_verified(self._remote, manifest, file) for file in manifest.files}
            files[MANIFEST] = self._remote.read(model, version, MANIFEST)
        except BundleUnavailable:
            raise
        except BundleError as error:
            # It may have been cut off or altered on its way, so it is asked for again.
            raise BundleUnavailable(str(error)) from error
        shutil.rmtree(self._here.root / model / version, ignore_errors=True)
        try:
            self._here.write(model, version, files)
        except BundleError as error:
            raise NoRoom(str(error)) from error
        return manifest

    def _read_through(self, model: str, version: str, file: str, most_bytes: int) -> bytes:
        """A file next to the bundle, such as its signatures: there may be more of them by now."""
        try:
            data = self._remote.read(model, version, file, most_bytes)
        except StoreAway:
            with suppress(BundleError):
                return self._here.read(model, version, file, most_bytes)
            raise
        # Kept for when the store is away; a full disk does not make it wrong.
        with suppress(BundleError):
            self._here.put(model, version, file, data)
        return data

    @contextmanager
    def _locked(self, model: str, version: str) -> Iterator[None]:
        """Let one replica of the node fetch while the others wait; a lock ends with its process."""
        root = self._here.root
        try:
            folder, fault = make_own(root.parent, root.name, model)
            if fault:
                # It is this machine that is wrong, not the bundle.
                raise BundleUnavailable(f"cache: {fault}. Or set CACHE_PATH")
            with (folder / f".{version}.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StoreAway(
                f"{root}: cannot be used as cache ({error.strerror}); expected a folder "
                "that can be written, with room for the bundles. Set CACHE_PATH to one"
            ) from error
