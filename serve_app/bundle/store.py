"""Where bundles live: `<store>/<model>/<version>/<file>` in a folder or under an object-store URI."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from serve_app.bundle.manifest import MANIFEST
from serve_app.errors import BundleError, BundleUnavailable

OBJECT_SCHEMES = ("s3://", "gs://", "az://", "memory://")


class Store(Protocol):
    """What serving and training ask of a store. Every failure is a BundleError; what may pass is BundleUnavailable."""

    uri: str
    is_local: bool

    def read(self, model: str, version: str, file: str) -> bytes:
        """The bytes of one file."""

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Add a version; refused when it is there already, since versions are immutable."""


def open_store(uri: str) -> Store:
    """A store for a folder or for `s3://bucket/prefix`, `gs://…`, `az://…`. `MODEL_PATH` overrides both.

    Raises BundleError for a URI that is none of these, or that its client cannot use.
    """
    uri = os.environ.get("MODEL_PATH") or uri
    if uri.startswith(OBJECT_SCHEMES):
        try:
            return ObjectStoreStore(uri, from_url(uri))
        except (BaseError, ValueError) as error:
            raise BundleError(f"store: {uri!r} cannot be used ({str(error).splitlines()[0]})") from None
    if "://" in uri:
        raise BundleError(f"store: found {uri!r}, expected a folder or one of {', '.join(OBJECT_SCHEMES)}")
    return FolderStore(Path(uri))


class FolderStore:
    """Bundles in a local folder; a relative one is taken from where Ray was started."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(self.root)

    def read(self, model: str, version: str, file: str) -> bytes:
        """The bytes of one file."""
        path = self.root / model / version / file
        try:
            if path.exists() and not path.is_file():
                raise BundleError(f"{path}: is no regular file; expected one written by training")
            return path.read_bytes()
        except FileNotFoundError:
            raise BundleUnavailable(_missing(str(path), model, version)) from None
        except OSError as error:
            raise BundleUnavailable(f"{path}: cannot be read ({error.strerror}); check the permissions") from error

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""
        return sorted(path.parent.name for path in self.root.glob(f"{model}/*/{MANIFEST}"))

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Write beside the final place and rename, so that nobody ever sees half a bundle."""
        target = self.root / model / version
        if target.exists():
            raise BundleError(_immutable(str(target)))
        try:
            with _folder(target.parent):
                draft = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=target.parent))
                try:
                    for name, data in files.items():
                        (draft / name).write_bytes(data)
                    draft.chmod(0o755)
                    draft.rename(target)
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
        except OSError as error:
            raise BundleError(f"{target}: cannot be written ({error.strerror})") from error


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """A folder that is there; if it was made here and nothing came to lie in it, it goes again."""
    try:
        path.mkdir(parents=True)
        made = True
    except FileExistsError:
        made = False
    try:
        yield
    finally:
        if made:
            with suppress(OSError):  # rmdir refuses a folder with something in it
                path.rmdir()


class ObjectStoreStore:
    """Bundles under a URI of an object store."""

    is_local = False

    def __init__(self, uri: str, objects: ObjectStore) -> None:
        self.uri = uri
        self._objects = objects

    def read(self, model: str, version: str, file: str) -> bytes:
        """The bytes of one file."""
        key = f"{model}/{version}/{file}"
        try:
            return bytes(obstore.get(self._objects, key).bytes())
        except (NotFoundError, FileNotFoundError):
            raise BundleUnavailable(_missing(f"{self.uri}/{key}", model, version)) from None
        except BaseError as error:
            raise BundleUnavailable(f"{self.uri}/{key}: cannot be read ({type(error).__name__})") from error

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""
        try:
            batches = list(obstore.list(self._objects, prefix=f"{model}/"))
        except BaseError as error:
            raise BundleError(f"{self.uri}: cannot be listed ({type(error).__name__})") from error
        paths = [Path(entry["path"]) for batch in batches for entry in batch]
        return sorted(path.parent.name for path in paths if path.name == MANIFEST)

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """The manifest goes last: a version without one does not exist."""
        if version in self.versions(model):
            raise BundleError(_immutable(f"{self.uri}/{model}/{version}"))
        try:
            for name in sorted(files, key=lambda name: name == MANIFEST):
                obstore.put(self._objects, f"{model}/{version}/{name}", files[name])
        except BaseError as error:
            raise BundleError(f"{self.uri}: cannot be written ({type(error).__name__})") from error


def _missing(place: str, model: str, version: str) -> str:
    return (
        f"{place}: not found; expected the bundle of {model} {version}. "
        f"Make it with: python -m training {model} --version {version}"
    )


def _immutable(place: str) -> str:
    return f"{place}: exists already, and a version is immutable. Choose the next version number."
