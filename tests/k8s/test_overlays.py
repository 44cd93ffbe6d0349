"""k8s/ as a cluster would get it, and what KubeRay, drains, gateways and Prometheus make of it."""

import ipaddress
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import (
    BUILT,
    CLUSTERS,
    K8S,
    MINE,
    SECOND,
    SPLIT,
    built,
    container,
    crd_faults,
    groups,
    labels,
    names,
    of_kind,
    quantity,
    rayservice,
    selects,
    validate,
    variables,
    worker_group,
)

from serve_app.monitoring.log.spool_room import MOST_WAITING_BYTES

# Kinds of Kubernetes itself; the schemas of the others are not at hand.
CORE = (
    "Namespace",
    "ServiceAccount",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ConfigMap",
    "CronJob",
)


def policy(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The spec of a NetworkPolicy."""
    (found,) = (d for d in of_kind(documents, "NetworkPolicy") if d["metadata"]["name"] == name)
    spec: dict[str, Any] = found["spec"]
    return spec


@pytest.mark.parametrize("overlay", BUILT)
def test_core_objects_fit_their_schemas_and_nothing_else_is_in_them(overlay: str) -> None:
    """Unknown fields are refused, as `kubectl --validate=strict` refuses them."""
    found = [document for document in built(overlay) if document["kind"] in CORE]
    assert found or overlay == SPLIT
    for document in found:
        validate(document)
        with pytest.raises(Exception, match="nonsense"):
            validate({**document, "nonsense": 1})


@pytest.mark.parametrize("overlay", CLUSTERS)
def test_pods_fit_the_core_schema_and_are_restricted(overlay: str) -> None:
    """Templates inside a RayService are checked as pods, and by Pod Security `restricted`."""
    for group in groups(rayservice(overlay)):
        spec = group["template"]["spec"]
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec})
        require_restricted(spec)


def require_restricted(spec: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(
        set(volume) - {"name"} <= {"emptyDir", "configMap", "secret"} for volume in spec["volumes"]
    )
    for each in spec["containers"]:
        context = each["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert not any("hostPort" in port for port in each.get("ports", ()))


def test_rayservices_fit_the_crd_of_kuberay() -> None:
    """As an API server would answer: structure, unknown fields, defaults, rules."""
    faults = crd_faults()
    for overlay in ("", *CLUSTERS):
        document = rayservice(overlay)
        assert faults(document) == [], overlay
        document["spec"]["serveConfig"] = {}
        assert faults(document) != []


def test_the_file_alone_needs_nothing_that_only_base_has() -> None:
    """`kubectl apply -f k8s/rayservice.yaml` works in any namespace: what it names is optional."""
    service = rayservice()
    assert "namespace" not in service["metadata"]
    for group in groups(service):
        spec = group["template"]["spec"]
        assert "serviceAccountName" not in spec
        for source in container(group)["envFrom"]:
            (reference,) = source.values()
            assert reference["optional"] is True
        for volume in spec["volumes"]:
            assert "emptyDir" in volume or volume["secret"]["optional"] is True
    account = worker_group(rayservice("base"))["template"]["spec"]["serviceAccountName"]
    assert ("ServiceAccount", account) in names(built("base"))


@pytest.mark.parametrize("overlay", CLUSTERS)
def test_the_service_of_the_head_finds_it(overlay: str) -> None:
    """It selects by KubeRay's own value of `app.kubernetes.io/name`, whatever a template says."""
    service = rayservice(overlay)
    head, _ = groups(service)
    # `HeadServiceLabels` in KubeRay 1.7, for the Service that the RayService has (service.go).
    wanted = {"app.kubernetes.io/name": "kuberay", "ray.io/node-type": "head"}
    wanted |= {"app.kubernetes.io/created-by": "kuberay-operator"}
    assert wanted.items() <= labels(service, head).items()


@pytest.mark.parametrize("overlay", [overlay for overlay in CLUSTERS if "kind" not in overlay])
def test_a_drain_is_let_through_and_does_not_take_all_workers(overlay: str) -> None:
    """A RayCluster has no scale subresource: only a number of pods that stay can be counted.

    With it one may go of two, and a pod that is not ready holds up no node.
    """
    (budget,) = of_kind(built(overlay), "PodDisruptionBudget")
    spec = budget["spec"]
    assert "maxUnavailable" not in spec
    assert isinstance(spec["minAvailable"], int)
    service = rayservice(overlay)
    head, workers = groups(service)
    assert 1 <= spec["minAvailable"] < workers["minReplicas"]
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert selects(spec["selector"], labels(service, workers))
    assert not selects(spec["selector"], labels(service, head)), "it would never be drained"


def test_on_kind_nothing_keeps_the_one_worker() -> None:
    """A budget that wants one pod of one refuses every drain."""
    assert worker_group(rayservice("overlays/kind"))["maxReplicas"] == 1
    assert of_kind(built("overlays/kind"), "PodDisruptionBudget") == []


@pytest.mark.parametrize("overlay", CLUSTERS)
def test_workers_spread_over_nodes_and_zones_each_cluster_for_itself(overlay: str) -> None:
    """The pods of the cluster before, at an upgrade, do not count."""
    service = rayservice(overlay)
    workers = worker_group(service)
    constraints = workers["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    for each in constraints:
        assert selects(each["labelSelector"], labels(service, workers))
        assert each["matchLabelKeys"] == ["ray.io/cluster"]
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"


def test_only_http_is_open_to_the_gateway() -> None:
    """The gateway reaches 8000; what else is open, is open to Ray's own pods and to KubeRay."""
    spec = policy(built("base"), "sluice")
    assert spec["policyTypes"] == ["Ingress"]
    gateway, ray, operator = spec["ingress"]
    assert gateway["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert ray["from"] == [{"podSelector": spec["podSelector"]}]
    # What the operator's Helm chart calls its pods.
    assert operator["from"][0]["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "kuberay-operator"
    }
    service = rayservice("base")
    assert all(selects(spec["podSelector"], labels(service, group)) for group in groups(service))


def test_a_load_balancer_without_pods_is_let_in_by_its_addresses() -> None:
    """To the workers, on 8000, and from no range that is as good as everybody."""
    spec = policy(built(MINE), "sluice-load-balancer")
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    networks = [ipaddress.ip_network(each["ipBlock"]["cidr"]) for each in rule["from"]]
    # https://cloud.google.com/load-balancing/docs/firewall-rules
    assert {str(network) for network in networks} == {"35.191.0.0/16", "130.211.0.0/22"}
    service = rayservice(MINE)
    head, workers = groups(service)
    assert selects(spec["podSelector"], labels(service, workers))
    assert not selects(spec["podSelector"], labels(service, head))


def test_prometheus_finds_the_monitor_and_reaches_what_it_scrapes() -> None:
    """kube-prometheus-stack selects by its release; ports are named in a container, and open."""
    documents = built(MINE)
    (monitor,) = of_kind(documents, "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    for rules in of_kind(documents, "PrometheusRule"):
        assert rules["metadata"]["labels"] == monitor["metadata"]["labels"]
    service = rayservice(MINE)
    head, workers = groups(service)
    ports = [
        {port["name"]: port["containerPort"] for port in container(group)["ports"]}
        for group in (head, workers)
    ]
    wanted = [endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]]
    numbers = [ports[0][name] for name in wanted]
    assert numbers == [8080, 44217, 44227]
    assert ports[1]["metrics"] == 8080
    open_ports = {
        each["port"] for each in policy(documents, "sluice-metrics")["ingress"][0]["ports"]
    }
    assert open_ports == set(numbers)
    for group in (head, workers):
        assert selects(monitor["spec"]["selector"], labels(service, group))


def test_the_ports_of_the_head_are_those_of_this_ray() -> None:
    """The autoscaler's and the dashboard's metrics, by Ray's own constants."""
    from ray.autoscaler._private.constants import AUTOSCALER_METRIC_PORT
    from ray.dashboard.consts import DASHBOARD_METRIC_PORT

    head, _ = groups(rayservice())
    ports = {port["name"]: port["containerPort"] for port in container(head)["ports"]}
    assert ports["as-metrics"] == AUTOSCALER_METRIC_PORT
    assert ports["dash-metrics"] == DASHBOARD_METRIC_PORT


def test_production_has_a_head_that_may_be_lost_keys_and_metrics() -> None:
    """All components at once; their Secrets are named, and no password stands in a file."""
    service = rayservice(MINE)
    options = service["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"]
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "sluice-redis"
    assert options["redisAddress"] == "redis://redis.example.com:6379", "of mine, not of ha"
    for group in groups(service):
        assert variables(group)["KEYS_PATH"] == "/etc/sluice/keys.yaml"
    assert ("PodMonitor", "sluice") in names(built(MINE))
    assert of_kind(built(MINE), "Secret") == []


@pytest.mark.parametrize("overlay", CLUSTERS)
def test_all_pods_of_all_clusters_seal_prediction_ids_by_one_secret(overlay: str) -> None:
    """As a variable, of a Secret that nothing else writes: an upgrade's second cluster, and that of
    a canary, take labels of what the first one answered.
    """
    for group in groups(rayservice(overlay)):
        sources = container(group)["envFrom"]
        assert {"secretRef": {"name": "sluice-labels", "optional": True}} in sources


def test_parts_that_wait_for_a_store_leave_most_of_tmp_to_others() -> None:
    """Kubernetes evicts a pod whose volume is over its limit; bundles and Ray's logs lie there."""
    for group in groups(rayservice()):
        volumes = {each["name"]: each for each in group["template"]["spec"]["volumes"]}
        assert variables(group)["CACHE_PATH"].startswith("/tmp/")
        limit = quantity(volumes["tmp"]["emptyDir"]["sizeLimit"])
        assert limit / 4 >= MOST_WAITING_BYTES


def test_every_value_of_yours_stands_once_in_files_of_yours() -> None:
    """Image, stores, addresses: base and components have no place to edit."""
    text = (K8S / MINE / "kustomization.yaml").read_text()
    values = yaml.safe_load(text)
    (image,) = values["images"]
    for value in (image["newName"], "redis.example.com", "models.example.com"):
        assert text.count(value) == 1
    assert text.count("=s3://models/sluice\n") == 1
    for path in (K8S / "base").iterdir():
        assert "example.com" not in path.read_text(), path
        assert "s3://" not in path.read_text(), path
    found = json.dumps(built(MINE))
    assert found.count(f"{image['newName']}:{image['newTag']}") == 2
    assert '"image": "sluice:' not in found


def test_another_place_of_bundles_starts_another_cluster(tmp_path: Path) -> None:
    """KubeRay starts one when the template changes: a ConfigMap that keeps its name would be read
    by new pods alone.
    """
    shutil.copytree(K8S, tmp_path / "k8s")
    file = tmp_path / "k8s" / MINE / "kustomization.yaml"
    file.write_text(file.read_text().replace("MODEL_PATH=s3://models", "MODEL_PATH=s3://other"))

    def places(documents: list[dict[str, Any]]) -> set[str]:
        (service,) = of_kind(documents, "RayService")
        return {container(group)["envFrom"][0]["configMapRef"]["name"] for group in groups(service)}

    (before,) = places(built(MINE))
    (after,) = places(built(MINE, tmp_path / "k8s"))
    assert before != after
    documents = built(MINE, tmp_path / "k8s")
    (made,) = of_kind(documents, "ConfigMap")
    assert made["metadata"]["name"] == after
    assert made["data"]["MODEL_PATH"] == "s3://other/sluice"


def mine_with(folder: Path, line: str, now: str) -> dict[str, list[dict[str, Any]]]:
    """Build production, the second cluster and the split, with one line of `mine` changed."""
    shutil.copytree(K8S, folder / "k8s")
    file = folder / "k8s" / MINE / "kustomization.yaml"
    text, n = re.subn(rf"^{re.escape(line)}\b.*\n", now, file.read_text(), flags=re.MULTILINE)
    assert n == 1, f"found {n} lines {line} in mine, expected one"
    file.write_text(text)
    return {overlay: built(overlay, folder / "k8s") for overlay in (MINE, SECOND, SPLIT)}


@pytest.mark.parametrize(
    ("component", "trace"),
    [("ha", "redis"), ("keys", "/etc/sluice/keys.yaml"), ("monitoring", "PodMonitor")],
)
def test_what_you_do_not_have_is_a_line_less(tmp_path: Path, component: str, trace: str) -> None:
    """Nothing else of `mine` changes with it, and the second cluster is built on that."""
    assert trace in json.dumps(built(MINE))
    found = mine_with(tmp_path, f"- ../../components/{component}", "")
    assert trace not in json.dumps(found)
    for overlay in (MINE, SECOND):
        assert len(of_kind(found[overlay], "RayService")) == 1


@pytest.mark.parametrize(("component", "n_ingresses"), [("ingress", 1), ("no-route", 0)])
def test_without_gateway_api_a_line_takes_the_routes_away(
    tmp_path: Path, component: str, n_ingresses: int
) -> None:
    """One that stands in `mine` as a comment, with an Ingress in their place or nothing."""
    line = f"- ../../components/{component}"
    found = mine_with(tmp_path, f"# {line}", f"{line}\n")
    assert "gateway.networking.k8s.io" not in json.dumps(found)
    ingresses = of_kind(found[MINE], "Ingress")
    assert len(ingresses) == n_ingresses
    for ingress in ingresses:
        validate(ingress)


def test_on_kind_the_image_brings_the_models_and_no_gateway_is_asked_for() -> None:
    """A tag of its own, so that nothing is pulled; and nothing of an API that kind has not."""
    documents = built("overlays/kind")
    (service,) = of_kind(documents, "RayService")
    assert {container(group)["image"] for group in groups(service)} == {"sluice:kind"}
    assert not any("imagePullPolicy" in container(group) for group in groups(service))
    (made,) = of_kind(documents, "ConfigMap")
    assert made["data"]["MODEL_PATH"] == "/models"
    own = {"v1", "networking.k8s.io/v1", "policy/v1", "ray.io/v1"}
    assert {document["apiVersion"] for document in documents} <= own


def test_deleting_the_second_cluster_deletes_nothing_of_the_first() -> None:
    """What `kubectl delete -k` of its folder names is not in production."""
    second = names(built(SECOND))
    assert second & names(built(MINE)) == set()
    assert ("RayService", "sluice-canary") in second


def test_the_second_cluster_has_its_own_image_rollouts_and_budget() -> None:
    """Two coordinators that both have clients must not write one log; else it is production."""
    first, second = rayservice(MINE), rayservice(SECOND)
    images = [{container(group)["image"] for group in groups(each)} for each in (first, second)]
    assert images == [{"registry.example.com/sluice:0.1.0"}, {"registry.example.com/sluice:0.2.0"}]
    data = [of_kind(built(overlay), "ConfigMap")[0]["data"] for overlay in (MINE, SECOND)]
    assert data[0]["MODEL_PATH"] == data[1]["MODEL_PATH"]
    assert data[0]["STATE_PATH"] != data[1]["STATE_PATH"]
    (budget,) = of_kind(built(SECOND), "PodDisruptionBudget")
    assert not selects(budget["spec"]["selector"], labels(first, worker_group(first)))
    assert first["spec"]["serveConfigV2"] == second["spec"]["serveConfigV2"]
    # The policies of production are for its pods too.
    spec = policy(built(MINE), "sluice")
    assert all(selects(spec["podSelector"], labels(second, group)) for group in groups(second))


def test_the_split_changes_the_weights_of_productions_routes_and_nothing_else() -> None:
    """So that applying production takes it back."""
    before = of_kind(built(MINE), "HTTPRoute")
    after = built(SPLIT)
    assert names(after) == names(before)
    for old, new in zip(before, after, strict=True):
        backends = new["spec"]["rules"][0].pop("backendRefs")
        assert [each["name"] for each in backends] == [
            "sluice-serve-svc",
            "sluice-canary-serve-svc",
        ]
        assert [each["weight"] for each in backends] == [95, 5]
        old["spec"]["rules"][0].pop("backendRefs")
        assert old == new


def with_retraining(folder: Path) -> list[dict[str, Any]]:
    """Production with its commented lines of retraining taken in, as docs/retraining.md says."""
    shutil.copytree(K8S, folder / "k8s")
    file = folder / "k8s" / MINE / "kustomization.yaml"
    lines = file.read_text().splitlines()
    is_wanted = False
    for i, line in enumerate(lines):
        text = line.lstrip(" ")
        if text.startswith("# - "):
            is_wanted = "retraining" in text
        elif not text.startswith("#   "):
            is_wanted = False
        if is_wanted:
            lines[i] = line.replace("# ", "", 1)
    file.write_text("\n".join(lines) + "\n")
    return built(MINE, folder / "k8s")


def test_retraining_is_a_job_each_night_that_is_restricted_and_finds_its_places(
    tmp_path: Path,
) -> None:
    """By its schema, and with the image, the ConfigMaps and the account that are there."""
    documents = with_retraining(tmp_path)
    (job,) = of_kind(documents, "CronJob")
    validate(job)
    for overlay in (SECOND, SPLIT):
        assert of_kind(built(overlay, tmp_path / "k8s"), "CronJob") == [], "it would be there twice"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]
    spec = pod["spec"]
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec})
    require_restricted(spec)
    (each,) = spec["containers"]
    assert each["image"] == "registry.example.com/trainer:0.1.0"
    maps = {found["metadata"]["name"]: found["data"] for found in of_kind(documents, "ConfigMap")}
    named = [one["configMapRef"]["name"] for one in each["envFrom"] if "configMapRef" in one]
    places: dict[str, str] = {}
    for name in named:
        places |= maps[name]
    assert {"MODEL_PATH", "LOG_PATH", "LABELS_PATH"} <= set(places)
    assert ("ServiceAccount", spec["serviceAccountName"]) in names(documents)
    # The servers write the log that it reads, and no change of labels starts another cluster.
    (service,) = of_kind(documents, "RayService")
    servers = {container(group)["envFrom"][0]["configMapRef"]["name"] for group in groups(service)}
    assert servers == {named[0]}
    assert "LABELS_PATH" not in maps[named[0]]


def test_the_job_of_retraining_is_a_command_of_the_image_and_fails_once(tmp_path: Path) -> None:
    """Its arguments are those of `python -m training`, and a data fault is not tried again."""
    import typer

    from training.cli import app

    (job,) = of_kind(with_retraining(tmp_path), "CronJob")
    spec = job["spec"]["jobTemplate"]["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    command, *words = spec["template"]["spec"]["containers"][0]["args"]
    found = typer.main.get_command(app).get_command(None, command)  # type: ignore[arg-type]
    context = found.make_context(command, words)  # type: ignore[union-attr]
    assert context.params["if_needed"] is True
    assert context.params["url"] == "http://sluice-serve-svc:8000"


def test_the_job_of_retraining_reaches_the_workers_and_is_no_pod_of_ray(tmp_path: Path) -> None:
    """On 8000 alone: who is one of Ray's pods may command all of Ray."""
    documents = with_retraining(tmp_path)
    (job,) = of_kind(documents, "CronJob")
    own = job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    spec = policy(documents, "sluice-retraining")
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert selects(rule["from"][0]["podSelector"], own)
    (service,) = of_kind(documents, "RayService")
    head, workers = groups(service)
    assert selects(spec["podSelector"], labels(service, workers))
    assert not selects(spec["podSelector"], labels(service, head))
    assert not selects(policy(documents, "sluice")["podSelector"], own)
    (monitor,) = of_kind(documents, "PodMonitor")
    assert not selects(monitor["spec"]["selector"], own)
