"""What docs/kubernetes.md says of numbers and names is what the manifests have."""

import re

import pytest
from documents import ROOT, blocks_of, programs
from manifests import groups, rayservice, requested, worker_group

PAGE = ROOT / "docs" / "kubernetes.md"
TEXT = PAGE.read_text()
ROOMS = re.findall(
    r"^\| `k8s/([\w/-]+)` \| [^|]+ \| ([\d.]+) \| ([\d.]+) GiB \|$", TEXT, re.MULTILINE
)


def section(heading: str) -> str:
    """The text below a heading of the page."""
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    return str(found)


def commands(heading: str) -> list[list[str]]:
    """The commands below a heading, each as its programs' words, in order."""
    text = section(heading)
    blocks = [block for block in blocks_of(PAGE) if block.text in text]
    return [words for block in blocks for line in block.commands for words in programs(line)]


@pytest.mark.parametrize(("overlay", "cpus", "memory_gib"), ROOMS)
def test_the_room_that_a_folder_needs_is_what_its_pods_request(
    overlay: str, cpus: str, memory_gib: str
) -> None:
    """Head, its autoscaler and the workers."""
    found = requested(rayservice(overlay))
    assert found == pytest.approx((float(cpus), float(memory_gib)))


def test_the_page_tells_the_room_of_every_cluster() -> None:
    """The four folders that have a RayService stand in its table."""
    assert len(ROOMS) == 4


def test_at_its_largest_it_has_the_cpus_that_the_page_says() -> None:
    """Which are the limits of all workers at `maxReplicas`."""
    workers = worker_group(rayservice("base"))
    limit = workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    n_cpus = workers["maxReplicas"] * int(limit)
    assert f"At `maxReplicas` the workers have {n_cpus} CPUs" in " ".join(TEXT.split())


@pytest.mark.parametrize("heading", ["On kind", "On your cluster"])
def test_a_newcomer_gets_to_a_prediction_in_the_order_of_the_page(heading: str) -> None:
    """Operator, image, namespace before what lies in it, apply, wait, ask."""
    lines = [" ".join(words) for words in commands(heading)]

    def first(pattern: str) -> int:
        return next(i for i, line in enumerate(lines) if re.search(pattern, line))

    order = [first(r"^helm install kuberay-operator"), first("^docker build")]
    if heading == "On your cluster":
        order += [first("^docker push"), first("^sluice push"), first("base/namespace.yaml")]
        order += [first("^sluice keys add"), first("create secret generic sluice-keys")]
        order.append(first("create secret generic sluice-redis"))
    else:
        order.append(first("^kind load docker-image"))
    order += [first("^kubectl apply -k"), first("^kubectl .*wait rayservice")]
    order.append(first("^curl .*/v1/predict"))
    assert order == sorted(order), lines


def test_the_image_of_kind_is_built_loaded_and_applied_by_one_name() -> None:
    """Else the node would ask a registry for it."""
    lines = [" ".join(words) for words in commands("On kind")]
    images = {group["template"]["spec"]["containers"][0]["image"] for group in
              groups(rayservice("overlays/kind"))}  # fmt: skip
    (image,) = images
    assert f"kind load docker-image {image}" in lines
    assert any(line.startswith(f"docker build -t {image} --build-arg BAKE=") for line in lines)


def test_the_trial_of_a_cluster_has_a_beginning_an_undo_and_an_end() -> None:
    """And no command of it deletes what production has."""
    heading = "A canary of image or Ray"
    lines = [" ".join(words) for words in commands(heading)]
    deleted = [line for line in lines if "delete" in line]
    assert deleted == ["kubectl delete -k k8s/overlays/canary-cluster/cluster"]
    undone = lines.index("kubectl apply -k k8s/overlays/mine")
    assert lines.index("kubectl apply -k k8s/overlays/canary-cluster/route") < undone
    assert undone < lines.index(deleted[0])
    for word in ("**Begin.**", "**Undo.**", "**End.**"):
        assert word in section(heading)


def test_nothing_is_looked_for_that_a_pod_without_restarts_cannot_show() -> None:
    """The autoscaler is v2, with which KubeRay never restarts a container."""
    service = rayservice()
    options = service["spec"]["rayClusterConfig"]["autoscalerOptions"]
    assert options["version"] == "v2"
    assert not any("restartPolicy" in group["template"]["spec"] for group in groups(service))
    table = [line for line in section("When it does not come up").splitlines() if line[:1] == "|"]
    assert not any("CrashLoopBackOff" in line or "--previous" in line for line in table)


def test_the_variables_of_the_operator_that_the_page_names_are_set_by_nobody_else() -> None:
    """600 s for the workers is KubeRay's own value: a variable of ours would be in its place."""
    for group in groups(rayservice("overlays/mine")):
        names = {entry["name"] for entry in group["template"]["spec"]["containers"][0]["env"]}
        assert "RAY_gcs_rpc_server_reconnect_timeout_s" not in names
