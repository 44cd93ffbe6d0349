"""Whether the servers of a model share the secret by which a label finds its prediction."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from serve_app.bundle.objects import is_object_uri
from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.plan import Plan
from serve_app.monitoring.labels.label_secrets import PATH_VARIABLE, VARIABLE
from serve_app.settings import ServerArgs

# The Secret with LABEL_KEYS, which docs/kubernetes.md makes and the manifest names.
SECRET = "sluice-labels"
LOST = (
    "each server seals prediction ids by a secret of its own, so that labels are refused by all "
    "others, and after a restart (docs/labels.md)"
)


def check_label_keys(plan: Plan, environment: Mapping[str, str] = os.environ) -> Iterator[Fault]:
    """Where the state is an object store, no secret is made by itself: one has to be named."""
    for place, args in _servers(plan):
        state = environment.get("STATE_PATH") or args.state
        if is_object_uri(state) and not _is_named(args, environment):
            text = f"missing, and state is {state}: expected it, {PATH_VARIABLE} or {VARIABLE}"
            yield Fault(place, f"{text}; {LOST}", "warning")


def check_label_keys_in_pods(
    plan: Plan, containers: Mapping[Place, Mapping[str, Any]]
) -> Iterator[Fault]:
    """Pods share no folder either, so the environment of each has to have it."""
    unnamed = [place for place, args in _servers(plan) if not args.label_keys]
    for where, container in containers.items():
        names = {entry.get("name") for entry in container.get("env", [])}
        secrets = {
            (source.get("secretRef") or {}).get("name") for source in container.get("envFrom", [])
        }
        if unnamed and SECRET not in secrets and not names & {VARIABLE, PATH_VARIABLE}:
            text = f"found no {VARIABLE} in env, expected the Secret {SECRET} here; {LOST}"
            yield Fault((*where, "envFrom"), text, "warning")


def _servers(plan: Plan) -> Iterator[tuple[Place, ServerArgs]]:
    for app in plan.ours:
        if isinstance(app.args, ServerArgs):
            yield (*app.place, "args", "label_keys"), app.args


def _is_named(args: ServerArgs, environment: Mapping[str, str]) -> bool:
    return bool(args.label_keys or environment.get(PATH_VARIABLE) or environment.get(VARIABLE))
