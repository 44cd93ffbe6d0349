"""What docs/kubernetes.md says of numbers and names is what the manifests have."""

import re

import pytest
import yaml
from documents import ROOT, Block, blocks_of, programs
from manifests import built, groups, of_kind, rayservice, requested, worker_group

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
        order.append(first("create secret generic sluice-labels .*LABEL_KEYS="))
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


def test_each_version_that_is_pushed_is_made_above() -> None:
    """The versions of `make models` are those of serve_config.yaml; a later one is trained."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    made = set()
    pushed = []
    for words in commands("On your cluster"):
        if words[:2] == ["make", "models"]:
            for app in config["applications"]:
                table = app["deployments"][0]["user_config"]
                made.add((app["args"]["model"], table["stable"]))
        elif words[:3] == ["python", "-m", "training"]:
            made.add((words[3], words[words.index("--version") + 1]))
        elif words[:2] == ["sluice", "push"]:
            pushed.append((words[2], words[3]))
            assert pushed[-1] in made, f"{pushed[-1]} is not there yet"
    assert ("churn", "1.1.0") in pushed


@pytest.mark.parametrize("heading", ["On kind", "On your cluster"])
def test_each_step_says_how_long_it_takes_and_how_much_room_it_needs(heading: str) -> None:
    """In front of its commands, also where nobody has measured it."""
    steps = re.findall(r"(.*?)((?:^```.*?^```\n)+)", section(heading), re.MULTILINE | re.DOTALL)
    with_commands = [prose for prose, fenced in steps if "```console" in fenced]
    assert len(with_commands) >= 5
    for prose in with_commands:
        assert re.search(r"\*Time: [^*]+ Room: [^*]+\*\n\Z", prose), prose


def test_a_gateway_is_told_to_take_routes_of_this_namespace_and_how_one_sees_that_not() -> None:
    """By default a listener takes those of its own namespace alone: every path would be 404."""
    (namespace,) = of_kind(built("base"), "Namespace")
    routes = of_kind(built("overlays/mine"), "HTTPRoute")
    others = {ref["namespace"] for route in routes for ref in route["spec"]["parentRefs"]}
    assert namespace["metadata"]["name"] not in others
    text = " ".join(section("On your cluster").split())
    name = namespace["metadata"]["name"]
    assert (
        "`allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: "
        f"{{kubernetes.io/metadata.name: {name}}}}}}}}}`" in text
    )
    table = section("When it does not come up")
    [row] = [line for line in table.splitlines() if "`NotAllowedByListeners`" in line]
    assert row.startswith("| 404 ")


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


def test_retraining_is_tried_with_a_key_that_servers_know_and_when_its_cluster_answers() -> None:
    """The key's scope is what the monitor's routes want; a pod has no log before it runs."""
    page = ROOT / "docs" / "retraining.md"
    (block,) = (block for block in blocks_of(page) if "sluice-retrain-churn" in block.text)
    lines = [" ".join(words) for line in block.commands for words in programs(line)]
    wanted = [
        r"^sluice keys add \S+ --scope admin$",
        r"secret generic sluice-keys --from-file=keys.yaml",
        r"secret generic sluice-retraining --from-literal=SLUICE_API_KEY=\$RETRAINING_KEY$",
        r"^kubectl apply -k k8s/overlays/mine$",
        r"wait rayservice/sluice --for=condition=UpgradeInProgress=True ",
        r"wait rayservice/sluice --for=condition=UpgradeInProgress=False ",
        r"create job try --from=cronjob/sluice-retrain-churn$",
        r"^kubectl -n sluice logs -f job/try$",
    ]
    found = [
        next(i for i, line in enumerate(lines) if re.search(pattern, line)) for pattern in wanted
    ]
    assert found == sorted(found), lines
    assert block.commands[-1].startswith("until kubectl "), "it would end at ContainerCreating"


@pytest.mark.parametrize(
    "place",
    [
        "docs/prediction-log.md",
        "docs/retraining.md",
        "k8s/base/serviceaccount.yaml",
        "k8s/overlays/mine/kustomization.yaml",
    ],
)
def test_the_rights_of_a_prediction_log_are_named_wherever_an_account_is(place: str) -> None:
    """Writing alone would keep days for ever, and say so in a server's log alone."""
    text = " ".join((ROOT / place).read_text().replace("\n#", " ").split())
    assert re.search(r"read, write, list and delete below (that|`?LOG_PATH)", text)
