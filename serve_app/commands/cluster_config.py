"""The RayService gets its `serveConfigV2` from serve_config.yaml: one file says what is served.

And its fast mode from `fast_mode`.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from serve_app.commands.env import kubernetes_lines
from serve_app.commands.fast_mode import VARIABLES
from serve_app.commands.target import SERVER
from serve_app.errors import SettingsError
from serve_app.settings.yaml_once import load_yaml

# One may be drained, killed or updated.
LEAST_REPLICAS = 2
# Autoscaling goes up to so many times the least.
HEADROOM = 2
BLOCK = re.compile(r"^(?P<indent> *)serveConfigV2: \|\n(?:(?P=indent)  .*\n|\s*\n)*", re.MULTILINE)
ENVIRONMENT = re.compile(
    r"(?P<begin>^(?P<indent> *)# The fast mode, from here on.*\n(?:(?P=indent)#.*\n)*)"
    r"(?:(?P=indent)- .*\n)*(?P<end>(?P=indent)# Until here\.\n)",
    re.MULTILINE,
)
NOTE = "# Written by `make manifests` from serve_config.yaml: edit that one.\n"


def for_cluster(config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the configuration for one machine into one for a cluster.

    It is reached from other machines, no deployment has one replica alone, and servers whose
    `args` say nothing of it have no `/docs`.
    """
    found: dict[str, Any] = deepcopy(dict(config))
    found["http_options"] = {**found.get("http_options", {}), "host": "0.0.0.0"}
    for app in found.get("applications", []):
        if app.get("import_path") == SERVER:
            app["args"] = {**app.get("args", {}), "docs": app.get("args", {}).get("docs", False)}
        for deployment in app.get("deployments", []):
            scaling = deployment.get("autoscaling_config")
            if isinstance(scaling, dict):
                least = max(LEAST_REPLICAS, scaling.get("min_replicas", 1))
                most = max(HEADROOM * least, scaling.get("max_replicas", 1))
                scaling |= {"min_replicas": least, "max_replicas": most}
                continue
            n_replicas = deployment.get("num_replicas", 1)
            if isinstance(n_replicas, int):
                deployment["num_replicas"] = max(LEAST_REPLICAS, n_replicas)
    return found


def with_config(manifest: str, config: Mapping[str, Any]) -> str:
    """Put this configuration into the manifest. Raises SettingsError if it has no place for it."""
    text = NOTE + yaml.safe_dump(dict(config), sort_keys=False, width=110)

    def block(match: re.Match[str]) -> str:
        indent = match["indent"]
        return f"{indent}serveConfigV2: |\n" + "".join(
            f"{indent}  {line}\n" for line in text.splitlines()
        )

    written, n = BLOCK.subn(block, manifest)
    if n != 1:
        raise SettingsError(f"found {n} lines `serveConfigV2: |`, expected one")
    return written


def with_environment(manifest: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """Put these variables between the two comments of a container's `env`.

    A manifest without these comments is returned as it is: its variables are its author's.
    """

    def block(match: re.Match[str]) -> str:
        lines = [f"{match['indent']}{line}\n" for line in kubernetes_lines(variables)]
        return match["begin"] + "".join(lines) + match["end"]

    return ENVIRONMENT.sub(block, manifest)


def read_config(path: Path) -> dict[str, Any]:
    """Read serve_config.yaml as a cluster needs it. Raises SettingsError."""
    try:
        return for_cluster(load_yaml(path.read_text()))
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__})") from error


def generated(config: Path, manifest: Path) -> str:
    """Generate what the manifest should be. Raises SettingsError."""
    try:
        text = with_config(manifest.read_text(), for_cluster(load_yaml(config.read_text())))
        return with_environment(text)
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(
            f"{config} and {manifest}: cannot be read ({type(error).__name__})"
        ) from error
    except SettingsError as error:
        raise SettingsError(f"{manifest}: {error}") from None
