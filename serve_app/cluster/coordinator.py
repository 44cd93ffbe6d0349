"""The Ray class of a coordinator: one process an application, which merges reports and decides."""

import asyncio
from collections.abc import Callable

from serve_app.cluster.logs import log_to_ray
from serve_app.cluster.replica import own_application
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import HttpError, NotReady
from serve_app.rollout.command import CommandName
from serve_app.rollout.controller import Controller
from serve_app.rollout.looking import look_forever
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.settings import ServerArgs


class Coordinator:
    """The single replica that the servers of a model report to.

    `wire` makes, in this process, the inbox of reports and the controller of the rollout.
    """

    def __init__(
        self, wire: Callable[[ServerArgs], tuple[Inbox, Controller]], args: ServerArgs
    ) -> None:
        log_to_ray(own_application, model=args.model, process="coordinator")
        self._inbox, self._controller = wire(args)
        self._looks: asyncio.Task[None] | None = None

    async def report(self, report: Report) -> Reply:
        """A server reports once a second, and follows what comes back."""
        if self._looks is None:
            loop = asyncio.get_running_loop()
            self._looks = loop.create_task(look_forever(self._controller))
        return self._inbox.receive(report)

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is."""
        return view(self._controller)

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
