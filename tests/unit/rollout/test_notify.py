"""Events of a rollout are told to a real HTTP server, which answers as the test wants."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import until
from watching import CANDIDATE, FakeIsolated
from webhook import SECRET, signature_of, webhook

from serve_app.errors import RolloutError
from serve_app.rollout.clock import SteadyClock
from serve_app.rollout.controller import Controller
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.notify import MOST_WAITING, Notifier, headers_of
from serve_app.rollout.orders import CandidateState, RolloutReport
from serve_app.settings import Notify, Rollout

QUICK_S = (0.01, 0.01, 0.01)


def newest_of(folder: Path) -> Any:
    """The last event of the log as it lies in the folder."""
    return json.loads(max(folder.glob("churn/shop/*/*.json")).read_text())


class Watched:
    """A controller with one server, whose plan tells a webhook."""

    def __init__(
        self,
        folder: Path,
        notify: Notify,
        delays_s: Sequence[float] = QUICK_S,
        timeout_s: float = 30.0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.now_s = 1_800_000_000.0
        self.plan = Rollout(stable="1.0.0", candidate=CANDIDATE, steps=(10.0, 100.0), notify=notify)
        self.loses_answers = False
        self.notifier = Notifier("churn", "shop", delays_s, timeout_s, environment or {})
        clock = SteadyClock(lambda: self.now_s, lambda: self.now_s)
        self.controller = Controller(self._open, FakeIsolated(), clock, self.notifier)

    def _open(self, rollout: str) -> Log:
        return (
            Forgetful(self)
            if self.loses_answers
            else open_log(str(self.folder), "churn", "shop", rollout)
        )

    async def begin(self) -> None:
        """Let its server report until the candidate has its first share."""
        for _ in range(100):
            self.now_s += 1
            report = RolloutReport(self.plan, CandidateState("ready"), 100, (), "")
            self.controller.hear("a", report, is_new=True)
            await self.controller.look()
            if self.controller.orders and self.controller.orders.percent:
                return
        raise AssertionError(self.controller.waits_for)


class Forgetful(Log):
    """A log whose events are written, and whose answers that say so are lost."""

    def __init__(self, watched: Watched) -> None:
        opened = open_log(str(watched.folder), "churn", "shop", watched.plan.id)
        self.__dict__.update(vars(opened))

    def append(self, *args: Any) -> Any:
        """Write it, and say that nobody knows."""
        super().append(*args)
        self.events = self.events[:-1]
        raise RolloutError("the answer was lost")


async def test_an_event_is_told_as_it_stands_in_the_log_with_its_sentence(tmp_path: Path) -> None:
    """Who is woken at night reads what happened, to which model, and what comes next."""
    with webhook() as receiver:
        watched = Watched(tmp_path, Notify(url=receiver.url, events=("entered", "aborted")))
        await watched.begin()
        await watched.controller.command("out", "ada", "tickets")
        await until(lambda: len(receiver.heard) == 2)
        headers, body = receiver.heard[1]
        told = json.loads(body)
        assert told["event"] == newest_of(tmp_path)
        assert (told["model"], told["application"]) == ("churn", "shop")
        assert told["sentence"].startswith("1.1.0 is out since 15 Jan ")
        assert "tickets (ada)" in told["sentence"]
        assert headers["content-type"] == "application/json"
        assert "webhook-signature" not in headers
        assert "10 % of the keys" in json.loads(receiver.heard[0][1])["sentence"]
        assert receiver.kinds == ["entered", "aborted"], "no other kind was asked for"


async def test_a_message_is_signed_over_its_id_its_time_and_its_body(tmp_path: Path) -> None:
    """A receiver knows that it comes from us, and that it is not an old one again."""
    with webhook() as receiver:
        receiver.statuses = [500, 204]
        notify = Notify(url=receiver.url, secret_env="HOOK")
        watched = Watched(tmp_path, notify, environment={"HOOK": SECRET})
        await watched.begin()
        await until(lambda: len(receiver.heard) == 2)
    ids = set()
    for headers, body in receiver.heard:
        ids.add(headers["webhook-id"])
        assert headers["webhook-signature"] == signature_of(headers, body)
    assert len(ids) == 1, "sent again, it has the same id"


async def test_events_of_two_applications_have_ids_of_their_own(tmp_path: Path) -> None:
    """A receiver drops what it has heard before, by its id; both began the same plan."""
    ids = []
    with webhook() as receiver:
        for application in ("shop", "market"):
            watched = Watched(tmp_path / application, Notify(url=receiver.url))
            watched.notifier._application = application
            await watched.begin()
        await until(lambda: len(receiver.heard) == 2)
        ids = [headers["webhook-id"] for headers, _ in receiver.heard]
    assert len(set(ids)) == 2


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Their own example: receivers check it by a library."""
    headers = headers_of(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_receiver_that_fails_is_asked_again_and_hears_all_in_order(tmp_path: Path) -> None:
    """One that restarts misses nothing, and the newest is the last that it hears."""
    with webhook() as receiver:
        receiver.statuses = [503, 429, 204]
        watched = Watched(tmp_path, Notify(url=receiver.url))
        await watched.begin()
        await watched.controller.command("out", "ada", "tickets")
        await until(lambda: "aborted" in receiver.kinds)
    assert receiver.kinds == ["entered", "entered", "entered", "aborted"]


@pytest.mark.parametrize(("status", "n_attempts"), [(500, 4), (404, 1), (307, 1)])
async def test_what_is_not_told_in_the_end_is_logged_and_the_next_one_is_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, n_attempts: int
) -> None:
    """A wrong address is not asked again, nor is another one that it points to."""
    with webhook() as receiver:
        receiver.statuses = [status]
        notify = Notify(url=receiver.url, secret_env="HOOK")
        watched = Watched(tmp_path, notify, environment={"HOOK": SECRET})
        with caplog.at_level(logging.INFO):
            await watched.begin()
            await watched.controller.command("out", "ada", "tickets")
            await until(lambda: caplog.text.count("stands in the log of the rollout") == 2)
    assert receiver.kinds == ["entered"] * n_attempts + ["aborted"] * n_attempts
    assert f"(status {status})" in caplog.text
    assert SECRET not in caplog.text
    assert "s3cret-path" not in caplog.text


async def test_nobody_waits_for_a_receiver_that_does_not_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The candidate is out and written while the message of its share still hangs."""
    with webhook() as receiver:
        receiver.hangs = True
        watched = Watched(tmp_path, Notify(url=receiver.url))
        await watched.begin()
        await until(lambda: receiver.heard)
        await watched.controller.command("out", "ada", "tickets")
        assert watched.controller.ongoing is not None
        assert watched.controller.ongoing.state.status == "aborted"
        assert receiver.kinds == ["entered"]
        watched.notifier.stop()
    with webhook() as receiver:
        receiver.hangs = True
        impatient = Watched(tmp_path / "other", Notify(url=receiver.url), timeout_s=0.05)
        await impatient.begin()
        await until(lambda: "stands in the log of the rollout" in caplog.text)
        assert "TimeoutError" in caplog.text


async def test_a_receiver_that_is_not_there_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens on the port: it is logged, and the rollout goes on."""
    with webhook() as receiver:
        url = receiver.url
    watched = Watched(tmp_path, Notify(url=url))
    await watched.begin()
    await until(lambda: "stands in the log of the rollout" in caplog.text)
    assert "ClientConnectorError" in caplog.text
    assert "s3cret-path" not in caplog.text
    await watched.controller.command("out", "ada", "tickets")
    assert not watched.controller.trouble
    watched.notifier.stop()


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        ({}, "the coordinator's environment has no HOOK"),
        ({"HOOK": "whsec_no base64!"}, "HOOK begins with whsec_, and the rest is no base64"),
    ],
)
async def test_without_its_secret_nothing_is_sent(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    environment: dict[str, str],
    hint: str,
) -> None:
    """A receiver that checks would refuse it; the line says which variable is missing."""
    with webhook() as receiver:
        notify = Notify(url=receiver.url, secret_env="HOOK")
        watched = Watched(tmp_path, notify, environment=environment)
        await watched.begin()
        await until(lambda: hint in caplog.text)
        assert receiver.heard == []
    assert "no base64!" not in caplog.text


async def test_an_event_whose_writing_seemed_to_fail_is_told_once(tmp_path: Path) -> None:
    """The store's answer is lost, the event is in the log: it is told as any other."""
    with webhook() as receiver:
        watched = Watched(tmp_path, Notify(url=receiver.url))
        watched.loses_answers = True
        await watched.begin()
        await until(lambda: receiver.heard)
        await watched.controller.look()
        watched.now_s += 10
        await watched.controller.look()
        assert receiver.kinds == ["entered"]


async def test_only_the_newest_wait_for_a_receiver(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that is away for days takes no memory, and what is left out is logged."""
    with webhook() as receiver:
        receiver.hangs = True
        notify = Notify(url=receiver.url, events=("paused", "resumed"))
        watched = Watched(tmp_path, notify)
        await watched.begin()
        for _ in range(MOST_WAITING // 2 + 1):
            await watched.controller.command("pause", "ada", "")
            await watched.controller.command("resume", "ada", "")
        assert "100 newer ones wait" in caplog.text
        watched.notifier.stop()


async def test_a_new_coordinator_tells_nothing_again(tmp_path: Path) -> None:
    """It reads what the one before it wrote, and told."""
    with webhook() as receiver:
        notify = Notify(url=receiver.url)
        await Watched(tmp_path, notify).begin()
        await until(lambda: receiver.heard)
        again = Watched(tmp_path, notify)
        again.now_s += 1_000
        await again.begin()
        await again.controller.command("out", "ada", "tickets")
        await until(lambda: "aborted" in receiver.kinds)
    assert receiver.kinds == ["entered", "aborted"]


def test_whoever_is_told_the_rollout_stays_the_same() -> None:
    """Another address in the file must not begin a rollout again."""
    plan = Rollout(stable="1.0.0", candidate="1.1.0")
    told = Rollout(
        stable="1.0.0", candidate="1.1.0", notify=Notify(url="https://hooks.example.com/x")
    )
    assert told.id == plan.id
