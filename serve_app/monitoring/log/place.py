"""Where the log is: `<place>/<model>/<application>/<day>/<part>`, in a folder or an object store.

A part grows in a folder of its node, the *spool*: below the log itself where that is a folder, so
that readers find the last rows too, and below the node's cache for an object store, where nothing
can grow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from serve_app.bundle.cache import cache_folder
from serve_app.bundle.objects import (
    NoSuchObject,
    ObjectExists,
    ObjectFault,
    Objects,
    ObjectTooLarge,
    is_object_uri,
    open_objects,
    scheme_fault,
)
from serve_app.bundle.ownership import make_own
from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.part import OPEN, begin_of, make_folder
from serve_app.settings import MOST_PART_S

RETRY_S = 5.0
TIMEOUT_S = 30.0
SPOOL = "open"
# A part is ended when it has 16 MB, and by then has half a second more of answers.
MOST_PART_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class FoundPart:
    """A part that is there. `key` is its place, `begin` when its first row was answered."""

    key: str
    begin: datetime
    is_open: bool


class LogPlace:
    """The place of a log. Calls wait for it, and raise PredictionLogError."""

    def __init__(self, uri: str) -> None:
        fault = scheme_fault(uri)
        if fault:
            raise PredictionLogError(f"log: {fault}")
        self.uri = uri
        self._objects: Objects | None = None

    def spool(self, model: str, application: str) -> Path:
        """The folder in which parts of an application grow on this node."""
        top, below = self._spool(model, application)
        return top.joinpath(*below)

    def waiting(self, model: str, application: str) -> Path:
        """The folder in which all parts lie that share one room on this node.

        Those of every log below the cache for an object store, and else the spool alone.
        """
        top, below = self._spool(model, application)
        return top / below[0] if is_object_uri(self.uri) else top.joinpath(*below)

    def make_spool(self, model: str, application: str) -> Path:
        """The same, made where it is missing.

        It is this user's own, since rows of others lie there. Raises OSError.
        """
        top, below = self._spool(model, application)
        if not is_object_uri(self.uri):
            folder = top.joinpath(*below)
            make_folder(folder)
            return folder
        folder, fault = make_own(top, *below)
        if fault:
            raise PredictionLogError(f"log: {fault}")
        return folder

    def _spool(self, model: str, application: str) -> tuple[Path, tuple[str, ...]]:
        if is_object_uri(self.uri):
            place = sha256(self.uri.encode()).hexdigest()[:16]
            return cache_folder(), ("log", place, model, application, SPOOL)
        return Path(self.uri).absolute(), (model, application, SPOOL)

    def put(self, model: str, application: str, path: Path) -> None:
        """Put a finished part of the spool to its day; one that is there already is the same."""
        begin = begin_of(path.name)
        if begin is None:
            return
        key = f"{model}/{application}/{begin:%Y-%m-%d}/{path.name}"
        if not is_object_uri(self.uri):
            self._move(path, Path(self.uri) / key)
            return
        try:
            self._client().create(key, path.read_bytes())
        except ObjectExists:
            pass
        except ObjectFault as error:
            raise self._fault("cannot be written", error) from error
        except FileNotFoundError:
            # Another server of this node was there first.
            return
        path.unlink(missing_ok=True)

    def _move(self, path: Path, target: Path) -> None:
        """Give a part of the spool its place below the same folder, with its mode as it is."""
        try:
            make_folder(target.parent.absolute())
            path.replace(target)
        except FileNotFoundError:
            # Another server of this node was there first.
            return
        except OSError as error:
            raise PredictionLogError(
                f"log: {self.uri} cannot be written ({error.strerror})"
            ) from error

    def parts(self, model: str, since: datetime | None = None) -> Iterator[FoundPart]:
        """Yield the parts of a model that may hold rows since then, in order of their begin."""
        if not is_object_uri(self.uri) and not Path(self.uri).exists():
            # The client would make the folder, and a typing error would leave one.
            return
        try:
            keys = self._client().below(model)
        except ObjectFault as error:
            raise self._fault("cannot be listed", error) from error
        first = None if since is None else since - timedelta(seconds=MOST_PART_S + 60)
        found = []
        for key in keys:
            name = key.rpartition("/")[2]
            begin = begin_of(name)
            if begin is not None and (first is None or begin >= first):
                found.append(FoundPart(key, begin, name.endswith(OPEN)))
        yield from sorted(found, key=lambda part: (part.begin, part.key))

    def read(self, part: FoundPart) -> bytes:
        """The bytes of a part, as many as are there now; none when it is there no more."""
        try:
            return self._client().get(part.key, MOST_PART_BYTES)
        except NoSuchObject:
            return self._read_finished(part)
        except ObjectTooLarge as error:
            raise PredictionLogError(
                f"{self.uri}/{part.key}: found {error.n_bytes} bytes, expected at most "
                f"{MOST_PART_BYTES}: no part of this log"
            ) from None
        except ObjectFault as error:
            raise self._fault("cannot be read", error) from error

    def path_of(self, part: FoundPart) -> Path | None:
        """The file of a part, where it is a whole one on this machine."""
        return None if part.is_open or is_object_uri(self.uri) else Path(self.uri) / part.key

    def _read_finished(self, part: FoundPart) -> bytes:
        """The bytes of a part that was open when it was listed, and was put to its day since."""
        if not part.is_open:
            return b""
        head, _, name = part.key.removesuffix(OPEN).rpartition("/")
        owner = head.removesuffix(f"/{SPOOL}")
        for key in (f"{head}/{name}", f"{owner}/{part.begin:%Y-%m-%d}/{name}"):
            try:
                return self._client().get(key, MOST_PART_BYTES)
            except NoSuchObject:
                continue
            except (ObjectFault, ObjectTooLarge):
                break
        return b""

    def forget(self, model: str, application: str, before: datetime) -> int:
        """Delete the parts that were begun before the day of `before`; how many there were."""
        day = before.replace(hour=0, minute=0, second=0, microsecond=0)
        n_deleted = 0
        try:
            for key in self._client().below(f"{model}/{application}"):
                begin = begin_of(key.rpartition("/")[2])
                if begin is not None and begin < day and not key.endswith(OPEN):
                    self._client().delete(key)
                    n_deleted += 1
        except ObjectFault as error:
            raise self._fault("cannot be tidied up", error) from error
        return n_deleted

    def _client(self) -> Objects:
        """The client, made at the first call: a place that is away does not keep a server down."""
        if self._objects is None:
            try:
                if not is_object_uri(self.uri):
                    make_folder(Path(self.uri).absolute())
                self._objects = open_objects(self.uri, retry_s=RETRY_S, timeout_s=TIMEOUT_S)
            except (ValueError, OSError) as error:
                raise PredictionLogError(f"log: {self.uri} cannot be opened ({error})") from error
        return self._objects

    def _fault(self, what: str, error: ObjectFault) -> PredictionLogError:
        return PredictionLogError(f"log: {self.uri} {what} ({error.kind})")
