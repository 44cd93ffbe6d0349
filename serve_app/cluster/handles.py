"""What is asked of other deployments: the coordinator, and replicas of isolated versions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ray import serve

from serve_app.errors import HttpError, NotReady
from serve_app.rollout.decide import CommandName
from serve_app.rollout.fleet import Replicas
from serve_app.rollout.view import RolloutView, Unknown
from serve_app.settings import application_of

TIMEOUT_S = 5.0
# The judge waits meanwhile, and a wish is repeated a second later.
WISH_TIMEOUT_S = 1.0
# What Ray says of replicas that could not start, though nothing is wrong with the bundle.
PASSING = ("BundleUnavailable", "StoreAway", "NoRoom", "MemoryError", "No space left on device")
T = TypeVar("T")


class RemoteRollout:
    """The coordinator behind its handle, for the routes.

    `put_out` takes all share from the candidate in this server alone, and tells whether it did.
    """

    def __init__(self, coordinator: Any, put_out: Callable[[], bool]) -> None:
        self._coordinator = coordinator
        self._put_out = put_out

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is. Raises NotReady when the coordinator does not answer."""
        found: RolloutView | Unknown = await _in_time(self._coordinator.view.remote())
        return found

    async def command(self, action: CommandName, by: str, reason: str) -> RolloutView | Unknown:
        """Carry out a command. Raises CommandRefused, NoRollout or NotReady.

        Where the coordinator cannot carry out `out`, it is in force in this server; the coordinator
        learns it from the next report, and the other servers from it.
        """
        try:
            return await self._command(action, by, reason)
        except NotReady as error:
            if action == "out" and self._put_out():
                raise NotReady(f"Out in this server. {error.detail}") from None
            raise

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
