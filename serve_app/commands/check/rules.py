"""What a plan must keep to, beyond its types: one pure function a rule; `RULES` lists them all."""

import re
from collections.abc import Callable, Iterable, Iterator

from serve_app.commands.check.capacity import batches, capacity, timeouts
from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.logs import prediction_logs
from serve_app.commands.check.plan import DEPLOYMENTS, ROLES, Plan
from serve_app.commands.check.rollouts import requests
from serve_app.errors import SettingsError
from serve_app.models import get_spec, is_module, name_of
from serve_app.settings import application_of, unknown_slices

Rule = Callable[[Plan], Iterable[Fault]]
POLICY = "serve_app.scaling:by_share"
ROUTE = re.compile(r"/[^{}]*[^{}/]")


def import_paths(plan: Plan) -> Iterator[Fault]:
    """This package builds two kinds of application."""
    for app in plan.applications:
        if app.role is None and app.import_path.startswith("serve_app."):
            yield Fault(
                (*app.place, "import_path"),
                f"found {app.import_path}, expected {' or '.join(ROLES)}",
            )


def deployment_names(plan: Plan) -> Iterator[Fault]:
    """Each of our applications has exactly one deployment."""
    for app in plan.ours:
        expected = DEPLOYMENTS[app.role] if app.role else ""
        for deployment in app.deployments:
            if deployment.name != expected:
                text = (
                    f"found {deployment.name}, expected {expected}: Ray refuses one that the "
                    "application does not have"
                )
                yield Fault((*deployment.place, "name"), text)
        for second in app.deployments[1:]:
            if second.name == expected:
                yield Fault(
                    (*second.place, "name"),
                    f"{expected} stands twice, and Ray takes the last; keep one",
                )


def registered_models(plan: Plan) -> Iterator[Fault]:
    """A model is one of serve_app/models, or a module that can be imported here."""
    owners: dict[str, str] = {}
    for app in plan.ours:
        if app.args is None:
            continue
        model = app.args.model
        place = (*app.place, "args", "model")
        try:
            name = get_spec(model).name
        except SettingsError as error:
            text = str(error).removeprefix("model: ")
            yield Fault(place, f"{text} (as seen from here)" if is_module(model) else text)
            continue
        owner = owners.setdefault(name, model)
        if owner != model:
            text = f"found {model}, whose SPEC.name {name} is that of {owner} above; rename one"
            yield Fault(place, text)


def _application_of(model: str, version: str) -> str:
    """The application of a version of a model, which may be named by a module."""
    try:
        name = name_of(model)
    except SettingsError:
        # `registered_models` says so; most modules are called as their model.
        name = model.rpartition(".")[2]
    return application_of(name, version)


def own_names(plan: Plan) -> Iterator[Fault]:
    """Two applications share neither name nor route."""
    seen: dict[tuple[str, str | None], str] = {}
    for app in plan.applications:
        route = None if app.role == "version" else app.route_prefix
        for key, value in (("name", app.name), ("route_prefix", route)):
            if value is not None and (key, value) in seen:
                text = (
                    f"found {value}, which application {seen[key, value]} above has too; each "
                    "needs its own"
                )
                yield Fault((*app.place, key), text)
            seen[key, value] = app.name


def routes(plan: Plan) -> Iterator[Fault]:
    """A server has a route, and an isolated version none."""
    for app in plan.applications:
        place = (*app.place, "route_prefix")
        route = app.route_prefix
        if app.role == "version" and route is not None:
            yield Fault(
                place, f"found {route} (Ray's default is /), expected null: only its server asks it"
            )
        elif app.role == "server" and route is None:
            yield Fault(
                place, "found null, expected a path such as / or /churn: a server answers HTTP"
            )
        elif route is not None and route != "/" and not ROUTE.fullmatch(route):
            yield Fault(
                place,
                f"found {route!r}, expected a path that begins with / and does not end with it",
            )


def isolated_versions(plan: Plan) -> Iterator[Fault]:
    """A version that a table isolates is an application of this file."""
    applications = {app.name for app in plan.ours if app.role == "version"}
    for name, place in _wanted(plan).items():
        if name not in applications:
            yield Fault(
                (*place, "placement"),
                f"found isolated, expected an application {name} in this file",
            )


def isolated_applications(plan: Plan) -> Iterator[Fault]:
    """An application of a version has the name that its server looks for, and there is one."""
    tables_are_known = all(app.table for app in plan.ours if app.role == "server")
    for app, args in plan.isolated:
        expected = _application_of(args.model, args.version)
        if app.name != expected:
            yield Fault(
                (*app.place, "name"),
                f"found {app.name}, expected {expected}: its server looks for that name",
            )
        elif tables_are_known and app.name not in _wanted(plan):
            text = f"no table has {args.version} with placement: isolated, so nothing asks it"
            yield Fault(app.place, text, "warning")


def _wanted(plan: Plan) -> dict[str, Place]:
    """The applications that tables expect for their isolated versions, and where they say so."""
    return {
        _application_of(args.model, version): (*app.table_place, "versions", version)
        for app, args, table in plan.servers
        for version in table.names
        if table.entry(version).placement == "isolated"
    }


def keys(plan: Plan) -> Iterator[Fault]:
    """The applications of a model trust the same keys, or one would take what another refuses."""
    trusted = {args.model: args.public_keys for _, args, _ in plan.servers}
    for app, args in plan.isolated:
        if args.public_keys != trusted.get(args.model, args.public_keys):
            yield Fault(
                (*app.place, "args", "public_keys"),
                f"expected the public_keys of the server of {args.model}",
            )


def ports(plan: Plan) -> Iterator[Fault]:
    """The proxy listens on a port that exists.

    Ray's schema takes any integer, and the proxy fails later.
    """
    port = plan.http_options.get("port")
    if port is not None and not 1 <= port <= 65_535:
        yield Fault(("http_options", "port"), f"found {port}, expected 1 to 65535")


def rollouts(plan: Plan) -> Iterator[Fault]:
    """Nothing keeps a rollout from going as meant."""
    for app, args, table in plan.servers:
        rollout = table.rollout
        if rollout is None:
            continue
        late_ms = table.limits.candidate_deadline_ms
        slow_ms = rollout.guardrails.slow_ms
        if slow_ms >= late_ms:
            text = (
                f"found {slow_ms:g}, expected less than limits.candidate_deadline_ms ({late_ms}): "
                "an answer that takes longer is late, an error, and none would be slow"
            )
            yield Fault((*app.table_place, "rollout", "guardrails", "slow_ms"), text)
        wrong = _wrong_slices(args.model, rollout.slice_by)
        if wrong:
            yield Fault((*app.table_place, "rollout", "slice_by"), wrong)
        name = _application_of(args.model, rollout.candidate)
        candidates = [other for other in plan.ours if other.name == name]
        for deployment in (d for candidate in candidates for d in candidate.deployments):
            if deployment.n_most > deployment.n_least and deployment.policy != POLICY:
                text = (
                    f"expected policy_function {POLICY}: else no replicas come before its next "
                    "share is given, and the rollout may wait"
                )
                yield Fault((*deployment.place, "autoscaling_config"), text, "warning")


def _wrong_slices(model: str, slice_by: tuple[str, ...]) -> str:
    """Say which fields no row has; nothing of a model that cannot be read, which is told."""
    try:
        return unknown_slices(slice_by, get_spec(model).contract)
    except SettingsError:
        return ""


RULES: tuple[Rule, ...] = (
    import_paths,
    deployment_names,
    registered_models,
    own_names,
    routes,
    isolated_versions,
    isolated_applications,
    keys,
    ports,
    timeouts,
    capacity,
    batches,
    rollouts,
    prediction_logs,
    requests,
)
