"""The secrets that seal prediction ids: where they are, how the first one is made, how they rotate.

A file, or a variable, has one secret a line: the first one seals, all of them open. A new one is
written below it, and becomes the first one once all servers have it.
"""

import asyncio
import binascii
import logging
import os
import re
import secrets
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from serve_app.bundle.objects import is_object_uri
from serve_app.errors import SettingsError
from serve_app.monitoring.labels.seal import Seal

logger = logging.getLogger(__name__)

PATH_VARIABLE = "LABEL_KEYS_PATH"
VARIABLE = "LABEL_KEYS"
# In the folder of the state, where no place is named.
FILE = "label_keys"
N_BYTES = 32
MOST_SECRETS = 16
MOST_BYTES = 8 * 1024
LOOK_EVERY_S = 1.0
EXPECTED = "expected one secret a line: 32 random bytes in base64, as `openssl rand -base64 32`"
NOTE = (
    "# Seals prediction ids: the first line seals, every line opens. Who has it can forge labels.\n"
)


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets of a file or variable, first the one that seals. Raises SettingsError.

    An error repeats nothing of the text.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    # A variable may have them on one line.
    written = re.split(r"[\s,]+", "\n".join(lines).strip(" \t\n,"))
    written = [part for part in written if part]
    if not 1 <= len(written) <= MOST_SECRETS:
        raise SettingsError(f"found {len(written)} secrets, expected 1 to {MOST_SECRETS}")
    return tuple(_parsed(line, number) for number, line in enumerate(written, 1))


def _parsed(line: str, number: int) -> bytes:
    plain = line.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        secret = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != N_BYTES:
        raise SettingsError(f"secret {number} cannot be used; {EXPECTED}")
    return secret


def new_secret() -> str:
    """One line."""
    return b64encode(secrets.token_bytes(N_BYTES)).decode()


class Secrets:
    """The seal of one model, by secrets that may change while it is used.

    `read` gives the text that has them. The first text raises SettingsError when it is broken; of a
    later one that is, the last good secrets stay, since nobody could be answered without an id.
    """

    def __init__(self, model: str, read: Callable[[], str], place: str) -> None:
        self._model = model
        self._read = read
        self._place = place
        self._text = ""
        self.error: str | None = None
        self.seal = self._taken()

    def _taken(self) -> Seal:
        try:
            text = self._read()
            found = Seal(parse_secrets(text), self._model)
        except (OSError, UnicodeDecodeError) as error:
            kind = type(error).__name__
            raise SettingsError(f"{self._place}: cannot be read ({kind}); {EXPECTED}") from None
        except SettingsError as error:
            raise SettingsError(f"{self._place}: {error}") from None
        self._text = text
        return found

    def look(self) -> None:
        """Take what is there now. Never raises."""
        try:
            if self._read() == self._text:
                self.error = None
                return
            self.seal = self._taken()
        except Exception as error:
            said = str(error) or type(error).__name__
            if said != self.error:
                logger.error("the secrets of prediction ids were refused, the last stay: %s", said)
            self.error = said
        else:
            self.error = None
            logger.info("the secrets of prediction ids were taken again")

    async def follow_forever(self, every_s: float = LOOK_EVERY_S) -> None:
        """Look once a second until cancelled, in a thread."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.look)


def open_secrets(
    setting: str | None, state: str, model: str, environment: Mapping[str, str] = os.environ
) -> Secrets:
    """The secrets in force: `LABEL_KEYS`, or a file that is named, or one in the state's folder.

    That last one is made by whichever process comes first. Where it cannot be, as in an object
    store, ids are sealed by a secret of this process, so that only its own labels can be joined.
    Raises SettingsError for what is named and cannot be used.
    """
    given = environment.get(VARIABLE)
    if given:
        return Secrets(model, lambda: given, VARIABLE)
    named = environment.get(PATH_VARIABLE) or setting
    if named:
        path = Path(named)
        return Secrets(model, lambda: _file_text(path), str(path))
    if not is_object_uri(state):
        path = Path(state) / FILE
        try:
            make_secrets(path)
        except OSError as error:
            logger.warning("%s: cannot be made (%s)", path, error.strerror)
        else:
            return Secrets(model, lambda: _file_text(path), str(path))
    logger.warning(
        "prediction ids are sealed by a secret of this process alone: labels can be joined by no "
        "other server, nor after a restart; set %s (docs/labels.md)",
        PATH_VARIABLE,
    )
    own = new_secret()
    return Secrets(model, lambda: own, "a secret of this process")


def make_secrets(path: Path) -> None:
    """Make a file with one secret, for its owner alone, unless there is one. Raises OSError.

    Of several processes that start at once one makes it, whole, and all others read that one.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    written = Path(name)
    try:
        # mkstemp has made it 0600.
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{NOTE}{new_secret()}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(written, path)
        except FileExistsError:
            return
    finally:
        written.unlink(missing_ok=True)


def _file_text(path: Path) -> str:
    with path.open("rb") as file:
        found = file.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise SettingsError(f"found more than {MOST_BYTES} bytes; {EXPECTED}")
    return found.decode()


def texts_of(secrets_: Sequence[bytes]) -> str:
    """Secrets as a file has them."""
    return "".join(f"{b64encode(secret).decode()}\n" for secret in secrets_)
