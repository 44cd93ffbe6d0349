"""Whether keys are asked for, and what a caller may do and see."""

import os
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path

from serve_app.access.caller import Caller
from serve_app.access.key_file import FollowedKeys
from serve_app.settings import AUTH_DISABLED

VARIABLE = "KEYS_PATH"


class Auth:
    """How a server lets its callers in, which is one of three ways.

    With a key file, every route but the open ones takes a key of it. Disabled, nobody is asked, and
    something in front decides who gets here. With neither, the server is on this machine's
    loopback, and whoever asks is its user.
    """

    def __init__(
        self,
        file: FollowedKeys | None = None,
        *,
        is_disabled: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._is_disabled = is_disabled
        self._clock = clock

    @property
    def asks(self) -> bool:
        """Whether callers need a key."""
        return self._file is not None

    @property
    def error(self) -> str | None:
        """Why the newest key file was refused."""
        return None if self._file is None else self._file.error

    def caller(self, given: bytes) -> Caller | None:
        """Whose the key in a header is; None: nobody's, or nobody is asked."""
        if self._file is None:
            return None
        return self._file.keys.caller(given, self._clock())

    def shows_reasons(self, caller: Caller | None) -> bool:
        """Whether a caller may read why something is wrong: paths of this machine stand in it."""
        if self._file is None:
            return not self._is_disabled
        return caller is not None and "admin" in caller.scopes

    async def follow_forever(self) -> None:
        """Follow the key file until cancelled; ends at once where there is none."""
        if self._file is not None:
            await self._file.look_forever()


def auth_setting(setting: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """What is in force: `KEYS_PATH`, or what the file says; None where neither says anything."""
    return environment.get(VARIABLE) or setting


def open_auth(setting: str | None) -> Auth:
    """How a server lets its callers in, by `args.auth`. Raises SettingsError for a broken file."""
    found = auth_setting(setting)
    if found is None or found == AUTH_DISABLED:
        return Auth(is_disabled=found is not None)
    return Auth(FollowedKeys(Path(found)))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A name, which may mean any address.
        return False


def open_fault(host: str) -> str:
    """What is said of a server that others reach and that says nothing of keys."""
    return (
        f"missing, and http_options.host is {host}: expected `auth` in args, or KEYS_PATH, to be "
        "a key file, or `disabled` written out where something in front asks who calls: "
        "docs/access.md"
    )
