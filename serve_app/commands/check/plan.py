"""What a serve_config.yaml asks for, typed.

Ray's part is read by Ray's own schema, ours by `serve_app.settings`.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

from ray.serve.config import AutoscalingConfig
from ray.serve.schema import DeploymentSchema, ServeApplicationSchema, ServeDeploySchema

from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.schema import (
    Part,
    parts_of,
    read,
    take_unknown,
    validated,
    without_echoes,
)
from serve_app.settings import COORDINATOR_CPUS, ServerArgs, Table, VersionArgs, VersionConfig

Role = Literal["server", "version"]
ROLES: dict[str, Role] = {"serve_app.app:server": "server", "serve_app.app:version": "version"}
DEPLOYMENTS: dict[Role, str] = {"server": "Server", "version": "Version"}
MAX_REPLICAS_OF_AUTO = AutoscalingConfig.default().max_replicas
ARGS: dict[Role, type[ServerArgs] | type[VersionArgs]] = {
    "server": ServerArgs,
    "version": VersionArgs,
}


@dataclass(frozen=True)
class Deployment:
    """One deployment: the options that the file sets, and what Ray makes of them.

    `n_least` and `n_most` are the fewest and the most replicas; `policy` is that of autoscaling.
    """

    place: Place
    options: Mapping[str, Any]
    n_least: int = 1
    n_most: int = 1
    policy: str = ""

    @property
    def name(self) -> str:
        """Its name, as the application has it."""
        return str(self.options["name"])

    @property
    def surge_percent(self) -> int:
        """How many replicas more an update may start; Ray's default is none."""
        return self.options.get("max_surge_percent") or 0

    @property
    def n_cpus(self) -> float:
        """CPUs of one replica; Ray's default is 1."""
        bundles = self.options.get("placement_group_bundles")
        if bundles:
            return float(sum(bundle.get("CPU", 0) for bundle in bundles))
        n_cpus = (self.options.get("ray_actor_options") or {}).get("num_cpus")
        return 1.0 if n_cpus is None else float(n_cpus)


@dataclass(frozen=True)
class Application:
    """One application.

    `role` is None for one that is not ours; `args` and `table` are None where they have faults.
    """

    place: Place
    name: str
    import_path: str
    route_prefix: str | None
    role: Role | None
    deployments: tuple[Deployment, ...]
    args: ServerArgs | VersionArgs | None = None
    table: Table | None = None

    @property
    def table_place(self) -> Place:
        """Where the table stands, or what lacks it."""
        return (*self.deployments[0].place, "user_config") if self.deployments else self.place


@dataclass(frozen=True)
class Plan:
    """All that is asked for."""

    http_options: Mapping[str, Any]
    applications: tuple[Application, ...]
    values: Mapping[str, Any]

    @property
    def ours(self) -> list[Application]:
        """The applications of `serve_app.app`."""
        return [app for app in self.applications if app.role]

    @property
    def servers(self) -> list[tuple[Application, ServerArgs, Table]]:
        """The servers whose settings are sound."""
        return [
            (app, app.args, app.table)
            for app in self.applications
            if isinstance(app.args, ServerArgs) and app.table
        ]

    @property
    def isolated(self) -> list[tuple[Application, VersionArgs]]:
        """The isolated versions whose settings are sound."""
        return [(app, app.args) for app in self.applications if isinstance(app.args, VersionArgs)]

    @property
    def models(self) -> set[str]:
        """The models that are served."""
        return {app.args.model for app in self.applications if app.args}

    @property
    def versions(self) -> set[tuple[str, str]]:
        """Each (model, version) that is loaded somewhere."""
        in_tables = {
            (args.model, version) for _, args, table in self.servers for version in table.names
        }
        return in_tables | {(args.model, args.version) for _, args in self.isolated}

    @property
    def n_coordinator_cpus(self) -> float:
        """CPUs of the coordinators: one a server, in addition to what the file lists."""
        return COORDINATOR_CPUS * sum(app.role == "server" for app in self.applications)

    @property
    def n_cpus(self) -> float:
        """CPUs of all replicas that autoscaling may start."""
        deployments = (deployment for app in self.applications for deployment in app.deployments)
        return self.n_coordinator_cpus + sum(
            deployment.n_most * deployment.n_cpus for deployment in deployments
        )


def read_plan(values: dict[Any, Any]) -> tuple[Plan | None, list[Fault]]:
    """Read the plan, and find every fault that a schema finds.

    There is a plan when Ray accepts the file, but for its unknown keys.
    """
    values = deepcopy(values)
    parts = list(parts_of(Part((), ServeDeploySchema, values)))
    faults = [fault for part in parts for fault in take_unknown(part)]
    policies = {
        part.place: _prepare(part.value)
        for part in parts
        if part.model is DeploymentSchema and isinstance(part.value, dict)
    }
    parts = list(parts_of(Part((), ServeDeploySchema, values)))
    made = [validated(part.model, part.value, part.place) for part in parts if part.unchecked]
    options, more = _options_of_file(values)
    faults = without_echoes([*faults, *(fault for _, found in made for fault in found), *more])
    if options is None or any(model is None for model, _ in made):
        return None, faults
    read_ones = [
        _read_application(app, ("applications", i), policies)
        for i, app in enumerate(options["applications"])
    ]
    applications = tuple(application for application, _ in read_ones)
    plan = Plan(options.get("http_options", {}), applications, values)
    return plan, faults + [fault for _, found in read_ones for fault in found]


def check_whole(plan: Plan) -> list[Fault]:
    """Ask Ray about the file in one piece: a last word, for what no rule here has found."""
    return [
        fault
        for fault in validated(ServeDeploySchema, plan.values, ())[1]
        if fault.severity == "error"
    ]


def _prepare(deployment: dict[str, Any]) -> str:
    """Change a deployment into what Ray takes; the name of its autoscaling policy.

    `num_replicas: auto` has a maximum of its own. A policy is left out, because building one means
    importing it, and a check runs no code of others.
    """
    scaling = deployment.get("autoscaling_config", {})
    if deployment.get("num_replicas") == "auto" and (scaling is None or isinstance(scaling, dict)):
        scaling = {"max_replicas": MAX_REPLICAS_OF_AUTO, **(scaling or {})}
        deployment["autoscaling_config"] = scaling
    policy = scaling.pop("policy", None) if isinstance(scaling, dict) else None
    return str(policy.get("policy_function", "")) if isinstance(policy, dict) else ""


def _options_of_file(values: dict[Any, Any]) -> tuple[dict[str, Any] | None, list[Fault]]:
    """What the file sets.

    Each application is validated by itself, so that one that is wrong hides no fault of another.
    """
    applications = values.get("applications")
    items = applications if isinstance(applications, list) else []
    made = [validated(ServeDeploySchema, {**values, "applications": []} if items else values, ())]
    made += [
        validated(ServeApplicationSchema, app, ("applications", i)) for i, app in enumerate(items)
    ]
    faults = [fault for _, found in made for fault in found]
    schemas = [schema for schema, _ in made if schema is not None]
    if len(schemas) < len(made):
        return None, faults
    top, *apps = (schema.model_dump(exclude_unset=True) for schema in schemas)
    return {**top, "applications": apps}, faults


def _read_application(
    app: dict[str, Any], place: Place, policies: Mapping[Place, str]
) -> tuple[Application, list[Fault]]:
    """One application with its args and table."""
    # Ray takes `module.name` too.
    import_path = ":".join(app["import_path"].replace(":", ".").rsplit(".", 1))
    role = ROLES.get(import_path)
    deployments = tuple(
        _read_deployment(options, (*place, "deployments", position), policies)
        for position, options in enumerate(app.get("deployments", ()))
    )
    plain = Application(
        place,
        app.get("name", "default"),
        import_path,
        app.get("route_prefix", "/"),
        role,
        deployments,
    )
    faults = [
        Fault((*place, key), "it belongs in http_options, for all applications together")
        for key in ("host", "port")
        if key in app
    ]
    if role is None:
        return plain, faults
    deployments = deployments or (
        Deployment((*place, "deployments", 0), {"name": DEPLOYMENTS[role]}),
    )
    args, of_args = read(ARGS[role], app.get("args", {}), (*place, "args"))
    table, of_table = _read_user_config(role, deployments[0])
    return replace(
        plain, deployments=deployments, args=args, table=table
    ), faults + of_args + of_table


def _read_deployment(
    options: dict[str, Any], place: Place, policies: Mapping[Place, str]
) -> Deployment:
    autoscaling = validated(AutoscalingConfig, options.get("autoscaling_config"), place)[0]
    if autoscaling is not None:
        policy = policies.get(place, "")
        return Deployment(
            place, options, autoscaling.min_replicas, autoscaling.max_replicas, policy
        )
    n = options.get("num_replicas") or 1
    return Deployment(place, options, n, n)


def _read_user_config(role: Role, deployment: Deployment) -> tuple[Table | None, list[Fault]]:
    """The table of a server; an isolated version's settings are only checked, and may be absent."""
    values = deployment.options.get("user_config")
    place = (*deployment.place, "user_config")
    if role == "version":
        return None, read(VersionConfig, values or {}, place)[1]
    if values is None:
        return None, [Fault(place, "missing; expected the table: stable, versions, limits")]
    return read(Table, values, place)
