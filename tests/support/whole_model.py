"""A whole model without Ray: the real routes, router and controller, over versions that are not."""

from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeDrift, FakeReplica, FakeScorer, FakeStore, table, until
from labelled import InMemory, Predicting
from two_servers import TwoServers

from serve_app.contract import ModelSpec
from serve_app.http.application import create_app
from serve_app.http.edge import Edge, put_in_front
from serve_app.monitoring.quality.report import Quality
from serve_app.monitoring.quality.view import QualityView
from serve_app.rollout.command import CommandName
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions

STABLE = "1.0.0"
CANDIDATE = "1.1.0"
PREFIX = "/churn"
WAYS = ("through FastAPI", "in front of Ray")


class Unkept(list[Any]):
    """What stand-ins note of each request, where nothing may grow with the requests."""

    def append(self, item: Any) -> None:
        """Keep nothing."""


class OfController:
    """What the rollout routes ask, answered by a controller in this process."""

    def __init__(self, servers: TwoServers) -> None:
        self._servers = servers

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is."""
        return view(self._servers.controller)

    async def command(self, action: CommandName, by: str, reason: str) -> RolloutView | Unknown:
        """Carry out a command, as the coordinator does."""
        await self._servers.controller.command(action, by, reason)
        return await self.view()


class OfLabels:
    """What the route of quality asks, answered by a book in this process."""

    def __init__(self, spec: ModelSpec) -> None:
        self._quality = Quality(spec, InMemory())

    async def view(self) -> QualityView:
        """How good the versions are."""
        await self._quality.keep()
        return self._quality.view()


async def whole_model(spec: ModelSpec, folder: Path, **options: Any) -> Any:
    """The application of a model with two versions and a rollout, whose log is in this folder.

    `options` are those of `create_app`.
    """
    store = FakeStore()
    store.scorers = {version: FakeScorer(_score) for version in (STABLE, CANDIDATE)}
    for scorer in store.scorers.values():
        scorer.blocks = Unkept()
        scorer.deadlines_s = Unkept()
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=50))
    await until(lambda: all(versions.ready(version) for version in versions.members()))
    servers = TwoServers(folder)
    await servers.until_share("shadow")
    predicting = Predicting(spec)
    return create_app(
        spec,
        Router(spec, versions, ids=predicting.ids),
        OfController(servers),
        drift=FakeDrift(),
        feedback=predicting.feedback,
        quality=OfLabels(spec),
        **options,
    )


def reached(app: Any, way: str) -> Any:
    """The application under the prefix of its model, as one of WAYS reaches it.

    `put_in_front(None)` ends that.
    """
    put_in_front(app.state.door if way == "in front of Ray" else None)
    replica = FakeReplica(app, PREFIX)
    replica.seen = Unkept()
    return Edge(replica)


def _score(first: float) -> float:
    """A share that differs from row to row; a missing number is 0."""
    known = float(np.nan_to_num(first))
    return abs(known) / (1 + abs(known))
