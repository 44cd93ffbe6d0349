"""What is asked of other deployments: the coordinator, and replicas of isolated versions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from ray import serve

from serve_app.errors import HttpError, NotReady, RolloutError
from serve_app.monitoring.drift_windows import DriftSums
from serve_app.monitoring.quality.view import QualityView
from serve_app.rollout.command import CommandName
from serve_app.rollout.fleet import Replicas
from serve_app.rollout.one_call import OneCall
from serve_app.rollout.view import RolloutView, Unknown
from serve_app.settings import Rollout, application_of

TIMEOUT_S = 5.0
# Of what follows a command, which is the order next to the log or the view: with the command it
# fits into the ten seconds that a client waits.
AFTER_TIMEOUT_S = 4.0
# Less than the fleet waits in all for replicas and wish.
STATUS_TIMEOUT_S = 4.0
# The judge waits meanwhile, and a wish is repeated a second later.
WISH_TIMEOUT_S = 1.0
# What Ray says of replicas that could not start because the bundle is wrong. Whatever else keeps
# them from it may pass: no memory, no thread, no store, half a copy, a process that was killed.
FINAL = "serve_app.errors.BundleError:"
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
        return await self._view(TIMEOUT_S)

    async def _view(self, timeout_s: float) -> RolloutView | Unknown:
        found: RolloutView | Unknown = await _in_time(self._coordinator.view.remote(), timeout_s)
        return found

    async def command(self, action: CommandName, by: str, reason: str) -> RolloutView | Unknown:
        """Carry out a command. Raises CommandRefused, NoRollout or NotReady.

        `out` is in force in this server before the coordinator is asked. Where that one cannot
        carry it out, it is ordered next to the log: whoever hears no coordinator goes by that, and
        so does the coordinator once it reads the log.
        """
        is_out_here = action == "out" and self._here.put_out()
        try:
            await self._command(action, by, reason)
        except NotReady as error:
            plan = self._here.plan
            if action != "out" or plan is None:
                raise
            here = "Out in this server. " if is_out_here else ""
            ordered = await self._ordered(plan, by, reason)
            raise NotReady(f"{here}{ordered} {error.detail}") from None
        try:
            return await self._view(AFTER_TIMEOUT_S)
        except NotReady:
            raise NotReady(
                f"The coordinator has carried out `{action}`, and then did not say how far the "
                "rollout is: ask for its status."
            ) from None

    async def _ordered(self, plan: Rollout, by: str, reason: str) -> str:
        """Order it next to the log, and say what became of that."""
        try:
            async with asyncio.timeout(AFTER_TIMEOUT_S):
                await asyncio.to_thread(self._order_out, plan, by, reason)
        except TimeoutError:
            # The thread goes on, and may write it yet.
            return (
                "It is not known whether an order is next to the log (no answer of the store): ask "
                "again, every server has to hear it."
            )
        except RolloutError as error:
            return f"No order is next to the log ({error}): ask again, every server has to hear it."
        return "The log or an order next to it says so: the other servers follow within seconds."

    async def _command(self, action: CommandName, by: str, reason: str) -> None:
        refused: HttpError | None = await _in_time(
            self._coordinator.command.remote(action, by, reason), TIMEOUT_S
        )
        if refused is not None:
            raise refused


class RemoteDrift:
    """What all servers counted, from the coordinator behind its handle."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator

    async def sums(self) -> DriftSums:
        """The sums of now. Raises NotReady when the coordinator does not answer."""
        found: DriftSums = await _in_time(self._coordinator.drift.remote(), TIMEOUT_S)
        return found


class RemoteQuality:
    """What the coordinator knows of labels, for the route."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator

    async def view(self) -> QualityView:
        """How good the versions are. Raises NotReady."""
        found: QualityView | HttpError = await _in_time(
            self._coordinator.quality.remote(), TIMEOUT_S
        )
        if isinstance(found, HttpError):
            raise found
        return found


class IsolatedReplicas:
    """The replicas of a model's isolated versions, as Ray counts them."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._asking = OneCall()

    async def replicas(self, version: str) -> Replicas:
        """How many run; a deployment that failed because the bundle is wrong is final."""
        name = application_of(self._model, version)
        # In a thread: it asks the controller, and would hold up the event loop.
        status: Any = await self._asking.ask("status", serve.status, STATUS_TIMEOUT_S)
        app = status.applications.get(name)
        if app is None:
            return Replicas(0)
        if app.status == "DEPLOY_FAILED":
            messages = [app.message, *(one.message for one in app.deployments.values())]
            failure = f"application {name} cannot be deployed; `serve status` says why"
            return Replicas(0, failure if _is_final("\n".join(messages)) else "")
        counts = [d.replica_states.get("RUNNING", 0) for d in app.deployments.values()]
        return Replicas(sum(counts))

    async def wish(self, version: str, n_replicas: int) -> None:
        """Tell one replica; Ray hands the largest wish of all to the autoscaling policy."""
        name = application_of(self._model, version)
        async with asyncio.timeout(WISH_TIMEOUT_S):
            handle: Any = await asyncio.to_thread(serve.get_app_handle, name)
            await handle.expect.remote(n_replicas)


def _is_final(said: str) -> bool:
    """Tell whether Ray's words say that the bundle is wrong."""
    return FINAL in said and not any(word in said for word in PASSING)


async def _in_time(answer: Awaitable[T], timeout_s: float) -> T:
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except Exception as error:
        raise NotReady(f"The coordinator does not answer ({type(error).__name__}).") from None
