"""Where bundles live: `<store>/<model>/<version>/<file>`. Here in a folder; see object_store.py."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from serve_app.bundle.manifest import MANIFEST
from serve_app.bundle.ownership import own_fault, way_fault
from serve_app.errors import BundleError, BundleUnavailable

# Of files whose size no manifest says: the manifest itself, and signatures. A manifest takes some
# 3.5 KB for each field, so this is room for two thousand, and lists of choices are long. It bounds
# how long a server answers nobody, too: pydantic parses with the interpreter's lock held, in a
# thread as anywhere, for tens of milliseconds a megabyte (golden rows take longest).
MOST_UNLISTED_BYTES = 8 * 1024**2


class Store(Protocol):
    """What serving and training ask of a store.

    Every failure is a BundleError; what may pass is BundleUnavailable.
    """

    uri: str

    def read(
        self, model: str, version: str, file: str, most_bytes: int = MOST_UNLISTED_BYTES
    ) -> bytes:
        """The bytes of one file; refused before it is read when it has more than `most_bytes`."""

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""

    def doubt(self, model: str, version: str) -> str:
        """Where a version comes from, if others than this user may have put it there; else empty.

        What such a version runs must be pinned.
        """

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Add a version; refused when it is there already, since versions are immutable."""

    def put(self, model: str, version: str, file: str, data: bytes) -> None:
        """Put a file next to the bundle, such as its signature; an older one is replaced."""

    def remove(self, model: str, version: str) -> None:
        """Take a version away whole: whoever reads finds it complete, or not at all.

        Raises BundleUnavailable when there is none. What a removal that was cut off has left may be
        removed again.
        """


class FolderStore:
    """Bundles in a local folder; a relative one is taken from where Ray was started."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(self.root)

    def read(
        self, model: str, version: str, file: str, most_bytes: int = MOST_UNLISTED_BYTES
    ) -> bytes:
        """The bytes of one file."""
        path = self.root / model / version / file
        try:
            if path.exists() and not path.is_file():
                raise BundleError(f"{path}: is no regular file; expected one written by training")
            with path.open("rb") as opened:
                n_bytes = os.fstat(opened.fileno()).st_size
                if n_bytes > most_bytes:
                    raise BundleError(too_large(str(path), most_bytes, n_bytes))
                return opened.read(n_bytes)
        except FileNotFoundError:
            raise BundleUnavailable(missing(str(path), model, version)) from None
        except OSError as error:
            raise BundleUnavailable(
                f"{path}: cannot be read ({error.strerror}); check the permissions"
            ) from error

    def versions(self, model: str) -> list[str]:
        """The versions that have a manifest, in lexical order."""
        found = (path.parent.name for path in self.root.glob(f"{model}/*/{MANIFEST}"))
        # A name with a dot in front is a draft.
        return sorted(name for name in found if not name.startswith("."))

    def doubt(self, model: str, version: str) -> str:
        """Who owns or may write the folder, its files, or a folder around it, decides what runs."""
        bundle = self.root / model / version
        try:
            for path in (self.root, bundle.parent, bundle, *sorted(bundle.iterdir())):
                fault = way_fault(path) or own_fault(path.resolve(), or_root=True)
                if fault:
                    return f"a folder that others can change ({fault})"
        except OSError as error:
            return f"a folder that cannot be looked at ({error.strerror})"
        return ""

    def write(self, model: str, version: str, files: Mapping[str, bytes]) -> None:
        """Write next to the final place and rename, so that nobody ever sees half a bundle."""
        target = self.root / model / version
        if target.exists():
            raise BundleError(immutable(str(target)))
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

    def put(self, model: str, version: str, file: str, data: bytes) -> None:
        """Write next to the final place and rename: a reader has the old one or the new one."""
        target = self.root / model / version / file
        draft = target.with_name(f".{file}-{os.getpid()}")
        try:
            draft.write_bytes(data)
            draft.rename(target)
        except OSError as error:
            raise BundleError(f"{target}: cannot be written ({error.strerror})") from error
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, model: str, version: str) -> None:
        """Rename it out of sight first, which is one step, and delete it then."""
        target = self.root / model / version
        if not target.is_dir():
            raise BundleUnavailable(nothing_to_remove(str(target)))
        try:
            away = Path(tempfile.mkdtemp(prefix=f".removed-{version}-", dir=target.parent))
            # A folder may take the place of an empty one.
            target.rename(away)
            shutil.rmtree(away)
        except OSError as error:
            raise BundleError(f"{target}: cannot be removed ({error.strerror})") from error


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
            # rmdir refuses a folder with something in it.
            with suppress(OSError):
                path.rmdir()


def too_large(place: str, most_bytes: int, n_bytes: int) -> str:
    """What to say of a file that is larger than it may be."""
    return f"{place}: expected {most_bytes} bytes or fewer, found {n_bytes}: replaced"


def missing(place: str, model: str, version: str) -> str:
    """What to say of a file that is not there."""
    return (
        f"{place}: not found; expected the bundle of {model} {version}. Make it with: python -m "
        f"training {model} --version {version}"
    )


def nothing_to_remove(place: str) -> str:
    """What to say of a version that would be removed and is not there."""
    return f"{place}: not found; expected a version of this store. `sluice versions` lists them."


def immutable(place: str) -> str:
    """What to say of a version that would be overwritten."""
    return f"{place}: exists already, and a version is immutable. Choose the next version number."
