"""A cluster of several nodes, from the manifest for KubeRay: what the operator would start and send, on this machine.

The nodes are network namespaces; environment, flags, port and `serveConfigV2` are the manifest's, unchanged, and the
bundles lie on an S3 server. What this does not prove stands in docs/kubernetes.md.

The tests take the nodes away one after the other, so they stand in this order.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from harness import BIN, ROOT, wait_until
from lan import GATEWAY, KubeRay, Node, opened
from load import ROW, Load
from s3 import Gate, running_s3
from stage import GOOD

from serve_app.bundle.store import FolderStore

ORDER = {
    "order_hour": 19.0,
    "order_day": "Fri",
    "distance_km": 4.0,
    "n_items": 3,
    "n_distinct_items": 2,
}


@pytest.fixture(scope="module")
def kuberay(store: FolderStore) -> Iterator[tuple[KubeRay, Gate]]:
    """A head and two workers, with the applications of the manifest running; and the gate before their store."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    manifest = yaml.safe_load((ROOT / "k8s" / "rayservice.yaml").read_text())
    try:
        with opened(folder) as lan, running_s3(GATEWAY, "models") as gate:
            for model, version in (("churn", "1.0.0"), ("churn", GOOD), ("delivery_time", "1.0.0")):
                command = [BIN / "sluice", "push", model, version, "--from", store.uri]
                command += ["--store", "s3://models/sluice"]
                env = {**os.environ, **gate.environment()}
                subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
            cluster = KubeRay(lan, manifest, gate.environment())
            cluster.add_worker()
            cluster.add_worker()
            cluster.apply(cluster.config)
            cluster.until_running()
            yield cluster, gate
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def predict(node: Node, key: str = "k", prefix: str = "", row: Any = ROW) -> dict[str, Any]:
    """A prediction by a node's proxy."""
    answer = requests.post(
        f"{node.url}{prefix}/v1/predict", json=row, headers={"X-Routing-Key": key}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pids(cluster: KubeRay) -> set[tuple[str, int]]:
    """The processes of churn's servers."""
    return {(replica["node_ip"], replica["pid"]) for replica in cluster.replicas()}


def test_the_manifests_config_is_served_unchanged_and_a_new_weight_starts_no_process(
    kuberay: tuple[KubeRay, Gate],
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

    wait_until(lambda: answered_by() == {"1.0.0", GOOD}, 30, "both versions answer")
    wait_until(lambda: pids(cluster) == before, 30, "the same processes, all running")


def test_a_replica_starts_from_the_nodes_cache_while_the_store_is_away(
    kuberay: tuple[KubeRay, Gate],
) -> None:
    """The nodes have the bundles; nothing is asked of the store that gives no answer."""
    cluster, gate = kuberay
    gate.way = "refuse"
    try:
        before = pids(cluster)
        os.kill(min(pid for _, pid in before), signal.SIGKILL)
        wait_until(
            lambda: len(new := pids(cluster)) == 2 and new != before,
            60,
            "a replica in place of the killed",
        )
        for node in cluster.workers:
            assert predict(node)["label"] == "Churned"
            ready = requests.get(f"{node.url}/ready", timeout=5)
            assert ready.status_code == 200, ready.text
    finally:
        gate.way = "pass"


def test_draining_a_node_under_load_fails_no_request(kuberay: tuple[KubeRay, Gate]) -> None:
    """SIGTERM to its pod, as at an upgrade of the node. A gateway goes on sending to it for a second."""
    cluster, _ = kuberay
    wait_until(lambda: len(pids(cluster)) == 2, 30, "two replicas")
    holding = {ip for ip, _ in pids(cluster)}
    leaving = next(node for node in cluster.workers if node.ip in holding)
    targets = list(cluster.workers)
    turns = itertools.count()
    with Load(lambda: f"{targets[next(turns) % len(targets)].url}/v1/predict", 8) as load:
        load.until(200)
        leaving.drain()
        time.sleep(1)
        targets.remove(leaving)
        wait_until(lambda: leaving.process.poll() is not None, 90, "the end of the drained node")
        load.until(200)
    assert set(load.statuses) == {200}, load.statuses
    cluster.workers.remove(leaving)


def test_killing_a_node_under_load_fails_less_than_one_in_a_thousand(
    kuberay: tuple[KubeRay, Gate],
) -> None:
    """The proxy of the node that stays asks again elsewhere what died with a replica."""
    cluster, _ = kuberay
    (staying,) = cluster.workers
    victim = cluster.add_worker()
    more = yaml.safe_load(cluster.config)
    more["applications"][0]["deployments"][0]["autoscaling_config"] |= {
        "min_replicas": 4
    }  # too many for one node
    cluster.apply(yaml.safe_dump(more))
    wait_until(
        lambda: {ip for ip, _ in pids(cluster)} == {staying.ip, victim.ip},
        60,
        "replicas on both nodes",
    )
    wait_until(lambda: len(pids(cluster)) == 4 and victim.is_ready(), 60, "all of them")
    with Load(f"{staying.url}/v1/predict", 8) as load:
        load.until(500)
        victim.kill()
        load.until(3_000)
    failed = load.statuses.total() - load.statuses[200]
    assert failed < load.statuses.total() / 1_000, load.statuses
    cluster.workers.remove(victim)


def test_workers_answer_for_a_while_when_the_head_is_killed(kuberay: tuple[KubeRay, Gate]) -> None:
    """Without fault tolerance of the head (`k8s/overlays/ha`) Ray ends the workers later; docs/kubernetes.md."""
    cluster, _ = kuberay
    (node,) = cluster.workers
    with Load(f"{node.url}/v1/predict", 4) as load:
        load.until(50)
        cluster.head.kill()
        time.sleep(10)
    assert set(load.statuses) == {200}, load.statuses
