"""A cluster of several nodes, from the manifest for KubeRay: what the operator would start and
send, on this machine.

The nodes are network namespaces; environment, flags, port and `serveConfigV2` are the manifest's,
unchanged, and the bundles lie on an S3 server. What this does not prove stands in
docs/kubernetes.md.

The tests take nodes away, and each begins with those that it needs. The last one takes the head.
"""

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml
from harness import BIN, ROOT, short_folder, wait_until
from lan import GATEWAY, KubeRay, Node, opened, places
from load import ROW, Load
from s3 import running_s3
from stage import GOOD

from benchmarks.chaos.store import StoreProxy
from serve_app.bundle.store import FolderStore

ORDER = {
    "order_hour": 19.0,
    "order_day": "Fri",
    "distance_km": 4.0,
    "n_items": 3,
    "n_distinct_items": 2,
}


@pytest.fixture(scope="module")
def kuberay(store: FolderStore) -> Iterator[tuple[KubeRay, StoreProxy]]:
    """A head and two workers, with the applications of the manifest running; and the proxy before
    their store.
    """
    manifest = yaml.safe_load((ROOT / "k8s" / "rayservice.yaml").read_text())
    with (
        short_folder() as folder,
        opened(folder) as lan,
        running_s3(GATEWAY, "models") as proxy,
    ):
        for model, version in (("churn", "1.0.0"), ("churn", GOOD), ("delivery_time", "1.0.0")):
            command = [BIN / "sluice", "push", model, version, "--from", store.uri]
            command += ["--store", places()["MODEL_PATH"]]
            env = {**os.environ, **proxy.environment()}
            subprocess.run(command, env=env, check=True, capture_output=True)
        cluster = KubeRay(lan, manifest, places() | proxy.environment())
        cluster.need_workers(2)
        cluster.apply(cluster.config)
        cluster.until_running()
        yield cluster, proxy


def predict(node: Node, key: str = "k", prefix: str = "", row: Any = ROW) -> dict[str, Any]:
    """A prediction by a node's proxy."""
    answer = requests.post(
        f"{node.url}{prefix}/v1/predict", json=row, headers={"X-Routing-Key": key}, timeout=300
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pids(cluster: KubeRay) -> set[tuple[str, int]]:
    """The processes of churn's servers."""
    return {(replica["node_ip"], replica["pid"]) for replica in cluster.replicas()}


def test_the_manifests_config_is_served_unchanged_and_a_new_weight_starts_no_process(
    kuberay: tuple[KubeRay, StoreProxy],
) -> None:
    """What the operator does with `serveConfigV2`, and what an edit of it does."""
    cluster, _ = kuberay
    assert cluster.asks_for_a_token()
    for node in cluster.workers:
        assert predict(node)["label"] == "Churned"
        assert predict(node, prefix="/delivery-time", row=ORDER)["delivery_minutes"] > 5
    before = pids(cluster)
    assert len(before) == 2
    assert cluster.head.ip not in {ip for ip, _ in before}
    edited = yaml.safe_load(cluster.config)
    edited["applications"][0]["deployments"][0]["user_config"]["versions"][GOOD] = {
        "weight_percent": 50
    }
    cluster.apply(yaml.safe_dump(edited))

    def answered_by() -> set[str]:
        nodes = itertools.cycle(cluster.workers)
        return {predict(next(nodes), key=f"customer-{i}")["model_version"] for i in range(40)}

    wait_until(lambda: answered_by() == {"1.0.0", GOOD}, "both versions answer")
    wait_until(lambda: pids(cluster) == before, "the same processes, all running")


def test_a_replica_starts_from_the_nodes_cache_while_the_store_is_away(
    kuberay: tuple[KubeRay, StoreProxy],
) -> None:
    """The nodes have the bundles; nothing is asked of the store that gives no answer."""
    cluster, proxy = kuberay
    proxy.way = "away"
    try:
        before = pids(cluster)
        os.kill(min(pid for _, pid in before), signal.SIGKILL)

        def is_replaced() -> bool:
            now = pids(cluster)
            return len(now) == 2 and now != before

        wait_until(is_replaced, "a replica in place of the killed")
        for node in cluster.workers:
            assert predict(node)["label"] == "Churned"
            ready = requests.get(f"{node.url}/ready", timeout=300)
            assert ready.status_code == 200, ready.text
    finally:
        proxy.way = "pass"


def two_nodes_with_replicas(cluster: KubeRay) -> tuple[Any, Any]:
    """Two nodes that answer: Ray has a proxy only where a replica is."""
    cluster.need_workers(2)
    nodes = cluster.workers[:2]
    more = yaml.safe_load(cluster.config)
    # Too many for one node.
    more["applications"][0]["deployments"][0]["autoscaling_config"] |= {"min_replicas": 4}
    cluster.apply(yaml.safe_dump(more))

    def are_on_both() -> bool:
        found = pids(cluster)
        return len(found) == 4 and {ip for ip, _ in found} == {node.ip for node in nodes}

    wait_until(are_on_both, "four replicas on two nodes")
    wait_until(lambda: all(node.is_ready() for node in nodes), "a proxy on each")
    return nodes[0], nodes[1]


@pytest.mark.real_time
def test_draining_a_node_under_load_fails_no_request(
    kuberay: tuple[KubeRay, StoreProxy],
) -> None:
    """SIGTERM to its pod, as at an upgrade of the node. A gateway goes on sending to it for a
    second.
    """
    cluster, _ = kuberay
    staying, leaving = two_nodes_with_replicas(cluster)
    targets = [staying, leaving]
    turns = itertools.count()

    def next_url() -> str:
        return f"{targets[next(turns) % len(targets)].url}/v1/predict"

    with Load(next_url, 8, pause_s=0.05) as load:
        load.until(100)
        leaving.drain()
        time.sleep(1)
        targets.remove(leaving)
        wait_until(leaving.has_ended, "the end of the drained node")
        load.until(100)
    assert set(load.statuses) == {200}, load.statuses


@pytest.mark.real_time
def test_killing_a_node_under_load_fails_at_most_three_requests(
    kuberay: tuple[KubeRay, StoreProxy],
) -> None:
    """The proxy of the node that stays asks again elsewhere what died with a replica."""
    cluster, _ = kuberay
    staying, victim = two_nodes_with_replicas(cluster)
    with Load(f"{staying.url}/v1/predict", 8) as load:
        load.until(300)
        victim.kill()
        load.until(700)
    failed = load.statuses.total() - load.statuses[200]
    assert failed <= 3, load.statuses


def test_workers_answer_for_a_while_when_the_head_is_killed(
    kuberay: tuple[KubeRay, StoreProxy],
) -> None:
    """Without fault tolerance of the head (`k8s/components/ha`) Ray ends the workers later;
    docs/kubernetes.md.
    """
    cluster, _ = kuberay
    cluster.need_workers(1)
    node = cluster.workers[0]
    with Load(f"{node.url}/v1/predict", 4, pause_s=0.05) as load:
        load.until(50)
        cluster.head.kill()
        time.sleep(10)
    assert set(load.statuses) == {200}, load.statuses
