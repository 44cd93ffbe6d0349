"""The application of a new model in serve_config.yaml: added as text, so that comments stay."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from serve_app.errors import SettingsError

# What a file begins with where there is none yet.
EMPTY_FILE = """\
# What is served. Check it with `sluice check`, serve it with `sluice up`.

proxy_location: EveryNode

http_options:
  host: 127.0.0.1                  # 0.0.0.0 to be reached from other machines
  port: 8000
  request_timeout_s: 10
  keep_alive_timeout_s: 60

logging_config:
  enable_access_log: false

applications:
"""
APPLICATION = """\
- name: {name}
  route_prefix: {route}
  import_path: serve_app.app:server
  args:
    model: {module}{comment}
    store: {store}
  deployments:
  - name: Server
    autoscaling_config:
      min_replicas: 1
      max_replicas: 2
      policy: {{policy_function: "serve_app.scaling:by_load"}}
      target_ongoing_requests: 16
      upscale_delay_s: 5
      downscale_delay_s: 60
    max_ongoing_requests: 64
    max_queued_requests: 32
    backpressure_config:
      status_code: 429
      retry_after_s: 1
    max_surge_percent: 100
    graceful_shutdown_timeout_s: 30
    graceful_shutdown_wait_loop_s: 2
    health_check_period_s: 5
    health_check_timeout_s: 10
    ray_actor_options:
      num_cpus: 0.4
    user_config:
      stable: "{version}"
      limits:
        max_rows: 100
        deadline_ms: 2000
        candidate_deadline_ms: 150
"""


def route_of(model: str) -> str:
    """Where a model answers: telco_churn at /telco-churn."""
    return "/" + model.replace("_", "-")


def application_text(model: str, module: str, store: str, version: str) -> str:
    """The application as a block of YAML, its dash in the first column."""
    return APPLICATION.format(
        name=model,
        route=route_of(model),
        module=module,
        comment=f"  # {module.replace('.', '/')}.py",
        store=yaml.safe_dump(store).splitlines()[0],
        version=version,
    )


def read_config(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a configuration and what it says; that of a new file where there is none.

    Raises SettingsError.
    """
    if not path.exists():
        return EMPTY_FILE, yaml.safe_load(EMPTY_FILE)
    try:
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: cannot be read as YAML ({reason})") from None
    if not isinstance(config, dict):
        raise SettingsError(f"{path}: found no mapping, expected a file as `sluice up` takes it")
    return text, config


def application_there(config: Mapping[str, Any], model: str, module: str) -> str | None:
    """What of a configuration stands in the way of a new model, in words; None when nothing."""
    for application in config.get("applications") or []:
        name = application.get("name")
        served = (application.get("args") or {}).get("model")
        if name == model or served in (model, module):
            return f"the application {name} serves the model {served} already"
        if application.get("route_prefix") == route_of(model):
            return f"the application {name} has the route {route_of(model)} already"
    return None


def with_application(text: str, application: str, where: str) -> str:
    """The text of a configuration with one more application after the last one.

    Every other line stays as it is. Raises SettingsError where the list of applications is written
    in a way that a block cannot be added to.
    """
    before = yaml.safe_load(text)
    added = _added(text, application)
    if added is not None:
        after = yaml.safe_load(added)
        [block] = yaml.safe_load(application)
        if after == {**before, "applications": [*(before.get("applications") or []), block]}:
            return added
    raise SettingsError(
        f"{where}: found `applications` written in a way that nothing can be added to; expected "
        f"a list with a dash for each. Write this into it yourself:\n{application}"
    )


def _added(text: str, application: str) -> str | None:
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        return None
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    node = next((value for key, value in root.value if key.value == "applications"), None)
    if node is None:
        return "".join([*lines, "applications:\n", application])
    if isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~"):
        place = node.start_mark.line + 1
        dash = 0
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        place = _last_line(node) + 1
        dash = node.start_mark.column
    else:
        return None
    block = []
    if isinstance(node, yaml.SequenceNode):
        block.append("\n")
    block += [" " * dash + line for line in application.splitlines(keepends=True)]
    return "".join([*lines[:place], *block, *lines[place:]])


def _last_line(node: yaml.Node) -> int:
    """The line in which the last value below a node ends, without the comments after it."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return max(_last_line(value) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return max(_last_line(value) for value in node.value)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return node.end_mark.line - 1
    return node.end_mark.line
