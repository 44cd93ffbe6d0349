"""What a server and a coordinator ask of other deployments, and what a wrong answer means."""

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.errors import CommandRefused, NotReady

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


@pytest.mark.parametrize("answer", [ConnectionError(), NotReady("the log cannot be written")])
async def test_out_is_in_force_in_this_server_whatever_the_coordinator_says(answer: Any) -> None:
    """It is away, or cannot write: the one word that always means out must not wait for it."""
    done = []
    rollout = RemoteRollout(AnsweringCoordinator(answer), lambda: not done.append("out"))
    with pytest.raises(NotReady, match=r"^Out in this server\. "):
        await rollout.command("out", "ada", "")
    assert done == ["out"]
    with pytest.raises(NotReady, match=r"^(?!Out)"):
        await rollout.command("pause", "ada", "")
    assert done == ["out"], "no other command takes a share away"


async def test_a_coordinator_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says out at night gets an answer in seconds, and it is in force here."""
    monkeypatch.setattr(handles, "TIMEOUT_S", 0.01)

    async def hang(*_: str) -> None:
        await asyncio.Event().wait()

    coordinator = SimpleNamespace(command=SimpleNamespace(remote=hang))
    rollout = RemoteRollout(coordinator, lambda: True)
    async with asyncio.timeout(30):
        with pytest.raises(NotReady, match=r"^Out in this server\. .*TimeoutError"):
            await rollout.command("out", "ada", "")


async def test_a_server_without_orders_says_why_out_was_not_confirmed() -> None:
    """Stable answers there anyway, and a refusal stays what it is."""
    away = RemoteRollout(AnsweringCoordinator(ConnectionError()), lambda: False)
    with pytest.raises(NotReady, match=r"^The coordinator does not answer"):
        await away.command("out", "ada", "")
    refused = RemoteRollout(AnsweringCoordinator(CommandRefused("no")), lambda: True)
    with pytest.raises(CommandRefused):
        await refused.command("abort", "ada", "")
