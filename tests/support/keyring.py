"""API keys for tests: entries whose secrets are known, files of them, and who asks with which."""

from pathlib import Path
from typing import Any

from serve_app.access.auth import Auth
from serve_app.access.key_file import FollowedKeys, write_key_file
from serve_app.access.keys import KeyEntry, KeyFile, new_entry, secret_sha256, whole_key

# The clock of the tests, in seconds: 2026-01-01. What is over, and what is to come.
NOW_S = 1_767_225_600.0
OVER = "2025-12-31T23:59:59Z"
TO_COME = "2026-01-01T00:00:01Z"


def secret_of(id_: str) -> str:
    """The secret of a test's key; as long as a real one."""
    return f"{id_}-secret".ljust(43, "x")


def key_of(id_: str) -> str:
    """The whole key, as a client sends it."""
    return whole_key(id_, secret_of(id_))


def entry(id_: str, *scopes: str, **more: Any) -> KeyEntry:
    """An entry of the file."""
    values = {"id": id_, "secret_sha256": secret_sha256(secret_of(id_)), "scopes": list(scopes)}
    return new_entry({**values, **more})


# One of each scope, and one that is over.
ENTRIES = (
    entry("shop", "predict", rows_per_s=50, burst_rows=100),
    entry("labels", "feedback"),
    entry("ops", "admin", expires=TO_COME),
    entry("old", "admin", expires=OVER),
)
# What is nobody's key, each in another way.
WRONG_KEYS = {
    "no key": None,
    "empty": "",
    "unknown id": key_of("nobody"),
    "wrong secret": whole_key("shop", secret_of("ops")),
    "expired": key_of("old"),
    "id alone": "shop",
    "secret alone": secret_of("shop"),
    "an empty secret": "shop.",
    "more behind": key_of("shop") + "x",
    "too long": key_of("shop") + "." * 300,
    "another case": key_of("shop").upper(),
}


def write_keys(path: Path, *entries: KeyEntry) -> Path:
    """A key file."""
    write_key_file(path, KeyFile(keys=entries or ENTRIES))
    return path


def keyed(path: Path, *entries: KeyEntry) -> tuple[Auth, FollowedKeys]:
    """Keys are asked for, at the time of the tests; and the file, which a test lets look again."""
    file = FollowedKeys(write_keys(path / "keys.yaml", *entries))
    return Auth(file, clock=lambda: NOW_S), file
