"""The Ray class of a coordinator: one process an application, which merges reports and decides."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from serve_app.cluster.logs import log_to_ray
from serve_app.cluster.replica import own_application
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import HttpError, NotReady
from serve_app.monitoring.drift_windows import DriftSums, DriftWindows
from serve_app.monitoring.quality.report import Quality
from serve_app.monitoring.quality.view import QualityView
from serve_app.rollout.command import CommandName
from serve_app.rollout.controller import Controller
from serve_app.rollout.looking import look_forever
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.settings import ServerArgs


@dataclass(frozen=True)
class CoordinatorParts:
    """What `serve_app.app` wires together for one coordinator.

    `inbox` has the parts of the report, among them the `controller` of the rollout, the windows of
    `drift` and the labels of `quality`, without which nothing is kept of labels. `forever` goes on
    next to the looks of the controller; `at_end` writes what was not written yet.
    """

    inbox: Inbox
    controller: Controller
    drift: DriftWindows = field(default_factory=DriftWindows)
    quality: Quality | None = None
    forever: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    at_end: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()


class Coordinator:
    """The single replica that the servers of a model report to; `wire` makes its parts."""

    def __init__(self, wire: Callable[[ServerArgs], CoordinatorParts], args: ServerArgs) -> None:
        log_to_ray(own_application, model=args.model, process="coordinator")
        parts = wire(args)
        self._inbox = parts.inbox
        self._controller = parts.controller
        self._drift = parts.drift
        self._quality = parts.quality
        self._forever = parts.forever
        self._at_end = parts.at_end
        # Ray calls this when a replica ends. On the class the interpreter would call it too, and
        # wait for nothing.
        self.__del__ = self._end
        self._looks: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def report(self, report: Report) -> Reply:
        """A server reports once a second, and follows what comes back."""
        if self._looks is None:
            loop = asyncio.get_running_loop()
            self._looks = loop.create_task(look_forever(self._controller))
            self._tasks = [loop.create_task(forever()) for forever in self._forever]
        return self._inbox.receive(report)

    async def _end(self) -> None:
        for last in self._at_end:
            await last()
        for task in (self._looks, *self._tasks):
            if task is not None:
                task.cancel()

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is."""
        return view(self._controller)

    async def drift(self) -> DriftSums:
        """What the servers counted within the last day."""
        return self._drift.sums()

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
