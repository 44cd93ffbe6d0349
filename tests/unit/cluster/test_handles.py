"""What a server and a coordinator ask of other deployments, and what a wrong answer means."""

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.errors import CommandRefused, NotReady, RolloutError
from serve_app.settings import Rollout

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from ray import serve

    from serve_app.cluster import handles
    from serve_app.cluster.handles import IsolatedReplicas, RemoteRollout


def says(monkeypatch: pytest.MonkeyPatch, message: str, **states: int) -> None:
    """Ray says this of the application of churn 1.1.0."""
    version = SimpleNamespace(message=message, replica_states=states)
    status = "RUNNING" if states else "DEPLOY_FAILED"
    app = SimpleNamespace(status=status, message="", deployments={"Version": version})
    found = SimpleNamespace(applications={"churn-1.1.0": app})
    monkeypatch.setattr(serve, "status", lambda: found)


@pytest.mark.parametrize(
    ("message", "is_final"),
    [
        ("serve_app.errors.BundleError: churn/1.1.0: found another sha256", True),
        ("serve_app.errors.BundleUnavailable: churn/1.1.0: is not there", False),
        ("serve_app.errors.StoreAway: s3://models: no answer", False),
        ("serve_app.errors.NoRoom: churn/1.1.0: no memory", False),
        ("MemoryError", False),
        ("OSError: [Errno 28] No space left on device", False),
        ("RuntimeError: can't start new thread", False),
        ("The actor died because its process was killed: SIGKILL, maybe for its memory.", False),
        ("", False),
    ],
)
async def test_an_application_that_had_no_room_has_not_failed_for_good(
    monkeypatch: pytest.MonkeyPatch, message: str, is_final: bool
) -> None:
    """Ray calls both of them failed; only what is wrong with the bundle ends a rollout."""
    says(monkeypatch, message)
    found = await IsolatedReplicas("churn").replicas("1.1.0")
    assert (found.n_running, bool(found.failure)) == (0, is_final)


async def test_replicas_that_run_are_counted_and_an_unknown_application_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that start or stop answer nobody."""
    says(monkeypatch, "", RUNNING=3, STARTING=2)
    isolated = IsolatedReplicas("churn")
    assert (await isolated.replicas("1.1.0")).n_running == 3
    assert (await isolated.replicas("1.2.0")).n_running == 0


class AnsweringCoordinator:
    """The handle of a coordinator that answers a command with this, or does not answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.command = SimpleNamespace(remote=self._command)

    async def _command(self, *_: str) -> Any:
        if isinstance(self._answer, ConnectionError):
            raise self._answer
        return self._answer


PLAN = Rollout(stable="1.0.0", candidate="1.1.0")


class Here:
    """A server's end of a rollout, and the orders that are left next to the log, as they come."""

    def __init__(self, *, has_orders: bool = True, plan: Rollout | None = PLAN) -> None:
        self.plan = plan
        self.done: list[str] = []
        self.fault: Exception | None = None
        self._has_orders = has_orders

    def put_out(self) -> bool:
        """Take the share away here."""
        self.done.append("out here")
        return self._has_orders

    def order_out(self, plan: Rollout, by: str, reason: str) -> None:
        """Leave an order next to the log."""
        if self.fault is not None:
            raise self.fault
        self.done.append(f"ordered by {by}: {reason}")


def remote(coordinator: Any, here: Here) -> RemoteRollout:
    """The coordinator as the routes of this server have it."""
    return RemoteRollout(coordinator, here, here.order_out)


@pytest.mark.parametrize("answer", [ConnectionError(), NotReady("the log cannot be written")])
async def test_out_is_in_force_whatever_the_coordinator_says(answer: Any) -> None:
    """It is away, or cannot write: the one word that always means out must not wait for it, here
    nor in the servers that were not asked.
    """
    here = Here()
    rollout = remote(AnsweringCoordinator(answer), here)
    with pytest.raises(NotReady, match=r"^Out in this server\. The log or an order"):
        await rollout.command("out", "ada", "tickets")
    assert here.done == ["out here", "ordered by ada: tickets"]
    for action in ("pause", "abort"):
        with pytest.raises(NotReady, match=r"^(?!Out)"):
            await rollout.command(action, "ada", "")  # type: ignore[arg-type]
    assert len(here.done) == 2, "no other command is carried out without the coordinator"


async def test_what_the_coordinator_carries_out_needs_no_order() -> None:
    """It is in the log then; this server does not wait for that."""
    here = Here()
    coordinator = AnsweringCoordinator(None)
    coordinator.view = SimpleNamespace(remote=coordinator.command.remote)
    await remote(coordinator, here).command("out", "ada", "")
    assert here.done == ["out here"]


async def test_what_is_carried_out_is_said_though_the_coordinator_says_no_more() -> None:
    """It was told as a coordinator that does not answer, and `out` left an order of no use."""
    here = Here()
    coordinator = AnsweringCoordinator(None)
    gone = AnsweringCoordinator(ConnectionError())
    coordinator.view = SimpleNamespace(remote=gone.command.remote)
    for action in ("out", "pause"):
        with pytest.raises(NotReady, match=f"has carried out `{action}`"):
            await remote(coordinator, here).command(action, "ada", "")  # type: ignore[arg-type]
    assert here.done == ["out here"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RolloutError("state: cannot be written"), "No order is next to the log"),
        (TimeoutError(), "It is not known whether an order is next to the log"),
    ],
)
async def test_an_order_that_cannot_be_written_is_said(fault: Exception, said: str) -> None:
    """Whoever reads it at night must know that the other servers may not have heard of it. A write
    that was given up may still come through.
    """
    here = Here()
    here.fault = fault
    with pytest.raises(NotReady, match=rf"^Out in this server\. {said} .* ask again"):
        await remote(AnsweringCoordinator(ConnectionError()), here).command("out", "ada", "")


async def test_a_coordinator_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says out at night gets an answer in seconds, and it is in force here."""
    monkeypatch.setattr(handles, "TIMEOUT_S", 0.01)

    async def hang(*_: str) -> None:
        await asyncio.Event().wait()

    coordinator = SimpleNamespace(command=SimpleNamespace(remote=hang))
    rollout = remote(coordinator, Here())
    async with asyncio.timeout(300):
        with pytest.raises(NotReady, match=r"^Out in this server\. .*TimeoutError"):
            await rollout.command("out", "ada", "")


async def test_a_server_without_orders_says_why_out_was_not_confirmed() -> None:
    """Stable answers there, other servers may have a share, and a refusal stays what it is."""
    away = AnsweringCoordinator(ConnectionError())
    here = Here(has_orders=False)
    with pytest.raises(NotReady, match=r"^The log or an order next to it"):
        await remote(away, here).command("out", "ada", "")
    nothing = Here(has_orders=False, plan=None)
    with pytest.raises(NotReady, match=r"^The coordinator does not answer"):
        await remote(away, nothing).command("out", "ada", "")
    assert nothing.done == ["out here"]
    refused = remote(AnsweringCoordinator(CommandRefused("no")), Here())
    with pytest.raises(CommandRefused):
        await refused.command("abort", "ada", "")
