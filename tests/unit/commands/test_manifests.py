"""The manifest for KubeRay, as `sluice manifests` writes it and `sluice check` judges it."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import K8S, ROOT, container, rayservice, worker_group
from typer.testing import CliRunner

from serve_app.commands.cluster_config import (
    for_cluster,
    generated,
    with_config,
    with_environment,
)
from serve_app.commands.fast_mode import VARIABLES
from serve_app.commands.main import app

with warnings.catch_warnings():
    # Ray's own models warn when they are imported.
    warnings.simplefilter("ignore")
    from serve_app.commands.check.report import check_file

BASE = K8S / "base" / "rayservice.yaml"
ALONE = K8S / "rayservice.yaml"


def test_the_manifest_is_what_make_manifests_writes() -> None:
    """The cluster's file differs from a laptop's only on purpose."""
    assert BASE.read_text() == generated(ROOT / "serve_config.yaml", BASE)


def test_the_file_that_users_apply_is_a_copy_and_no_link() -> None:
    """A link that is downloaded is a file with a path in it."""
    assert not ALONE.is_symlink()
    assert ALONE.read_text() == BASE.read_text()


def test_the_command_writes_the_whole_folder(tmp_path: Path) -> None:
    """RayService, its copy, and the way of clients; what a file has of its own stays."""
    shutil.copytree(K8S, tmp_path / "k8s")
    config = tmp_path / "mine.yaml"
    text = (ROOT / "serve_config.yaml").read_text()
    config.write_text(text.replace("route_prefix: /delivery-time", "route_prefix: /minutes"))
    for name in ("base/route.yaml", "components/ingress/ingress.yaml", "rayservice.yaml"):
        (tmp_path / "k8s" / name).write_text("old")
    result = CliRunner().invoke(app, ["manifests", str(config), "--into", str(tmp_path / "k8s")])
    assert result.exit_code == 0, result.output
    for name in ("base/route.yaml", "components/ingress/ingress.yaml"):
        written = (tmp_path / "k8s" / name).read_text()
        assert "/minutes/v1/predict\n" in written
        assert "/delivery-time" not in written
    text = (tmp_path / "k8s" / "base" / "rayservice.yaml").read_text()
    assert "route_prefix: /minutes" in text
    assert (tmp_path / "k8s" / "rayservice.yaml").read_text() == text


def test_the_fast_mode_is_written_between_its_two_comments() -> None:
    """What stands before and behind is its author's; a manifest without them is left alone."""
    text = BASE.read_text()
    other = with_environment(text, {"RAY_x": 'a "b"\nc'})
    variables = container(worker_group(yaml.safe_load(other)))["env"]
    assert {"name": "RAY_x", "value": 'a "b"\nc'} in variables
    assert [entry["name"] for entry in variables] == ["KEYS_PATH", "CACHE_PATH", "RAY_x"]
    assert with_environment(other, VARIABLES) == text
    assert with_environment("kind: RayService\n", VARIABLES) == "kind: RayService\n"


def test_a_cluster_differs_from_a_laptop_in_host_replicas_and_docs_alone() -> None:
    """Everything else is the same file for both."""
    here = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    there = yaml.safe_load(rayservice()["spec"]["serveConfigV2"])
    assert there == for_cluster(here)
    assert there["http_options"].pop("host") == "0.0.0.0"
    here["http_options"].pop("host")
    for app_here, app_there in zip(here["applications"], there["applications"], strict=True):
        scaling = app_there["deployments"][0]["autoscaling_config"]
        assert (scaling["min_replicas"], scaling["max_replicas"]) == (2, 4)
        scaling |= {"min_replicas": 1, "max_replicas": 2}
        assert app_there["args"].pop("docs") is False
        assert app_here == app_there
    assert here == there


def test_a_cluster_has_docs_where_the_file_says_so() -> None:
    """In production they are off; whoever wants them there writes it."""
    args = {"model": "churn", "docs": True}
    server = {"import_path": "serve_app.app:server", "args": args}
    version = {"import_path": "serve_app.app:version", "args": {"model": "churn"}}
    found = for_cluster({"applications": [server, version]})["applications"]
    assert [app["args"] for app in found] == [args, {"model": "churn"}]


def test_bounds_that_a_file_sets_higher_stay() -> None:
    """Two is the least, not the answer; an isolated version with a fixed number gets two too."""
    scaling = {"min_replicas": 5, "max_replicas": 40}
    fixed = {"name": "Version", "num_replicas": 1}
    config = {
        "applications": [
            {"deployments": [{"name": "Server", "autoscaling_config": scaling}, fixed]}
        ]
    }
    servers, versions = for_cluster(config)["applications"][0]["deployments"]
    assert servers["autoscaling_config"] == scaling
    assert versions["num_replicas"] == 2
    assert fixed["num_replicas"] == 1, "the file itself is untouched"


def test_a_manifest_without_a_place_for_it_is_refused(tmp_path: Path) -> None:
    """The refusal says why in words, and the file stays as it was."""
    path = tmp_path / "rayservice.yaml"
    path.write_text("kind: RayService\n")
    result = CliRunner().invoke(
        app, ["manifests", str(ROOT / "serve_config.yaml"), "--into", str(path)]
    )
    assert result.exit_code == 1
    assert "found 0 lines `serveConfigV2: |`, expected one" in result.stderr
    assert path.read_text() == "kind: RayService\n"


def test_writing_twice_changes_nothing() -> None:
    """The block is found again, whatever stands in it."""
    once = with_config(
        "a:\n  serveConfigV2: |\n    x: 1\n\n    y: 2\n  b: 3\n", {"z": ["1", {"t": "u\nv"}]}
    )
    assert with_config(once, {"z": ["1", {"t": "u\nv"}]}) == once
    assert yaml.safe_load(once)["a"]["b"] == 3
    assert yaml.safe_load(yaml.safe_load(once)["a"]["serveConfigV2"]) == {"z": ["1", {"t": "u\nv"}]}


def test_the_shipped_manifest_has_no_fault() -> None:
    """It keeps to the operator's rules, and capacity, probes and environment are right."""
    report = check_file(BASE)
    assert [report.line(fault) for fault in report.faults] == []
    assert "2 applications, 2 models" in report.summary


def _config(values: dict[str, Any], old: str, new: str) -> None:
    assert old in values["spec"]["serveConfigV2"]
    values["spec"]["serveConfigV2"] = values["spec"]["serveConfigV2"].replace(old, new)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "long name": (
        lambda v: v["metadata"].update(name="x" * 48),
        "found 48 characters, expected 1 to 47",
    ),
    "bogus upgrade": (
        lambda v: v["spec"]["upgradeStrategy"].update(type="Rolling"),
        "found Rolling, expected one of",
    ),
    "incremental without autoscaler": (
        lambda v: (
            v["spec"]["upgradeStrategy"].update(type="NewClusterWithIncrementalUpgrade"),
            v["spec"]["rayClusterConfig"].pop("enableInTreeAutoscaling"),
        ),
        "without enableInTreeAutoscaling",
    ),
    "min over max": (
        lambda v: worker_group(v).update(minReplicas=5),
        "untrue: the operator refuses it",
    ),
    "one worker": (lambda v: worker_group(v).update(minReplicas=1), "found 1, expected 2 or more"),
    "replicas on the head": (
        lambda v: v["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"].pop("num-cpus"),
        'expected "0"',
    ),
    "short grace": (
        lambda v: worker_group(v)["template"]["spec"].pop("terminationGracePeriodSeconds"),
        "found 30, expected 60 or more",
    ),
    "read-only /tmp": (
        lambda v: container(worker_group(v)).update(volumeMounts=[]),
        "expected a volume at /tmp",
    ),
    "half a fast mode": (
        lambda v: container(worker_group(v)).update(
            env=[
                entry
                for entry in container(worker_group(v))["env"]
                if entry["name"] != "RAY_SERVE_ENABLE_HA_PROXY"
            ]
        ),
        "RAY_SERVE_ENABLE_HA_PROXY differs from the head's",
    ),
    "HAProxy gives up first": (
        lambda v: _config(v, "deadline_ms: 2000", "deadline_ms: 10000"),
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S: found 10, expected more than the longest deadline_ms",
    ),
    "readiness by a model": (
        lambda v: container(worker_group(v))["readinessProbe"]["httpGet"].update(path="/ready"),
        "found /ready, expected /-/healthz",
    ),
    "probe on a closed port": (
        lambda v: container(worker_group(v))["livenessProbe"]["httpGet"].update(port=9999),
        "found 9999, expected 8000, 8265 or 52365",
    ),
    "KubeRay's own probe": (
        lambda v: container(worker_group(v)).pop("readinessProbe"),
        "expected an httpGet of one's own",
    ),
    "too few CPUs": (
        lambda v: worker_group(v).update(maxReplicas=3),
        "at most 6 CPUs (maxReplicas), but replicas with",
    ),
    "loopback alone": (
        lambda v: _config(v, "host: 0.0.0.0", "host: 127.0.0.1"),
        "http_options.host: found 127.0.0.1",
    ),
    "unknown key": (lambda v: _config(v, "max_replicas", "max_replica"), "unknown key"),
    "no config": (
        lambda v: v["spec"].update(serveConfigV2="[]"),
        "expected the text of a serve_config.yaml",
    ),
    "broken config": (lambda v: v["spec"].update(serveConfigV2="a: ["), "not valid YAML"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_operator_or_sluice_cannot_use_is_found(name: str, tmp_path: Path) -> None:
    """Each of these faults passes the CRD and is found by the check."""
    change, hint = FAULTS[name]
    values = rayservice()
    change(values)
    path = tmp_path / "rayservice.yaml"
    path.write_text(yaml.safe_dump(values))
    report = check_file(path)
    lines = [report.line(fault) for fault in report.faults]
    assert any(hint in line for line in lines), lines
    assert all(f"{path}:" in line for line in lines)
