"""Whether a server that others reach says how it lets them in, and its key file is sound."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serve_app.access.auth import auth_setting, is_loopback, open_fault
from serve_app.access.key_file import read_key_file
from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.plan import Plan
from serve_app.commands.target import RAYS_OWN_HOST, host_of
from serve_app.errors import SettingsError
from serve_app.settings import AUTH_DISABLED, ServerArgs

ONLY_HERE = (
    "missing; it is KEYS_PATH of this shell that says it, and whatever starts the servers has to "
    "set that too"
)


def check_auth(plan: Plan, environment: Mapping[str, str] = os.environ) -> Iterator[Fault]:
    """Nobody is let in by an omission: other machines reach it with keys, or `disabled` is written.

    A key file is read as a server would read it. What only the variable of this shell says is a
    warning: the servers may be started by somebody else.
    """
    host = host_of(plan.http_options)
    is_open = not is_loopback(host)
    said = {place for place, auth in _servers(plan, {}) if auth is not None}
    seen: set[str] = set()
    for place, auth in _servers(plan, environment):
        if is_open and auth is not None and place not in said:
            yield Fault(place, ONLY_HERE, "warning")
        if auth is None:
            if is_open:
                yield Fault(place, open_fault(host))
        elif auth != AUTH_DISABLED and auth not in seen:
            seen.add(auth)
            yield from _check_file(place, auth)


def check_auth_in_pods(
    plan: Plan, containers: Mapping[Place, Mapping[str, Any]]
) -> Iterator[Fault]:
    """In pods the variable of each container counts, and a key file has to be mounted there."""
    for where, container in containers.items():
        variables = {
            str(entry.get("name")): str(entry.get("value", ""))
            for entry in container.get("env", [])
        }
        mounts = [str(mount.get("mountPath")) for mount in container.get("volumeMounts", [])]
        for _, auth in _servers(plan, variables):
            if auth is None:
                yield Fault((*where, "env"), open_fault(RAYS_OWN_HOST))
                break
            if auth != AUTH_DISABLED and not _is_below(auth, mounts):
                text = f"found no mount that holds {auth}; expected the Secret of the keys there"
                yield Fault((*where, "volumeMounts"), text)
                break


def _servers(plan: Plan, environment: Mapping[str, str]) -> Iterator[tuple[Place, str | None]]:
    """The place of each server's `auth`, and what is in force there."""
    for app in plan.ours:
        if isinstance(app.args, ServerArgs):
            yield (*app.place, "args", "auth"), auth_setting(app.args.auth, environment)


def _check_file(place: Place, path: str) -> Iterator[Fault]:
    if not Path(path).exists():
        yield Fault(place, f"{path} is not there, as seen from here", "warning")
        return
    try:
        read_key_file(Path(path))
    except SettingsError as error:
        for line in str(error).splitlines():
            yield Fault(place, line)


def _is_below(path: str, folders: list[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
