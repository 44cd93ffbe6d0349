"""What is asked of other deployments: the coordinator, and replicas of isolated versions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from ray import serve

from serve_app.errors import HttpError, NotReady, RolloutError
from serve_app.rollout.decide import CommandName
from serve_app.rollout.fleet import Replicas
from serve_app.rollout.view import RolloutView, Unknown
from serve_app.settings import Rollout, application_of

TIMEOUT_S = 5.0
# Of the order next to the log: both fit into the ten seconds that a client waits.
ORDER_TIMEOUT_S = 4.0
# The judge waits meanwhile, and a wish is repeated a second later.
WISH_TIMEOUT_S = 1.0
# What Ray says of replicas that could not start, though nothing is wrong with the bundle.
PASSING = ("BundleUnavailable", "StoreAway", "NoRoom", "MemoryError", "No space left on device")
T = TypeVar("T")


class RolloutHere(Protocol):
    """What a server does of a rollout without its coordinator."""

    @property
    def plan(self) -> Rollout | None:
        """The rollout of the table in force."""

    def put_out(self) -> bool:
        """Take all share from the candidate in this server alone; whether it had orders."""


class RemoteRollout:
    """The coordinator behind its handle, for the routes.

    `order_out(plan, by, reason)` orders the candidate out next to the log; it waits for the store,
    and raises RolloutError.
    """

    def __init__(
        self,
        coordinator: Any,
        here: RolloutHere,
        order_out: Callable[[Rollout, str, str], None],
    ) -> None:
        self._coordinator = coordinator
        self._here = here
        self._order_out = order_out

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is. Raises NotReady when the coordinator does not answer."""
        found: RolloutView | Unknown = await _in_time(self._coordinator.view.remote())
        return found

    async def command(self, action: CommandName, by: str, reason: str) -> RolloutView | Unknown:
        """Carry out a command. Raises CommandRefused, NoRollout or NotReady.

        `out` is in force in this server before the coordinator is asked. Where that one cannot
        carry it out, it is ordered next to the log: whoever hears no coordinator goes by that, and
        so does the coordinator once it reads the log.
        """
        is_out_here = action == "out" and self._here.put_out()
        try:
            return await self._command(action, by, reason)
        except NotReady as error:
            plan = self._here.plan
            if action != "out" or plan is None:
                raise
            here = "Out in this server. " if is_out_here else ""
            ordered = await self._ordered(plan, by, reason)
            raise NotReady(f"{here}{ordered} {error.detail}") from None

    async def _ordered(self, plan: Rollout, by: str, reason: str) -> str:
        """Order it next to the log, and say what became of that."""
        try:
            async with asyncio.timeout(ORDER_TIMEOUT_S):
                await asyncio.to_thread(self._order_out, plan, by, reason)
        except (RolloutError, TimeoutError) as error:
            kind = str(error) or type(error).__name__
            return f"No order is next to the log ({kind}): ask again, every server has to hear it."
        return "An order is next to the log: the other servers follow within seconds."

    async def _command(self, action: CommandName, by: str, reason: str) -> RolloutView | Unknown:
        refused: HttpError | None = await _in_time(
            self._coordinator.command.remote(action, by, reason)
        )
        if refused is not None:
            raise refused
        return await self.view()


class IsolatedReplicas:
    """The replicas of a model's isolated versions, as Ray counts them."""

    def __init__(self, model: str) -> None:
        self._model = model

    async def replicas(self, version: str) -> Replicas:
        """How many run; a failed deployment is final."""
        name = application_of(self._model, version)
        # In a thread: it asks the controller, and would hold up the event loop.
        status = await asyncio.to_thread(serve.status)
        app = status.applications.get(name)
        if app is None:
            return Replicas(0)
        if app.status == "DEPLOY_FAILED":
            messages = [app.message, *(one.message for one in app.deployments.values())]
            if any(word in message for message in messages for word in PASSING):
                return Replicas(0)
            return Replicas(0, f"application {name} cannot be deployed; `serve status` says why")
        counts = [d.replica_states.get("RUNNING", 0) for d in app.deployments.values()]
        return Replicas(sum(counts))

    async def wish(self, version: str, n_replicas: int) -> None:
        """Tell one replica; Ray hands the largest wish of all to the autoscaling policy."""
        name = application_of(self._model, version)
        async with asyncio.timeout(WISH_TIMEOUT_S):
            handle: Any = await asyncio.to_thread(serve.get_app_handle, name)
            await handle.expect.remote(n_replicas)


async def _in_time(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await answer
    except Exception as error:
        raise NotReady(f"The coordinator does not answer ({type(error).__name__}).") from None
