"""`sluice check k8s/rayservice.yaml`: what KubeRay and Sluice need beyond the CRD."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

import yaml

from serve_app.commands.check.auth import check_auth_in_pods
from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.labels import check_label_keys_in_pods
from serve_app.commands.check.plan import Plan, read_plan
from serve_app.commands.check.rules import RULES
from serve_app.commands.fast_mode import SERVER_TIMEOUT
from serve_app.commands.target import RAYS_OWN_HOST, host_of
from serve_app.errors import SettingsError
from serve_app.settings.yaml_once import load_yaml

# The operator makes names of Services and clusters from it.
LONGEST_NAME = 47
UPGRADES = ("NewCluster", "NewClusterWithIncrementalUpgrade", "None")
# Ray drains a node for 30 s.
SHORTEST_GRACE_S = 60
# Where there is no isolated version: one as the commented block of serve_config.yaml has it.
CANDIDATE_CPUS = 0.3
# Routes of Ray's own ports that need no token.
HEALTH_PATHS = {"8265": ("/api/gcs_healthz",), "52365": ("/api/local_raylet_healthz",)}
PROXY_PATHS = ("/-/healthz", "/-/routes")
CLUSTER: Place = ("spec", "rayClusterConfig")
CONFIG: Place = ("spec", "serveConfigV2")
Group = tuple[Place, Mapping[str, Any]]


def is_rayservice(values: Mapping[Any, Any]) -> bool:
    """Whether a document is the manifest of a RayService."""
    return values.get("kind") == "RayService"


def check_rayservice(values: Mapping[Any, Any]) -> tuple[Plan | None, list[Fault]]:
    """Read the plan inside it, and find every fault of both."""
    plan, inside = _read_config(values)
    faults = [replace(fault, place=CONFIG, text=f"{_place(fault)}{fault.text}") for fault in inside]
    groups = list(_groups(values))
    faults += [fault for rule in ONE_FILE_RULES for fault in rule(values)]
    faults += [fault for group in groups for rule in GROUP_RULES for fault in rule(group)]
    if plan is not None:
        faults += _capacity(values, plan)
        faults += [fault for group in groups for fault in _probes(group, plan)]
        faults += [fault for group in groups for fault in _patience(group, plan)]
        faults += check_auth_in_pods(plan, _serving_containers(groups))
        faults += check_label_keys_in_pods(plan, _serving_containers(groups))
    return plan, faults


def _read_config(values: Mapping[Any, Any]) -> tuple[Plan | None, list[Fault]]:
    text = _at(values, CONFIG)
    try:
        config = load_yaml(text) if isinstance(text, str) else None
    except SettingsError as error:
        return None, [Fault((), f"not valid YAML: {error}")]
    except yaml.YAMLError as error:
        return None, [Fault((), f"not valid YAML: {getattr(error, 'problem', error)}")]
    if not isinstance(config, dict):
        return None, [
            Fault((), "expected the text of a serve_config.yaml; `make manifests` writes it")
        ]
    plan, faults = read_plan(config)
    if plan is not None:
        faults += [fault for rule in RULES for fault in rule(plan)]
        host = host_of(plan.http_options)
        if host != RAYS_OWN_HOST:
            text = f"found {host}, expected {RAYS_OWN_HOST}: else no other pod reaches it"
            faults.append(Fault(("http_options", "host"), text))
    return plan, faults


def _name(values: Mapping[Any, Any]) -> Iterator[Fault]:
    name = str(_at(values, ("metadata", "name")) or "")
    if not 1 <= len(name) <= LONGEST_NAME:
        text = (
            f"found {len(name)} characters, expected 1 to {LONGEST_NAME}: the operator refuses it"
        )
        yield Fault(("metadata", "name"), text)


def _upgrade(values: Mapping[Any, Any]) -> Iterator[Fault]:
    place: Place = ("spec", "upgradeStrategy", "type")
    kind = _at(values, place)
    if kind is not None and kind not in UPGRADES:
        yield Fault(
            place, f"found {kind}, expected one of {', '.join(UPGRADES)}: the operator refuses it"
        )
    if kind == UPGRADES[1] and not _at(values, (*CLUSTER, "enableInTreeAutoscaling")):
        yield Fault(
            place,
            "the operator refuses an incremental upgrade without enableInTreeAutoscaling: true",
        )


def _head(values: Mapping[Any, Any]) -> Iterator[Fault]:
    place = (*CLUSTER, "headGroupSpec", "rayStartParams", "num-cpus")
    found = _at(values, place)
    if found != "0":
        yield Fault(
            place, f'found {found!r}, expected "0": a replica on the head goes when the head goes'
        )


def _same_environment(values: Mapping[Any, Any]) -> Iterator[Fault]:
    """Ray's variables are read by every node for itself: half a fast mode is none."""
    (_, head), *workers = [(place, _variables(template)) for place, template in _groups(values)]
    for place, found in workers:
        for name in sorted({*head, *found}):
            if head.get(name) != found.get(name):
                text = f"{name} differs from the head's; expected the same env on every node"
                yield Fault((*place, "template", "spec", "containers", 0, "env"), text)


def _bounds(group: Group) -> Iterator[Fault]:
    place, spec = group
    least, now, most = (spec.get(key) for key in ("minReplicas", "replicas", "maxReplicas"))
    if least is None or most is None:
        # The head has no bounds.
        return
    if not least <= (least if now is None else now) <= most:
        yield Fault(
            (*place, "minReplicas"),
            f"found {least} ≤ {now} ≤ {most} untrue: the operator refuses it",
        )
    if least < 2:
        yield Fault(
            (*place, "minReplicas"),
            f"found {least}, expected 2 or more: one may be drained or lost",
        )


def _grace(group: Group) -> Iterator[Fault]:
    key = "terminationGracePeriodSeconds"
    found = _pod(group[1]).get(key, 30)
    if found < SHORTEST_GRACE_S:
        text = (
            f"found {found}, expected {SHORTEST_GRACE_S} or more: Ray drains for 30 s, and would "
            "be cut"
        )
        yield Fault((*group[0], "template", "spec", key), text)


def _writable_tmp(group: Group) -> Iterator[Fault]:
    place = (*group[0], "template", "spec", "containers", 0)
    container = _container(group[1])
    paths = [mount.get("mountPath") for mount in container.get("volumeMounts", [])]
    is_read_only = (container.get("securityContext") or {}).get("readOnlyRootFilesystem")
    if is_read_only and "/tmp" not in paths:
        yield Fault(
            (*place, "volumeMounts"), "expected a volume at /tmp: Ray and HAProxy write there"
        )


def _probes(group: Group, plan: Plan) -> Iterator[Fault]:
    """A probe asks a route that exists, and that one model's failure does not answer."""
    container = _container(group[1])
    where = (*group[0], "template", "spec", "containers", 0)
    named = {port.get("name"): port.get("containerPort") for port in container.get("ports", [])}
    http_port = str(plan.http_options.get("port", 8000))
    for probe in ("readinessProbe", "livenessProbe"):
        asked = (container.get(probe) or {}).get("httpGet")
        place = (*where, probe)
        if asked is None:
            text = (
                "expected an httpGet of one's own: the one that KubeRay adds needs wget, and acts "
                "on one slow answer"
            )
            yield Fault(place, text)
            continue
        port = str(named.get(asked.get("port"), asked.get("port")))
        known = PROXY_PATHS if port == http_port else HEALTH_PATHS.get(port)
        if known is None:
            yield Fault(
                (*place, "httpGet", "port"), f"found {port}, expected {http_port}, 8265 or 52365"
            )
        elif asked.get("path") not in known:
            text = (
                f"found {asked.get('path')}, expected {' or '.join(known)}: what a pod is judged "
                "by is its own"
            )
            yield Fault((*place, "httpGet", "path"), text)


def _patience(group: Group, plan: Plan) -> Iterator[Fault]:
    """HAProxy gives up after the longest deadline, never before."""
    timeout_s = str(_variables(group[1]).get(SERVER_TIMEOUT, ""))
    longest_ms = max((table.limits.deadline_ms for _, _, table in plan.servers), default=0)
    if timeout_s.isdecimal() and int(timeout_s) * 1000 <= longest_ms:
        text = (
            f"{SERVER_TIMEOUT}: found {timeout_s}, expected more than the longest deadline_ms "
            f"({longest_ms} ms): else HAProxy gives up before the server can answer"
        )
        yield Fault((*group[0], "template", "spec", "containers", 0, "env"), text)


def _capacity(values: Mapping[Any, Any], plan: Plan) -> Iterator[Fault]:
    """All replicas, their surge, and one candidate must fit into the largest cluster."""
    servers = [(d, app.role) for app in plan.applications for d in app.deployments]
    peak = sum(d.n_cpus * (d.n_most + ceil(d.n_most * d.surge_percent / 100)) for d, _ in servers)
    candidate = 0.0 if any(role == "version" for _, role in servers) else CANDIDATE_CPUS
    needed = round(peak + candidate + plan.n_coordinator_cpus, 6)
    workers = [spec for _, spec in _groups(values) if "maxReplicas" in spec]
    has = sum(spec["maxReplicas"] * _cpus(spec) for spec in workers)
    if needed > has:
        text = (
            f"at most {has:g} CPUs (maxReplicas), but replicas with surge and a candidate may "
            f"need {needed:g}; raise maxReplicas or CPUs, or lower max_replicas"
        )
        yield Fault((*CLUSTER, "workerGroupSpecs"), text)


def _cpus(spec: Mapping[str, Any]) -> int:
    """As KubeRay counts: limits before requests, rounded up to whole ones."""
    resources = _container(spec).get("resources", {})
    limit = (resources.get("limits") or {}).get("cpu")
    request = (resources.get("requests") or {}).get("cpu")
    text = str(limit or request or 0)
    return ceil(float(text[:-1]) / 1000 if text.endswith("m") else float(text))


def _groups(values: Mapping[Any, Any]) -> Iterator[Group]:
    """The head, then the worker groups."""
    yield (*CLUSTER, "headGroupSpec"), _at(values, (*CLUSTER, "headGroupSpec")) or {}
    for i, spec in enumerate(_at(values, (*CLUSTER, "workerGroupSpecs")) or []):
        yield (*CLUSTER, "workerGroupSpecs", i), spec


def _pod(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _at(spec, ("template", "spec")) or {}
    return found


def _container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (_pod(spec).get("containers") or [{}])[0]
    return found


def _serving_containers(groups: Iterable[Group]) -> dict[Place, Mapping[str, Any]]:
    """The containers of workers by their place: no replica runs on the head."""
    inside = ("template", "spec", "containers", 0)
    return {(*place, *inside): _container(spec) for place, spec in groups if "maxReplicas" in spec}


def _variables(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {entry.get("name"): entry.get("value") for entry in _container(spec).get("env", [])}


def _at(values: Any, place: Place) -> Any:
    for part in place:
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _place(fault: Fault) -> str:
    return ".".join(str(part) for part in fault.place) + ": " if fault.place else ""


ONE_FILE_RULES: tuple[Callable[[Mapping[Any, Any]], Iterable[Fault]], ...] = (
    _name,
    _upgrade,
    _head,
    _same_environment,
)
GROUP_RULES: tuple[Callable[[Group], Iterable[Fault]], ...] = (_bounds, _grace, _writable_tmp)
