"""The manifests for KubeRay, offline: the generated part, strict schemas, the operator's rules."""

import importlib
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from serve_app.commands.cluster_config import for_cluster, generated, with_config
from serve_app.commands.main import app

with warnings.catch_warnings():
    # Ray's own models warn when they are imported.
    warnings.simplefilter("ignore")
    from serve_app.commands.check.report import check_file

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"
CRD = SHARED / "kuberay" / "rayservice-v1.7.0.min.json"
RAYSERVICE = ROOT / "k8s" / "rayservice.yaml"
CORE = ("Namespace", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget")
OVERLAYS = ("base", "overlays/ha", "overlays/canary-cluster", "overlays/monitoring")


def built(overlay: str) -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of an overlay."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    command = ["kubectl", "kustomize", str(ROOT / "k8s" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def rayservice() -> dict[str, Any]:
    """The manifest as it is."""
    found: dict[str, Any] = yaml.safe_load(RAYSERVICE.read_text())
    return found


def test_the_manifest_is_what_make_manifests_writes() -> None:
    """The cluster's file differs from a laptop's only on purpose."""
    assert RAYSERVICE.read_text() == generated(ROOT / "serve_config.yaml", RAYSERVICE)


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
    report = check_file(RAYSERVICE)
    assert [report.line(fault) for fault in report.faults] == []
    assert "2 applications, 2 models" in report.summary


def _worker(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = values["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    return found


def _container(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _worker(values)["template"]["spec"]["containers"][0]
    return found


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
    "min over max": (lambda v: _worker(v).update(minReplicas=5), "untrue: the operator refuses it"),
    "one worker": (lambda v: _worker(v).update(minReplicas=1), "found 1, expected 2 or more"),
    "replicas on the head": (
        lambda v: v["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"].pop("num-cpus"),
        'expected "0"',
    ),
    "short grace": (
        lambda v: _worker(v)["template"]["spec"].pop("terminationGracePeriodSeconds"),
        "found 30, expected 60 or more",
    ),
    "read-only /tmp": (
        lambda v: _container(v).update(volumeMounts=[]),
        "expected a volume at /tmp",
    ),
    "half a fast mode": (
        lambda v: _container(v).update(env=_container(v)["env"][1:]),
        "RAY_SERVE_ENABLE_HA_PROXY differs from the head's",
    ),
    "HAProxy gives up first": (
        lambda v: _config(v, "deadline_ms: 2000", "deadline_ms: 10000"),
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S: found 10, expected more than the longest deadline_ms",
    ),
    "readiness by a model": (
        lambda v: _container(v)["readinessProbe"]["httpGet"].update(path="/ready"),
        "found /ready, expected /-/healthz",
    ),
    "probe on a closed port": (
        lambda v: _container(v)["livenessProbe"]["httpGet"].update(port=9999),
        "found 9999, expected 8000, 8265 or 52365",
    ),
    "KubeRay's own probe": (
        lambda v: _container(v).pop("readinessProbe"),
        "expected an httpGet of one's own",
    ),
    "too few CPUs": (
        lambda v: _worker(v).update(maxReplicas=3),
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


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_core_objects_fit_their_schemas_and_nothing_else_is_in_them(overlay: str) -> None:
    """Unknown fields are refused, as `kubectl --validate=strict` refuses them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kubernetes_validate = importlib.import_module("kubernetes_validate")
    found = [document for document in built(overlay) if document["kind"] in CORE]
    assert {document["kind"] for document in found} == set(CORE)
    for document in found:
        kubernetes_validate.validate(document, "1.33", strict=True)
    with pytest.raises(Exception, match="nonsense"):
        kubernetes_validate.validate({**found[0], "nonsense": 1}, "1.33", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_fit_the_core_schema_and_are_restricted(overlay: str) -> None:
    """Templates inside a RayService are checked as pods, and by Pod Security `restricted`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kubernetes_validate = importlib.import_module("kubernetes_validate")
    for document in (d for d in built(overlay) if d["kind"] == "RayService"):
        cluster = document["spec"]["rayClusterConfig"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "x"},
                "spec": group["template"]["spec"],
            }
            kubernetes_validate.validate(pod, "1.33", strict=True)
            _require_restricted(pod["spec"])


def _require_restricted(spec: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(
        set(volume) - {"name"} <= {"emptyDir", "configMap", "secret"} for volume in spec["volumes"]
    )
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert not any("hostPort" in port for port in container["ports"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_rayservice_fits_the_crd_of_kuberay(overlay: str) -> None:
    """As an API server would answer: structure, unknown fields, defaults, rules."""
    if not CRD.exists():
        pytest.skip("the CRD of KubeRay 1.7 is not beside this folder")
    sys.path.insert(0, str(SHARED / "tools"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check = importlib.import_module("crdcheck").check
            crd = json.loads(CRD.read_text())
            found = [document for document in built(overlay) if document["kind"] == "RayService"]
            assert found
            for document in found:
                assert check(crd, document) == []
            found[0]["spec"]["serveConfig"] = {}
            assert check(crd, found[0]) != []
    finally:
        sys.path.remove(str(SHARED / "tools"))


def test_the_overlays_do_what_they_are_for() -> None:
    """Each overlay adds what its name says.

    Redis by a Secret; two clusters with images and logs of their own behind a route; a monitor
    of a port that exists.
    """
    (service,) = (d for d in built("overlays/ha") if d["kind"] == "RayService")
    password = service["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"]["redisPassword"]
    assert "secretKeyRef" in password["valueFrom"]
    documents = built("overlays/canary-cluster")
    services = {
        d["metadata"]["name"]: json.dumps(d) for d in documents if d["kind"] == "RayService"
    }
    assert set(services) == {"sluice", "sluice-canary"}
    assert "sluice:0.2.0" in services["sluice-canary"]
    assert "sluice:0.2.0" not in services["sluice"]
    assert '"s3://models/sluice-rollouts"' not in services["sluice-canary"], (
        "two coordinators must not write one log"
    )
    (route,) = (d for d in documents if d["kind"] == "HTTPRoute")
    forced, split = route["spec"]["rules"]
    assert [ref["name"] for ref in forced["backendRefs"]] == ["sluice-canary-serve-svc"]
    assert {ref["name"]: ref["weight"] for ref in split["backendRefs"]} == {
        "sluice-serve-svc": 95,
        "sluice-canary-serve-svc": 5,
    }
    (monitor,) = (d for d in built("overlays/monitoring") if d["kind"] == "PodMonitor")
    ports = {port["name"] for port in _container(rayservice())["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_only_http_is_open_to_the_gateway() -> None:
    """The gateway reaches 8000; what else is open, is open to Ray's own pods and to KubeRay."""
    (policy,) = (d for d in built("base") if d["kind"] == "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    gateway, ray, operator = policy["spec"]["ingress"]
    assert gateway["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert ray["from"] == [{"podSelector": policy["spec"]["podSelector"]}]
    assert operator["from"][0]["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "kuberay-operator"
    }
