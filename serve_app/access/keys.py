"""API keys: what a key file lists, and whose a key is. Nothing here reads a file or a clock."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from math import inf
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from serve_app.access.caller import Caller, Permission
from serve_app.bundle.manifest import Sha256
from serve_app.errors import SettingsError
from serve_app.settings import Setting
from serve_app.settings.yaml_once import load_yaml

Scope = Literal["predict", "feedback", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# Lower case and shorter than a secret or its hash, so that an error may name an id.
ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,39}$"
# 256 random bits, which nobody guesses: a fast hash keeps them as well as a slow one would.
SECRET_BYTES = 32
# A header that is longer is no key, and is not hashed.
MAX_KEY_BYTES = 200
MAX_KEYS = 1_000
MAX_LINES = 20
# A row in eleven days. By a rate that is no number to divide by, nobody could be told when to come
# again.
LEAST_ROWS_PER_S = 1e-6
# What is said of a field that cannot be used: never what was found, since it may be a secret.
EXPECTED = {
    "id": "expected 1 to 40 of a-z, 0-9, - and _, and a letter or a digit first",
    "secret_sha256": "expected 64 hexadecimal digits, as `sluice keys add` writes them",
    "scopes": f"expected a list of {', '.join(SCOPES)}",
    "expires": "expected a date and time with a zone, such as 2027-01-31T00:00:00Z",
    "rows_per_s": f"expected a number of {LEAST_ROWS_PER_S:f} or more",
    "burst_rows": "expected a whole number of 1 or more",
}
NOTE = "# Written by `sluice keys`. A secret is not in here: only its SHA-256.\n"
BROKEN_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)


def _moment(value: Any) -> Any:
    """A time as YAML or a command line writes it; numbers are refused, which pydantic takes."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(EXPECTED["expires"])
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # In UTC it lies before the year 1, or after 9999.
        raise ValueError(EXPECTED["expires"]) from None


class KeyEntry(Setting):
    """One key of the file, without its secret."""

    id: Annotated[str, Field(pattern=ID_PATTERN, description="the public half: who asks")]
    secret_sha256: Annotated[Sha256, Field(description="of the secret half")]
    scopes: Annotated[
        tuple[Scope, ...],
        Field(strict=False, min_length=1, max_length=3, description="admin includes the others"),
    ] = ("predict",)
    expires: Annotated[
        datetime | None,
        BeforeValidator(lambda value: value if value is None else _moment(value)),
        Field(description="from then on the key is refused; never by default"),
    ] = None
    rows_per_s: Annotated[
        float | None,
        Field(
            ge=LEAST_ROWS_PER_S,
            le=1e9,
            description="most rows a second, over all servers of a model",
        ),
    ] = None
    burst_rows: Annotated[
        int | None, Field(ge=1, le=1_000_000_000, description="rows that may come at once")
    ] = None

    @property
    def caller(self) -> Caller:
        """Whom this key is of, as the door tells the routes."""
        scopes: frozenset[Permission] = frozenset(self.scopes)
        if "admin" in scopes:
            scopes = frozenset(SCOPES)
        return Caller(self.id, scopes, self.rows_per_s, self.burst_rows)


class KeyFile(Setting):
    """What a key file lists."""

    keys: Annotated[
        tuple[KeyEntry, ...],
        Field(strict=False, max_length=MAX_KEYS, description="the keys; ids are unique"),
    ]

    @model_validator(mode="after")
    def _check(self) -> "KeyFile":
        first: dict[str, int] = {}
        for number, entry in enumerate(self.keys, 1):
            if entry.id in first:
                raise ValueError(
                    f"entry {number}: found the id {entry.id}, which entry {first[entry.id]} has; "
                    "expected each id once"
                )
            first[entry.id] = number
            if entry.burst_rows is not None and entry.rows_per_s is None:
                raise ValueError(
                    f"entry {number} ({entry.id}): found burst_rows without rows_per_s; "
                    "expected both, or rows_per_s alone"
                )
        return self


def parse_keys(text: str) -> KeyFile:
    """The keys that a YAML text lists.

    Raises SettingsError with one line for each fault: which entry, and what is expected. It repeats
    nothing of the text but sound ids.
    """
    try:
        found = load_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"line {line} is no YAML") from None
    except BROKEN_YAML:
        raise SettingsError("it is no YAML") from None
    return _checked(found)


def new_entry(values: Mapping[str, Any]) -> KeyEntry:
    """One entry. Raises SettingsError: which field, and what is expected."""
    try:
        return _checked({"keys": [dict(values)]}).keys[0]
    except SettingsError as error:
        lines = (line.partition(": ")[2] for line in str(error).splitlines())
        raise SettingsError("\n".join(lines)) from None


def _checked(found: Any) -> KeyFile:
    try:
        return KeyFile.model_validate(found)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        # A field that is wrong in two ways is one fault.
        lines = list(dict.fromkeys(_line(fault, found) for fault in faults))
        more = [f"and {len(lines) - MAX_LINES:,} more"] if len(lines) > MAX_LINES else []
        raise SettingsError("\n".join([*lines[:MAX_LINES], *more])) from None


def _line(fault: Any, found: Any) -> str:
    loc = fault["loc"]
    if not loc and fault["type"] == "value_error":
        # A sentence of ours.
        return str(fault["msg"]).removeprefix("Value error, ")
    if len(loc) < 2 or loc[0] != "keys":
        return f"expected a mapping with one key, the list `keys`, of at most {MAX_KEYS:,} entries"
    where = f"entry {loc[1] + 1}{_called(found, loc[1])}: "
    if len(loc) == 2:
        return where + f"expected a mapping of {', '.join(EXPECTED)}"
    field = str(loc[2])
    if fault["type"] == "extra_forbidden" or field not in EXPECTED:
        return where + f"an unknown key; expected one of: {', '.join(EXPECTED)}"
    missing = "missing; " if fault["type"] == "missing" else ""
    return f"{where}{field}: {missing}{EXPECTED[field]}"


def _called(found: Any, position: int) -> str:
    """The id of an entry in brackets, if it has a sound one."""
    entries = found["keys"]
    entry = entries[position] if isinstance(entries, list) else None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
        return ""
    try:
        sound = KeyEntry(id=entry["id"], secret_sha256="0" * 64)
    except ValidationError:
        return ""
    return f" ({sound.id})"


def file_text(file: KeyFile) -> str:
    """The key file as YAML."""
    values = file.model_dump(mode="json", exclude_none=True)
    return NOTE + yaml.safe_dump(values, sort_keys=False)


def new_secret() -> str:
    """A secret half, which is shown once and kept nowhere."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret_sha256(secret: str) -> str:
    """What the file keeps of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def whole_key(id_: str, secret: str) -> str:
    """A key as a client sends it."""
    return f"{id_}.{secret}"


@dataclass(frozen=True)
class _Known:
    digest: bytes
    expires_s: float
    caller: Caller | None

    @classmethod
    def of(cls, entry: KeyEntry) -> "_Known":
        """An entry as it is compared."""
        expires_s = entry.expires.timestamp() if entry.expires else inf
        return cls(bytes.fromhex(entry.secret_sha256), expires_s, entry.caller)


class Keys:
    """The keys in force."""

    def __init__(self, file: KeyFile) -> None:
        self._known = {entry.id.encode(): _Known.of(entry) for entry in file.keys}
        # An unknown id is compared with a hash that nobody knows the secret of.
        self._nobody = _Known(secrets.token_bytes(hashlib.sha256().digest_size), inf, None)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._known)

    def caller(self, given: bytes, now_s: float) -> Caller | None:
        """Whose the key in a header is, at this time of the clock on the wall; None: nobody's.

        An unknown id, a wrong secret and an expired key take the same steps.
        """
        if len(given) > MAX_KEY_BYTES:
            given = b""
        name, _, secret = given.partition(b".")
        known = self._known.get(name, self._nobody)
        is_right = compare_digest(hashlib.sha256(secret).digest(), known.digest)
        is_in_time = now_s < known.expires_s
        return known.caller if is_right and is_in_time else None
