"""One cluster a mode for all tests that read, with the applications of stage.py running."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from harness import Cluster, running_cluster, wait_until
from stage import base_applications, config, make_store

from serve_app.bundle.store import FolderStore


@pytest.fixture(scope="session")
def store(trained_store: FolderStore, tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    """The store of the stage."""
    return make_store(trained_store, tmp_path_factory.mktemp("store"))


@dataclass
class Stage:
    """A running cluster with the base applications, and what tests do to it."""

    cluster: Cluster
    store: FolderStore
    applications: list[dict[str, Any]]

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.cluster.url

    def deploy(self, *more: dict[str, Any], running: bool = True) -> None:
        """Deploy the base applications with these added, or in place of those of the same name."""
        replaced = {app["name"] for app in more}
        apps = [app for app in self.applications if app["name"] not in replaced] + list(more)
        self.cluster.deploy(config(*apps))
        if running:
            self.cluster.wait_for("RUNNING", *(app["name"] for app in apps))

    def until_ready(
        self, prefix: str, condition: Callable[[Any], Any] = lambda state: state["ready"]
    ) -> Any:
        """The state of `/ready` once it fulfils the condition."""

        def state() -> Any:
            found = requests.get(f"{self.url}{prefix}/ready", timeout=30).json()
            return found if condition(found) else None

        return wait_until(state, f"{prefix}/ready")


def deploy_as_people_do(stage: Stage) -> None:
    """By the commands of Ray Serve, which are the same in both modes."""
    cluster = stage.cluster
    path = cluster.folder / "config.yaml"
    path.write_text(yaml.safe_dump(cluster.config(config(*stage.applications))))
    assert "Sent deploy request successfully" in cluster.serve("deploy", path)
    cluster.wait_for("RUNNING", *(app["name"] for app in stage.applications))
    assert cluster.serve("status").count("status: RUNNING") >= len(stage.applications)


@pytest.fixture(scope="session", params=["plain", "fast"])
def stage(
    request: pytest.FixtureRequest, store: FolderStore, until_group_ends: ExitStack
) -> Iterator[Stage]:
    """The stage, in both modes of Ray Serve."""
    with until_group_ends as stack:
        cluster = stack.enter_context(running_cluster(request.param, n_cpus=32))
        stage = Stage(cluster, store, base_applications(store, request.param))
        if request.param == "plain":
            deploy_as_people_do(stage)
        else:
            stage.deploy()
        for application in stage.applications:
            if application["route_prefix"]:
                stage.until_ready(application["route_prefix"].rstrip("/"))
        yield stage


@pytest.fixture(scope="session")
def empty_stage(store: FolderStore, until_group_ends: ExitStack) -> Iterator[Stage]:
    """A cluster of the fast mode without an application, for tests that bring their own and take
    their time.
    """
    with until_group_ends as stack:
        yield Stage(stack.enter_context(running_cluster("fast", n_cpus=32)), store, [])


@pytest.fixture(scope="session")
def log_of(store: FolderStore) -> Callable[[str], Path]:
    """Where the probe of a version notes its calls."""
    return lambda version: store.root / f"{version}.log"
