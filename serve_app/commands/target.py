"""Which model and which server a command means: from the options, else from serve_config.yaml.

With one server in the file it is that one, with several the one at the root. Everything is read
without Ray, so that a command stays quick; `sluice check` finds the faults of a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from serve_app.errors import SettingsError

CONFIG = Path("serve_config.yaml")
STORE = "model_store"
SERVER = "serve_app.app:server"
VERSION = "serve_app.app:version"
HERE = "http://127.0.0.1:8000"
# Where Ray listens when the file says nothing: every interface.
RAYS_OWN_HOST = "0.0.0.0"

ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Of the file; else its only one, or the one at the root."),
]
ConfigOption = Annotated[
    Path, typer.Option("--config", help="The file that says what is served where.")
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="MODEL_PATH",
        help="Folder that keeps the bundles, or s3://, gs://, az:// URI.",
    ),
]


@dataclass(frozen=True)
class Served:
    """One server of a file, as far as the file says.

    `model` is a name or a module, `application` the name of its application. `stable` is None where
    the file names none, and `pin` is the sha256 that its manifest must have. `auth` is a key file,
    or `disabled`, or None where neither is said; `docs` whether it has `/docs`; `log` where its
    prediction log is; `label_delay_days` after how long all labels have come, if it is said.
    """

    model: str
    application: str
    url: str
    store: str = STORE
    stable: str | None = None
    pin: str | None = None
    public_keys: tuple[str, ...] = ()
    auth: str | None = None
    docs: bool = True
    log: str | None = None
    label_delay_days: float | None = None

    def is_called(self, name: str) -> bool:
        """Whether a person who writes this name means this server."""
        return name in (self.model, self.application, self.model.rpartition(".")[2])


@dataclass(frozen=True)
class Target:
    """Where a command goes, and how it was found, for people."""

    url: str
    said: str


def read_config(path: Path) -> dict[str, Any]:
    """The values of a serve_config.yaml, or of one in a RayService. Raises SettingsError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise _fault(
            f"{path}: cannot be read ({error.strerror}); expected a serve_config.yaml "
            "(another one: --config)"
        ) from None
    except UnicodeDecodeError:
        raise _fault(f"{path}: is no YAML; `sluice check {path}` says where") from None
    values = _loaded(text, path)
    if isinstance(values, dict) and values.get("kind") == "RayService":
        inside = _mapping(values.get("spec")).get("serveConfigV2")
        values = _loaded(inside, path) if isinstance(inside, str) else None
    applications = values.get("applications") if isinstance(values, dict) else None
    if not isinstance(applications, list):
        raise _fault(f"{path}: found no list of applications; see `sluice check {path}`")
    return dict(values)


def _fault(text: str) -> "SettingsError":
    """Imported late, since every command imports this module for its options."""
    from serve_app.errors import SettingsError

    return SettingsError(text)


def _loaded(text: str, path: Path) -> Any:
    """YAML in which each key stands once. Raises SettingsError."""
    import yaml

    from serve_app.errors import SettingsError
    from serve_app.settings.yaml_once import load_yaml

    try:
        return load_yaml(text)
    except SettingsError as error:
        raise _fault(f"{path}: {error}; see `sluice check {path}`") from None
    except yaml.YAMLError:
        raise _fault(f"{path}: is no YAML; `sluice check {path}` says where") from None


def host_of(http_options: Mapping[str, Any]) -> str:
    """The address that a configuration has Ray listen on, also where it says nothing of it."""
    return str(http_options.get("host", RAYS_OWN_HOST))


def moved(config: Mapping[str, Any], host: str | None, port: int | None) -> dict[str, Any]:
    """The configuration at another host or port, where one is given."""
    http_options = dict(_mapping(config.get("http_options")))
    if host is not None:
        http_options["host"] = host
    if port is not None:
        http_options["port"] = port
    return {**config, "http_options": http_options}


def servers_of(config: Mapping[str, Any]) -> list[Served]:
    """The servers of a configuration, and where they will answer."""
    http = _mapping(config.get("http_options"))
    scheme = "https" if http.get("ssl_certfile") else "http"
    base = f"{scheme}://{_reachable(host_of(http))}:{http.get('port', 8000)}"
    return [
        _served(app, base)
        for app in _applications(config)
        if app.get("import_path") == SERVER and "model" in _mapping(app.get("args"))
    ]


def choose(served: Sequence[Served], model: str | None, path: Path) -> Served:
    """The server that is meant. Raises SettingsError, which lists those of the file."""
    if not served:
        raise _fault(f"{path}: applications: found no {SERVER}, expected at least one")
    names = ", ".join(one.model for one in served)
    if model is not None:
        for one in served:
            if one.is_called(model):
                return one
        raise _fault(f"--model: found {model}, expected one that {path} serves: {names}")
    at_root = [one for one in served if one.url.count("/") == 2]
    if len(served) > 1 and len(at_root) != 1:
        raise _fault(f"{path}: serves {names}; say which one with --model")
    return served[0] if len(served) == 1 else at_root[0]


def find_target(url: str | None, model: str | None, path: Path) -> Target:
    """Where a server answers: `url` where it is given, else as the file says.

    Without a file, and without a model to look for, it is the port where servers answer by
    default. Raises SettingsError.
    """
    if url is not None:
        return Target(url, f"{url} (--url)")
    if model is None and path == CONFIG and not path.exists():
        return Target(HERE, f"{HERE} (no {path} here; another one: --url)")
    served = choose(servers_of(read_config(path)), model, path)
    return Target(served.url, f"{served.model} at {served.url} ({path})")


def take_model(
    words: Sequence[str], n_more: int, model: str | None, path: Path
) -> tuple[str, list[str]]:
    """The model and the `n_more` words after it: the first word, or `--model`, or the file's.

    Raises typer.BadParameter for another number of words, and SettingsError.
    """
    if len(words) == n_more + 1:
        if model is not None and model != words[0]:
            raise _fault(f"--model: found {model} and {words[0]}; keep one of the two")
        return words[0], list(words[1:])
    if len(words) != n_more:
        raise typer.BadParameter(
            f"found {len(words)} words, expected {n_more} after the model, or after --model"
        )
    if model is None:
        model = choose(servers_of(read_config(path)), None, path).model
        typer.echo(f"model: {model} (of {path}; another one: --model)", err=True)
    return model, list(words)


def alone(config: Mapping[str, Any], model: str, path: Path) -> dict[str, Any]:
    """The configuration with one server and its isolated versions. Raises SettingsError."""
    left_out = places_left_out(config, model, path)
    applications = [app for i, app in enumerate(config["applications"]) if i not in left_out]
    return {**config, "applications": applications}


def places_left_out(config: Mapping[str, Any], model: str, path: Path) -> set[int]:
    """The positions of the applications that one model does not need. Raises SettingsError."""
    served = choose(servers_of(config), model, path)
    kept = {
        i
        for i, app in enumerate(config["applications"])
        if isinstance(app, dict) and _belongs(app, served)
    }
    return set(range(len(config["applications"]))) - kept


def named_versions(config: Mapping[str, Any], model: str) -> dict[str, str]:
    """The versions of a model that a configuration names, each with where it does.

    `model` is the name in stores. Tables, their rollouts and isolated applications are looked at.
    """
    found: dict[str, str] = {}
    for app in _applications(config):
        args = _mapping(app.get("args"))
        if str(args.get("model", "")) != model and not _is_module_of(args, model):
            continue
        place = f"application {app.get('name', 'default')}"
        if app.get("import_path") == VERSION and "version" in args:
            found.setdefault(str(args["version"]), f"{place}: args.version")
        for table in _tables(app):
            for version, where in _named_in(table):
                found.setdefault(version, f"{place}: {where}")
    return found


def _named_in(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    rollout = _mapping(table.get("rollout"))
    named = [(table.get("stable"), "stable")]
    named += [(rollout.get(key), f"rollout.{key}") for key in ("stable", "candidate")]
    named += [(version, f"versions.{version}") for version in _mapping(table.get("versions"))]
    return [(str(version), where) for version, where in named if version is not None]


def _is_module_of(args: Mapping[str, Any], model: str) -> bool:
    """Whether `args.model` is a module whose SPEC has this name."""
    from serve_app.errors import SettingsError
    from serve_app.models import is_module, name_of

    module = str(args.get("model", ""))
    if not is_module(module):
        return False
    try:
        return name_of(module) == model
    except SettingsError:
        # It cannot be imported here, so that its last word has to do.
        return module.rpartition(".")[2] == model


def _belongs(app: Mapping[str, Any], served: Served) -> bool:
    if app.get("import_path") == SERVER:
        return str(app.get("name", "default")) == served.application
    is_version = app.get("import_path") == VERSION
    return is_version and _mapping(app.get("args")).get("model") == served.model


def _served(app: Mapping[str, Any], base: str) -> Served:
    args = _mapping(app["args"])
    table: Mapping[str, Any] = next(iter(_tables(app)), {})
    stable = table.get("stable") or _mapping(table.get("rollout")).get("stable")
    entry = _mapping(_mapping(table.get("versions")).get(str(stable)))
    delay_days = args.get("label_delay_days")
    return Served(
        model=str(args["model"]),
        application=str(app.get("name", "default")),
        url=base + str(app.get("route_prefix", "/") or "/").rstrip("/"),
        store=str(args.get("store", "model_store")),
        stable=None if stable is None else str(stable),
        pin=entry.get("manifest_sha256"),
        public_keys=tuple(args.get("public_keys") or ()),
        auth=args.get("auth"),
        docs=args.get("docs", True) is not False,
        log=args.get("log"),
        label_delay_days=delay_days if isinstance(delay_days, int | float) else None,
    )


def _applications(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [app for app in config.get("applications", []) if isinstance(app, dict)]


def _tables(app: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tables of an application, which stand in the `user_config` of its deployments."""
    found = [_mapping(one).get("user_config") for one in app.get("deployments") or ()]
    return [table for table in found if isinstance(table, dict)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host
