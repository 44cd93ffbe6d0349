"""`sluice up --certfile --keyfile`: the port speaks TLS, in both modes.

In plain mode Ray gives the files to its proxy. In the fast mode its template for HAProxy has no
place for them, and its replicas would speak TLS while HAProxy does not. So there HAProxy gets a
second entrance, which speaks TLS and leads to Ray's own on the loopback.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.commands.fast_mode import free_ports
from serve_app.commands.target import host_of
from serve_app.errors import SettingsError

RAY_KEYS = ("ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True)
class Tls:
    """A certificate, with those that lead to its root after it, and its key; both PEM."""

    certfile: Path
    keyfile: Path


@dataclass(frozen=True)
class Entrance:
    """What Ray is given: the configuration, and variables in addition to those of the mode."""

    config: dict[str, Any]
    variables: Mapping[str, str]


def read_tls(certfile: Path | None, keyfile: Path | None) -> Tls | None:
    """The files, which fit each other; None without any. Raises SettingsError."""
    if certfile is None and keyfile is None:
        return None
    if certfile is None or keyfile is None:
        raise SettingsError("found one of --certfile and --keyfile, expected both or none")
    try:
        # A key that asks for a password would wait for one here, and in HAProxy.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certfile, keyfile, password="")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"--certfile {certfile}, --keyfile {keyfile}: cannot be used together "
            f"({type(error).__name__}); expected a certificate and its key, PEM, without password"
        ) from None
    return Tls(certfile.absolute(), keyfile.absolute())


def entrance(config: Mapping[str, Any], tls: Tls | None, fast: bool, folder: Path) -> Entrance:
    """How Ray has to be started, for the port of the configuration to speak TLS or not.

    Raises SettingsError for files in the configuration that would break the fast mode.
    """
    http = dict(config.get("http_options", {}))
    if fast and any(http.get(key) for key in RAY_KEYS):
        raise SettingsError(
            "http_options.ssl_certfile: found one, which Ray gives to its replicas and not to "
            "HAProxy; remove it and call sluice up with --certfile and --keyfile, or --plain"
        )
    if tls is None:
        return Entrance(dict(config), {})
    if not fast:
        files = dict(zip(RAY_KEYS, (str(tls.certfile), str(tls.keyfile)), strict=True))
        return Entrance({**config, "http_options": {**http, **files}}, {})
    (port,) = free_ports(1)
    outside = f"{host_of(http)}:{http.get('port', 8000)}"
    inside = {**http, "host": "127.0.0.1", "port": port}
    return Entrance(
        {**config, "http_options": inside},
        {"RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": _second_entrance(tls, outside, port, folder)},
    )


def _second_entrance(tls: Tls, outside: str, port: int, folder: Path) -> str:
    """The value of a variable that ends the defaults of HAProxy's file: further lines begin a
    section of their own (`fast_mode` has such lines too).
    """
    both = folder / "tls.pem"
    both.touch(mode=0o600)
    both.write_text(tls.certfile.read_text() + "\n" + tls.keyfile.read_text())
    return "\n".join(
        [
            "leastconn",
            "listen tls",
            # Also for the handshake, which `timeout http-request` does not count.
            "    timeout client 10s",
            f"    bind {outside} ssl crt {both} ssl-min-ver TLSv1.2 alpn http/1.1",
            f"    server ray 127.0.0.1:{port}",
        ]
    )
