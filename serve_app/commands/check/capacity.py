"""What a plan must keep to so that it stands load and updates: one pure function a rule."""

from collections.abc import Iterator
from math import ceil

from serve_app.commands.check.document import Fault
from serve_app.commands.check.plan import Deployment, Plan
from serve_app.commands.fast_mode import SERVER_TIMEOUT_S

# Under way from one server to each replica of an isolated version.
MOST_BLOCKS = 2
# Ray's default of target_ongoing_requests.
LOW_TARGET = 2
# Ray's default of max_ongoing_requests.
ONGOING_BY_DEFAULT = 5
TARGET = ("autoscaling_config", "target_ongoing_requests")


def timeouts(plan: Plan) -> Iterator[Fault]:
    """The proxy gives up after the table's deadline, never before."""
    place = ("http_options", "request_timeout_s")
    timeout_s = plan.http_options.get("request_timeout_s")
    if not plan.servers:
        return
    if timeout_s is None:
        text = "not set, and Ray's default is to wait forever; expected a number of seconds"
        yield Fault(place, text, "warning")
        # In the fast mode HAProxy does not wait for ever.
        timeout_s = SERVER_TIMEOUT_S
    deadline_ms, name = max((table.limits.deadline_ms, app.name) for app, _, table in plan.servers)
    if timeout_s * 1000 <= deadline_ms:
        text = (
            f"found {timeout_s:g} s, expected more than the deadline_ms of {name} "
            f"({deadline_ms} ms): else the proxy gives up before the server can answer"
        )
        yield Fault(place, text)


def capacity(plan: Plan) -> Iterator[Fault]:
    """Each deployment has what it needs for updates and overload."""
    for app in plan.ours:
        for deployment in app.deployments:
            if not deployment.surge_percent and deployment.n_least <= 1:
                text = (
                    "found 0 (Ray's default) with one replica: an update is an outage; expected 100"
                )
                yield Fault((*deployment.place, "max_surge_percent"), text, "warning")
            if deployment.options.get("max_queued_requests", -1) == -1:
                text = (
                    "no limit (Ray's default): overload makes callers wait instead of a 429; "
                    "expected a number"
                )
                yield Fault((*deployment.place, "max_queued_requests"), text, "warning")
            n = _ongoing(deployment)
            if app.role == "version" and n < 2:
                text = (
                    f"found {n}, expected 2 or more: else blocks of several servers are never "
                    "merged"
                )
                yield Fault((*deployment.place, "max_ongoing_requests"), text, "warning")


def batches(plan: Plan) -> Iterator[Fault]:
    """Nothing keeps a batch from filling, or lets a full one look like overload."""
    for app, _, table in plan.servers:
        if not any(table.entry(version).coalesce == "always" for version in table.names):
            continue
        for deployment in app.deployments:
            n = _ongoing(deployment)
            target = _target(deployment)
            if n < table.batch.max_rows:
                text = (
                    f"found {n}, expected {table.batch.max_rows} (batch.max_rows) or more: else "
                    "single rows never fill a batch"
                )
                yield Fault((*deployment.place, "max_ongoing_requests"), text, "warning")
            if target is not None and target <= LOW_TARGET:
                text = (
                    f"found {target:g}, expected more: requests that wait for one batch would "
                    "look like overload"
                )
                yield Fault((*deployment.place, *TARGET), text, "warning")
    for app, _ in plan.isolated:
        for deployment in app.deployments:
            target = _target(deployment)
            if target is not None and target > MOST_BLOCKS:
                text = (
                    f"found {target:g}, expected 1 to 1.5: it counts blocks, and a server sends "
                    f"at most {MOST_BLOCKS} to each replica at a time"
                )
                yield Fault((*deployment.place, *TARGET), text, "warning")


def _ongoing(deployment: Deployment) -> int:
    """Requests that a replica may have under way."""
    return int(deployment.options.get("max_ongoing_requests", ONGOING_BY_DEFAULT))


def _target(deployment: Deployment) -> float | None:
    """What autoscaling aims at; None where it is off."""
    scaling = deployment.options.get("autoscaling_config")
    if not isinstance(scaling, dict):
        return None
    return float(scaling.get("target_ongoing_requests") or LOW_TARGET)


def check_cpus(plan: Plan, n_cpus: float) -> Iterator[Fault]:
    """The fewest replicas and their surge must fit, or an update waits forever."""
    needed = plan.n_coordinator_cpus
    for deployment in (deployment for app in plan.applications for deployment in app.deployments):
        surge = ceil(deployment.n_least * deployment.surge_percent / 100)
        needed += deployment.n_cpus * (deployment.n_least + surge)
    if round(needed, 6) > n_cpus:
        text = (
            f"an update needs {needed:g} CPUs (min_replicas with surge), the cluster has {n_cpus:g}"
        )
        yield Fault(("applications",), f"{text}; lower num_cpus or min_replicas")
