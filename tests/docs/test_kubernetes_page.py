"""What docs/kubernetes.md says of numbers and names is what the manifests have."""

import re

import pytest
from documents import ROOT, Block, blocks_of, programs
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


def blocks(heading: str) -> list[Block]:
    """The fenced blocks below a heading."""
    text = section(heading)

    def fenced(block: Block) -> str:
        return f"```{' '.join((block.language, *block.tags))}\n{block.text}```"

    return [block for block in blocks_of(PAGE) if fenced(block) in text]


def commands(heading: str) -> list[list[str]]:
    """The commands below a heading, each as its programs' words, in order."""
    lines = [line for block in blocks(heading) for line in block.commands]
    return [words for line in lines for words in programs(line)]


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
    # What it needs is made in the same section: the other one may not have been read.
    typed = [command for block in blocks(heading) for command in block.commands]
    (written,) = (i for i, command in enumerate(typed) if command.endswith("> customer.json"))
    assert written < min(i for i, command in enumerate(typed) if "@customer.json" in command)
    assert first("^make models$") < min(first("^docker build"), first("^sluice |^kind load"))
    if heading == "On your cluster":
        assert first(r"^source \.venv/bin/activate$") < first("^sluice ")


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


def local_ports(heading: str) -> list[str]:
    """The ports of this machine that the forwards below a heading take."""
    found = [words for words in commands(heading) if "port-forward" in words]
    return [words[-1].partition(":")[0] for words in found]


def test_a_look_at_the_second_cluster_cannot_be_answered_by_the_first() -> None:
    """A forward whose port is taken fails, and whoever has the port answers in its place."""
    canary = "A canary of image or Ray"
    ports = [*local_ports("On your cluster"), *local_ports(canary)]
    assert len(ports) == len(set(ports)) == 2
    [asked] = [words[-1] for words in commands(canary) if words[0] == "curl"]
    assert asked == f"http://localhost:{ports[1]}/ready"
    # That of kind ends with its cluster.
    last = commands("On kind")[-1]
    assert last == ["kind", "delete", "cluster"]


@pytest.mark.parametrize("heading", ["On kind", "On your cluster", "A canary of image or Ray"])
def test_a_block_that_is_pasted_whole_waits_for_its_forward(heading: str) -> None:
    """It listens after a moment, and curl would say nothing of a refused connection."""
    lines = commands(heading)
    (forward,) = (i for i, words in enumerate(lines) if "port-forward" in words)
    asked = [words for words in lines[forward:] if words[0] == "curl"]
    assert {"-sS", "--retry", "--retry-connrefused"} <= set(asked[0])
    assert all("-s" not in words for words in asked), "it would hide what went wrong"


def test_a_collector_next_to_ray_is_given_the_volume_that_has_the_logs() -> None:
    """With its autoscaler KubeRay puts one of its own over `/tmp/ray` of the head (its pod.go)."""
    service = rayservice()
    assert service["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"] is True
    text = " ".join((ROOT / "docs" / "logs.md").read_text().split())
    assert "in the head's with `ray-logs` at `/tmp/ray`" in text
    assert "in a worker's pod with the volume `tmp` mounted at `/tmp`" in text
    for group in groups(service):
        mounts = group["template"]["spec"]["containers"][0]["volumeMounts"]
        places = {mount["mountPath"]: mount["name"] for mount in mounts}
        assert places["/tmp"] == "tmp"
        assert "/tmp/ray" not in places, "KubeRay would leave that one alone"


def test_events_are_sorted_by_a_time_that_each_of_them_has() -> None:
    """KubeRay 1.7 records by the newer API for events, which leaves `lastTimestamp` empty."""
    lines = commands("When it does not come up")
    (sort,) = (word for words in lines for word in words if word.startswith("--sort-by"))
    assert sort == "--sort-by=.metadata.creationTimestamp"


def test_the_clusters_go_before_the_namespace_in_which_their_redis_is_cleaned() -> None:
    """KubeRay cannot start its Job in a namespace that is going, and the keys would stay."""
    lines = [" ".join(words) for words in commands("Back")]
    assert lines == [
        "kubectl -n sluice delete rayservice --all",
        "kubectl -n sluice wait raycluster --all --for=delete --timeout=6m",
        "kubectl delete -k k8s/overlays/mine",
    ]


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
