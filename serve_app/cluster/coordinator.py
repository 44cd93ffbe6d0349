"""The Ray class of a coordinator: one process an application, which merges reports and decides."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from serve_app.cluster.logs import log_to_ray
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import HttpError, NotReady
from serve_app.monitoring.quality.report import Quality
from serve_app.monitoring.quality.view import QualityView
from serve_app.rollout.controller import Controller
from serve_app.rollout.decide import CommandName
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.settings import ServerArgs


@dataclass(frozen=True)
class CoordinatorParts:
    """What `serve_app.app` wires together for the coordinator of a model.

    Without `quality` nothing is kept of labels.
    """

    inbox: Inbox
    controller: Controller
    quality: Quality | None = None


class Coordinator:
    """The single replica that the servers of a model report to.

    `wire` makes its parts in this process.
    """

    def __init__(self, wire: Callable[[ServerArgs], CoordinatorParts], args: ServerArgs) -> None:
        log_to_ray()
        parts = wire(args)
        self._inbox = parts.inbox
        self._controller = parts.controller
        self._quality = parts.quality
        self._looks: asyncio.Task[None] | None = None
        self._keeps: asyncio.Task[None] | None = None

    async def report(self, report: Report) -> Reply:
        """A server reports once a second, and follows what comes back."""
        if self._looks is None:
            loop = asyncio.get_running_loop()
            self._looks = loop.create_task(self._controller.look_forever())
            if self._quality is not None:
                self._keeps = loop.create_task(self._quality.keep_forever())
        return self._inbox.receive(report)

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is."""
        return view(self._controller)

    async def quality(self) -> QualityView | HttpError:
        """How good the versions are by labels and scores, or why nobody knows yet."""
        if self._quality is None:
            return NotReady("This coordinator keeps no labels.")
        try:
            return self._quality.view()
        except HttpError as error:
            return error

    async def command(self, action: CommandName, by: str, reason: str) -> HttpError | None:
        """Carry out a person's command.

        Returns the error that says why not: one that is raised would arrive as Ray's own.
        """
        try:
            await self._controller.command(action, by, reason)
        except HttpError as error:
            return error
        return None

    def check_health(self) -> None:
        """Ray starts a new one when the looks have ended."""
        if self._looks is not None and self._looks.done():
            raise NotReady("The coordinator has stopped looking.")
