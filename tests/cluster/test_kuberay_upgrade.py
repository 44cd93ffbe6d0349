"""An image that changes while a rollout moves: KubeRay has two clusters then, one store and one
place of rollouts, and all clients are at the first one, then at the second.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import yaml
from harness import BIN, ROOT, short_folder, wait_until
from lan import GATEWAY, KubeRay, Lan, opened, places
from rollout_app import RAILS, RolloutLoad
from s3 import running_s3
from stage import FAULTS, LIMITS

from serve_app.bundle.manifest import MANIFEST, sha256_of
from serve_app.bundle.store import FolderStore

BAD = FAULTS["raises"]
# Of the rows; more than a judge needs.
MARKED = 0.3


@dataclass
class Upgrade:
    """The file that both clusters get, the cluster that has the clients, and the other one."""

    lan: Lan
    manifest: dict[str, Any]
    environment: dict[str, str]
    digest: str
    clusters: list[KubeRay] = field(default_factory=list)

    def start(self, config: str) -> KubeRay:
        """One more cluster, as KubeRay makes it of a manifest with another image."""
        cluster = KubeRay(self.lan, self.manifest, self.environment)
        self.clusters.append(cluster)
        cluster.need_workers(1)
        cluster.apply(config)
        cluster.until_running()
        return cluster

    def config(self, min_seconds: int) -> str:
        """The manifest's own, of churn alone, with a rollout that stays at its first step."""
        found = yaml.safe_load(self.manifest["spec"]["serveConfigV2"])
        found["applications"] = found["applications"][:1]
        plan = {"stable": "1.0.0", "candidate": BAD, "steps": [50, 100], "guardrails": RAILS}
        found["applications"][0]["deployments"][0]["user_config"] = {
            "rollout": plan | {"min_seconds": min_seconds, "min_requests": 1_000_000},
            "versions": {BAD: {"manifest_sha256": self.digest}},
            "limits": LIMITS,
        }
        return yaml.safe_dump(found)


@pytest.fixture(scope="module")
def upgrade(store: FolderStore) -> Iterator[Upgrade]:
    """A network with a store that has both versions, and no cluster yet."""
    manifest = yaml.safe_load((ROOT / "k8s" / "rayservice.yaml").read_text())
    digest = sha256_of(store.read("churn", BAD, MANIFEST))
    with (
        short_folder() as folder,
        opened(folder) as lan,
        running_s3(GATEWAY, "models") as proxy,
    ):
        for version in ("1.0.0", BAD):
            command = [BIN / "sluice", "push", "churn", version, "--from", store.uri]
            command += ["--store", places()["MODEL_PATH"]]
            env = {**os.environ, **proxy.environment()}
            subprocess.run(command, env=env, check=True, capture_output=True)
        yield Upgrade(lan, manifest, places() | proxy.environment(), digest)


def url_of(cluster: KubeRay) -> str:
    """Where the Service of a cluster leads: its one worker."""
    (worker,) = cluster.workers
    return worker.url


def view(cluster: KubeRay) -> dict[str, Any]:
    """How far its coordinator says that the rollout is."""
    found: dict[str, Any] = requests.get(f"{url_of(cluster)}/v1/rollout", timeout=30).json()
    return found


def until(cluster: KubeRay, **wanted: Any) -> dict[str, Any]:
    """The view once it shows these values."""

    def shown() -> dict[str, Any] | None:
        found = view(cluster)
        return found if wanted.items() <= found.items() else None

    found: dict[str, Any] = wait_until(shown, f"{wanted}, now {view(cluster)}")
    return found


def command(cluster: KubeRay, action: str) -> int:
    """What a person's command is answered with."""
    url = f"{url_of(cluster)}/v1/rollout/{action}"
    return requests.post(url, json={"by": "test"}, timeout=60).status_code


def test_a_second_cluster_without_clients_takes_nothing_from_the_first_one(
    upgrade: Upgrade,
) -> None:
    """It reads along: the first one is still commanded, and still judges a candidate that breaks
    while both are there.
    """
    config = upgrade.config(min_seconds=3_600)
    first = upgrade.start(config)
    until(first, status="running", share=50.0)
    with RolloutLoad(lambda: f"{url_of(first)}/v1/predict") as load:
        load.until(50)
        second = upgrade.start(config)
        until(second, rollout=view(first)["rollout"])
        assert command(first, "pause") == 200
        assert command(first, "resume") == 200
        load.until(50)
        assert view(first)["status"] == "running"
        assert BAD in load.answered_by
        with RolloutLoad(lambda: f"{url_of(first)}/v1/predict", MARKED) as bad:
            found = until(first, status="aborted")
        assert found["by"] == "judge"
        until(second, status="aborted")
    assert set(load.statuses) | set(bad.statuses) == {200}, (load.statuses, bad.statuses)
    assert not view(first)["trouble"]


def test_the_cluster_that_gets_the_clients_takes_the_rollout_over_and_judges_it(
    upgrade: Upgrade,
) -> None:
    """All traffic goes from one to the other, the candidate breaks in the middle of that, and
    whoever holds the log puts it out; afterwards neither cluster answers with it.
    """
    first, second = upgrade.clusters
    config = upgrade.config(min_seconds=3_601)
    first.apply(config)
    until(first, status="running", share=50.0)
    # The first one holds the log when the second one gets the same file.
    second.apply(config)
    until(second, rollout=view(first)["rollout"])
    targets = [first]

    def gateway() -> str:
        return f"{url_of(targets[0])}/v1/predict"

    with RolloutLoad(gateway) as load:
        load.until(50)
        targets[0] = second
        with RolloutLoad(gateway, MARKED) as bad:
            found = until(second, status="aborted")
        assert found["by"] == "judge"
        until(first, status="aborted")
        load.until(50)
    assert set(load.statuses) | set(bad.statuses) == {200}, (load.statuses, bad.statuses)
    for cluster in (first, second):
        with RolloutLoad(f"{url_of(cluster)}/v1/predict") as after:
            after.until(40)
        assert after.answered_by == {"1.0.0"}
