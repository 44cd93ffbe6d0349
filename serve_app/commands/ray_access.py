"""Who can reach the Ray that `sluice up` starts: the loopback alone, and whoever has its token."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve_app.commands.fast_mode import (
    PLAIN_VARIABLES,
    SERVER_TIMEOUT,
    fast_environment,
    server_timeout_s,
)
from serve_app.commands.haproxy import BIND, bind_of
from serve_app.commands.target import host_of
from serve_app.errors import SettingsError

AUTH_MODE = "RAY_AUTH_MODE"
TOKEN = "token"
DISABLED = "disabled"
# No other user of the machine reads what Ray's processes write, such as the token.
UMASK = 0o077
LOOPBACK = "127.0.0.1"


def ray_environment(
    config: dict[str, Any], folder: Path, fast: bool, without_token: bool
) -> dict[str, str]:
    """The environment of a Ray of one's own on this machine, with its files in `folder`.

    In the fast mode `config` is changed: HAProxy listens where it said, and the replicas stay on
    the loopback. Raises SettingsError as `local_ray` does, and when no port is free.
    """
    env = {**os.environ, **local_ray(os.environ, without_token=without_token)}
    if not fast:
        return env | PLAIN_VARIABLES
    env |= fast_environment(folder)
    http_options = config.setdefault("http_options", {})
    env[BIND] = bind_of(host_of(http_options))
    http_options["host"] = LOOPBACK
    env[SERVER_TIMEOUT] = str(server_timeout_s(http_options.get("request_timeout_s")))
    return env


def local_ray(environment: Mapping[str, str], *, without_token: bool) -> dict[str, str]:
    """The variables that keep a Ray to this machine, and to who has its token.

    Raises SettingsError for a mode that Ray would take for none, such as one that is misspelt, and
    when only one of environment and command line switches the token off.
    """
    found = environment.get(AUTH_MODE, TOKEN)
    mode = found.lower()
    if mode not in (TOKEN, DISABLED):
        raise SettingsError(
            f"{AUTH_MODE}: found {found!r}, expected token. Ray asks for no token with any other "
            "value, and whoever reaches a port of a replica runs code as you. Unset the variable"
        )
    is_off = mode == DISABLED
    if is_off and not without_token:
        raise SettingsError(
            f"{AUTH_MODE}: found disabled, expected token. Without it, whoever reaches a port of "
            "a replica runs code as you. Unset the variable, or add --without-ray-token to say "
            "that you mean it"
        )
    if without_token and not is_off:
        raise SettingsError(
            f"--without-ray-token: found {AUTH_MODE}={mode}, expected disabled. This has to be "
            "said twice, since whoever reaches a port of a replica then runs code as you"
        )
    return {
        # Never join a Ray that happens to run on this machine.
        "RAY_ADDRESS": "local",
        AUTH_MODE: mode,
        # On Windows and macOS Ray keeps to the loopback, unless this says otherwise. It does the
        # same on Linux: raylet, GCS, workers and agents listen on 127.0.0.1 alone.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def keep_token_private(home: Path) -> None:
    """Let nobody else read a token that an earlier Ray wrote for everybody."""
    path = home / ".ray" / "auth_token"
    if path.is_file() and path.stat().st_uid == os.getuid():
        path.chmod(0o600)
