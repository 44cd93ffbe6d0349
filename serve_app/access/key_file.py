"""The key file on disk: read, followed while it changes, and written in one step."""

import asyncio
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE, S_IWOTH

from serve_app.access.keys import KeyFile, Keys, file_text, parse_keys
from serve_app.errors import SettingsError

logger = logging.getLogger(__name__)

MAX_KB = 256
LOOK_EVERY_S = 1.0


def read_key_file(path: Path) -> KeyFile:
    """The keys of a file. Raises SettingsError: one line a fault, each with the path."""
    return _parsed(path, _read(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(MAX_KB * 1024 + 1)
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); expected a key file, as "
            "`sluice keys add` writes it"
        ) from None
    if len(found) > MAX_KB * 1024:
        raise SettingsError(f"{path}: found more than {MAX_KB} KB, expected a key file")
    return found


def _parsed(path: Path, found: bytes) -> KeyFile:
    try:
        return parse_keys(found.decode())
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: expected text in UTF-8") from None
    except SettingsError as error:
        lines = [f"{path}: {line}" for line in str(error).splitlines()]
        raise SettingsError("\n".join(lines)) from None


class FollowedKeys:
    """The keys of a file that changes while they are asked.

    The first file raises SettingsError when it is broken. Of a later one that is broken, `error`
    says why, and the last good keys stay. The whole file is read and compared each time: Kubernetes
    swaps a link, an editor writes in place, and neither is missed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # What was read last, sound or broken; nothing where it could not be read.
        self._seen: bytes | None = _read(path)
        self.keys = Keys(_parsed(path, self._seen))
        self.error: str | None = None

    def look(self) -> None:
        """Take what the file says now. Never raises."""
        seen = self._seen
        self._seen = None
        try:
            found = _read(self._path)
            self._seen = found
            if found == seen:
                return
            self.keys = Keys(_parsed(self._path, found))
        except SettingsError as error:
            self._refuse(str(error))
        except Exception as error:
            # Whatever is wrong with it, the keys in force stay.
            self._refuse(f"{self._path}: cannot be read ({type(error).__name__})")
        else:
            self.error = None
            logger.info("the key file was taken: %d keys", len(self.keys))

    def _refuse(self, error: str) -> None:
        if error != self.error:
            logger.error("the key file was refused, the last good keys stay: %s", error)
        self.error = error

    async def look_forever(self, every_s: float = LOOK_EVERY_S) -> None:
        """Look once a second until cancelled, in a thread: a disk that hangs holds up no answer."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.look)


def write_key_file(path: Path, file: KeyFile) -> None:
    """Put a file in the place of another in one step.

    Whoever reads meanwhile has the one or the other whole. A new file is for its owner alone; one
    that was there keeps its owner and its mode, or else the server that follows it could read it no
    more, and would go on with the keys that it has. Raises SettingsError.
    """
    try:
        # A link stays a link, to the new file.
        target = path.resolve()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        written = Path(name)
        try:
            # mkstemp has made it 0600.
            with os.fdopen(descriptor, "w") as open_file:
                _hand_over(path, target, descriptor)
                open_file.write(file_text(file))
                open_file.flush()
                os.fsync(open_file.fileno())
            written.replace(target)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror})") from None


def _hand_over(path: Path, target: Path, descriptor: int) -> None:
    """Give an open file the owner and the mode of the one that it replaces, if there is one."""
    try:
        before = target.stat()
    except FileNotFoundError:
        return
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except OSError as error:
        raise SettingsError(
            f"{path}: belongs to user {before.st_uid}, group {before.st_gid}, and cannot be "
            f"written in their name ({error.strerror}); expected a call by that user, or by root"
        ) from None
    # But nobody else may add a key.
    os.fchmod(descriptor, S_IMODE(before.st_mode) & ~S_IWOTH)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Two commands that change a file of this folder come one after the other."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be opened ({error.strerror})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
