"""The API key that a command sends, from the environment: a command line is seen by others."""

import os
import re
import urllib.request

from serve_app.errors import KeyRequired, NotAllowed, SettingsError

VARIABLE = "SLUICE_API_KEY"
HEADER = "X-API-Key"
SENDABLE = re.compile(r"[\x21-\x7e]{1,200}")
REFUSALS = (KeyRequired.code, NotAllowed.code)
HINT = f"this command sends the key that is in {VARIABLE}"


def add_key(request: urllib.request.Request) -> None:
    """Send the key of the environment along, if there is one; not to where a redirect leads.

    Raises SettingsError for one that cannot be sent, without repeating it.
    """
    key = os.environ.get(VARIABLE, "").strip()
    if not key:
        return
    if not SENDABLE.fullmatch(key):
        raise SettingsError(
            f"{VARIABLE}: found what is no key, expected <id>.<secret> as `sluice keys add` "
            "printed it"
        )
    request.add_unredirected_header(HEADER, key)
