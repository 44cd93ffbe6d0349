"""Versions fail in every way, and a client gets stable's answer; the candidate is charged."""

import asyncio
import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeScorer, FakeStore, raised_by, rows_of, table, until

from serve_app.contract.block import Block, Scores
from serve_app.errors import BundleError, DeadlineExceeded, NotReady, Overloaded, UnknownVersion
from serve_app.models import get_spec
from serve_app.rollout.fault import fault_of
from serve_app.serving.answer import Answered, Assignment, Failure, Observer
from serve_app.serving.assignment import assign
from serve_app.serving.router import Router
from serve_app.serving.status import PING_TIMEOUT_S
from serve_app.serving.version_counts import VersionCounts
from serve_app.serving.versions import Versions
from serve_app.settings import Table

SPEC = get_spec("churn")
STABLE = "1.0.0"
CANDIDATE = "1.1.0"


def stable_score(active_days: float) -> float:
    """Return the probability of stable, 0.00 to 0.31."""
    return active_days / 100


def candidate_score(active_days: float) -> float:
    """Return the probability of the candidate, 0.5 higher: one sees who answered."""
    return active_days / 100 + 0.5


class LateOnce(FakeScorer):
    """Its first call is late, as soon as the test says so."""

    def __init__(self, score: Callable[[float], float]) -> None:
        super().__init__(score)
        self.may_end = asyncio.Event()

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """Fail the first call, and answer the others."""
        if self.blocks:
            return await super().score(block, deadline_s)
        self.blocks.append(block)
        await self.may_end.wait()
        raise DeadlineExceeded("late")


def probabilities(answered: Answered) -> list[float | None]:
    """Return what a client reads, row by row."""
    return [prediction and prediction.churn_probability for prediction in answered.predictions]


@pytest.fixture
def counts() -> VersionCounts:
    """Return an observer that counts answers."""
    return VersionCounts()


async def router_with(
    candidate: FakeScorer,
    of: Table | None = None,
    stable: FakeScorer | None = None,
    observers: Sequence[Observer] = (),
) -> Router:
    """Return a router with stable and a candidate.

    Unless the table says otherwise, the candidate has all of the traffic.
    """
    store = FakeStore()
    store.scorers = {STABLE: stable or FakeScorer(stable_score), CANDIDATE: candidate}
    versions = Versions(store.open)
    await versions.start(of or table(v1_1_0=100))
    await until(lambda: all(versions.ready(version) for version in versions.members()))
    return Router(SPEC, versions, observers)


async def test_the_assignment_is_respected_and_sticky(counts: VersionCounts) -> None:
    """The assigned version answers every key, each time, and both versions take part."""
    of = table(v1_1_0=30)
    router = await router_with(FakeScorer(candidate_score), of, observers=[counts])
    seen = set()
    for number in range(60):
        key = f"customer-{number}"
        wanted = assign(f"churn/{STABLE}", key, STABLE, of.weights)
        for _ in range(2):
            answered = await router.predict(rows_of(10, 20), key, None)
            assert answered.version == wanted
            assert probabilities(answered) == ([0.1, 0.2] if wanted == STABLE else [0.6, 0.7])
        seen.add(wanted)
    assert seen == {STABLE, CANDIDATE}
    assert counts.events["rows", STABLE] + counts.events["rows", CANDIDATE] == 240


@pytest.mark.parametrize(("weight", "version"), [(0, STABLE), (100, CANDIDATE)])
async def test_weights_0_and_100_are_all_or_nothing(weight: float, version: str) -> None:
    """In a blue-green switch no key goes astray."""
    router = await router_with(FakeScorer(candidate_score), table(v1_1_0=weight))
    answered = [await router.predict(rows_of(1), f"key-{number}", None) for number in range(100)]
    assert {one.version for one in answered} == {version}


@pytest.mark.parametrize("version", [STABLE, CANDIDATE])
async def test_a_forced_version_answers_whatever_the_weights_say(version: str) -> None:
    """X-Model-Version asks one version of the table, even one without any weight."""
    router = await router_with(
        FakeScorer(candidate_score), table(v1_1_0=0 if version == CANDIDATE else 100)
    )
    answered = await router.predict(rows_of(10), "key", version)
    assert answered.version == version
    assert probabilities(answered) == [0.1 if version == STABLE else 0.6]


@pytest.mark.parametrize("forced", ["9.9.9", "", "latest", "1.0.0 ", "<script>"])
async def test_a_forced_version_outside_the_table_is_refused_with_the_choice(
    counts: VersionCounts, forced: str
) -> None:
    """The error lists the versions of the table and repeats no input; nothing is scored."""
    router = await router_with(FakeScorer(candidate_score), observers=[counts])
    error = await raised_by(router.predict(rows_of(1), "key", forced))
    assert isinstance(error, UnknownVersion)
    assert error.detail == "X-Model-Version: expected one of 1.0.0, 1.1.0."
    assert router.rows_under_way == 0
    assert not counts.events


BROKEN: dict[str, Callable[[], FakeScorer]] = {
    "not ready": lambda: FakeScorer(candidate_score, NotReady("gone")),
    "too late": lambda: FakeScorer(candidate_score, DeadlineExceeded("late")),
    "overloaded": lambda: FakeScorer(candidate_score, Overloaded("full", retry_after_s=1)),
    "a connection lost": lambda: FakeScorer(
        candidate_score, ConnectionError("the call was cancelled")
    ),
    "a fault of its own": lambda: FakeScorer(candidate_score, ZeroDivisionError("secret")),
    "NaN for one row": lambda: FakeScorer(
        lambda days: math.nan if days == 20 else candidate_score(days)
    ),
    "NaN for all": lambda: FakeScorer(lambda _: math.nan),
    "a probability of 1.7": lambda: FakeScorer(
        lambda days: 1.7 if days == 20 else candidate_score(days)
    ),
    "a negative probability": lambda: FakeScorer(lambda _: -0.1),
    "infinity": lambda: FakeScorer(lambda _: math.inf),
}


@pytest.mark.parametrize("forced", [None, CANDIDATE])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_candidate_costs_the_client_nothing(
    counts: VersionCounts, broken: Callable[[], FakeScorer], forced: str | None
) -> None:
    """Stable answers all rows of the request, never some; the candidate is charged once."""
    router = await router_with(broken(), observers=[counts])
    answered = await router.predict(rows_of(10, 20, 30), "key", forced)
    assert answered.version == STABLE
    assert probabilities(answered) == [0.1, 0.2, 0.3]
    assert counts.events["fallbacks", CANDIDATE] == 1
    assert counts.events["fallbacks", STABLE] == 0
    assert counts.events["rows", STABLE] == 3
    assert router.rows_under_way == 0


async def test_a_candidate_without_a_parameter_that_its_answer_needs_falls_back(
    counts: VersionCounts,
) -> None:
    """A bundle that lacks `half_width` is no reason for a 500 while stable has it."""
    spec = get_spec("delivery_time")
    store = FakeStore()
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=100))
    await until(lambda: versions.ready(CANDIDATE))
    candidate = versions.ready(CANDIDATE)
    assert candidate is not None
    candidate.manifest.parameters = {}
    router = Router(spec, versions, [counts])
    assert (await router.predict([spec.examples[0].row], "key", None)).version == STABLE
    assert counts.events["fallbacks", CANDIDATE] == 1


async def test_a_candidate_that_is_not_loaded_yet_is_answered_for_by_stable(
    counts: VersionCounts,
) -> None:
    """While a candidate loads, its share of the traffic is not refused."""
    store = FakeStore()
    store.errors[CANDIDATE] = BundleError("missing")
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=100))
    router = Router(SPEC, versions, [counts])
    answered = await router.predict(rows_of(10), "key", None)
    assert (answered.version, probabilities(answered)) == (STABLE, [0.1])
    assert counts.events["fallbacks", CANDIDATE] == 1


async def test_each_version_gets_its_own_deadline() -> None:
    """A candidate's deadline is shorter, so that stable can still answer within its own."""
    candidate = FakeScorer(candidate_score, NotReady("gone"))
    stable = FakeScorer(stable_score)
    of = table(v1_1_0=100, limits={"deadline_ms": 600_000, "candidate_deadline_ms": 120})
    router = await router_with(candidate, of, stable)
    await router.predict(rows_of(1), "key", None)
    assert candidate.deadlines_s == [0.12]
    (deadline_s,) = stable.deadlines_s
    assert 0.12 < deadline_s < 600, "what the candidate took is no longer there"


async def test_a_row_that_stable_fails_on_is_none_and_hurts_no_other(counts: VersionCounts) -> None:
    """Stable is the last resort: its failed rows are None, and counted; others keep answers."""
    wrong_scores = {20: math.nan, 30: 1.7}
    stable = FakeScorer(lambda days: wrong_scores.get(int(days), stable_score(days)))
    router = await router_with(FakeScorer(candidate_score), table(), stable, observers=[counts])
    answered = await router.predict(rows_of(10, 20, 30, 31), "key", None)
    assert probabilities(answered) == [0.1, None, None, 0.31]
    assert counts.events["failed_rows", STABLE] == 2
    assert counts.events["rows", STABLE] == 4
    assert counts.events["fallbacks", STABLE] == 0


@pytest.mark.parametrize("kind", [NotReady, DeadlineExceeded])
async def test_when_stable_fails_too_the_client_is_told(kind: type[NotReady]) -> None:
    """The error of stable is the one that counts, and the rows are no longer under way."""
    router = await router_with(
        FakeScorer(candidate_score, NotReady("gone")), None, FakeScorer(stable_score, kind("away"))
    )
    assert type(await raised_by(router.predict(rows_of(1, 2), "key", None))) is kind
    assert router.rows_under_way == 0


async def test_a_fault_of_stable_leaves_nothing_under_way() -> None:
    """An unexpected exception passes on (the routes make a 500 of it) and frees its rows."""
    router = await router_with(
        FakeScorer(candidate_score), table(), FakeScorer(stable_score, ZeroDivisionError())
    )
    with pytest.raises(ZeroDivisionError):
        await router.predict(rows_of(1, 2), "key", None)
    assert router.rows_under_way == 0


async def test_a_client_that_hangs_up_frees_its_rows() -> None:
    """A cancelled request does not count as under way for ever."""
    router = await router_with(
        FakeScorer(candidate_score), table(), FakeScorer(stable_score, delay_s=10)
    )
    request = asyncio.create_task(router.predict(rows_of(1, 2, 3), "key", None))
    await until(lambda: router.rows_under_way == 3)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert router.rows_under_way == 0


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_candidate_that_is_late_while_it_is_made_stable_costs_no_answer(
    is_gone: bool,
) -> None:
    """The table that assigned it has left: its own stable stands in, or if that has gone with it,
    the new one.
    """
    store = FakeStore()
    late = LateOnce(candidate_score)
    old = FakeScorer(stable_score, NotReady("gone") if is_gone else None)
    store.scorers = {STABLE: old, CANDIDATE: late}
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=100))
    await until(lambda: versions.ready(CANDIDATE))
    router = Router(SPEC, versions)
    request = asyncio.create_task(router.predict(rows_of(10), "key", None))
    await until(lambda: late.blocks)
    versions.change(table(CANDIDATE))
    await until(lambda: versions.ready(STABLE) is None)
    late.may_end.set()
    answered = await request
    assert answered.version == (CANDIDATE if is_gone else STABLE)
    assert probabilities(answered) == [0.6 if is_gone else 0.1]


async def test_the_rows_under_way_are_counted_and_never_refused() -> None:
    """The door refuses by this count, before it reads a body; what it has let in is answered."""
    stable = FakeScorer(stable_score, delay_s=0.05)
    router = await router_with(
        FakeScorer(candidate_score), table(limits={"max_rows_under_way": 2}), stable
    )
    first = asyncio.create_task(router.predict(rows_of(1, 2, 3), "key", None))
    await until(lambda: router.rows_under_way == 3)
    assert probabilities(await router.predict(rows_of(4, 5), "key", None)) == [0.04, 0.05]
    assert probabilities(await first) == [0.01, 0.02, 0.03]
    assert router.rows_under_way == 0


async def test_who_would_wait_for_too_much_is_told_so_at_once_and_is_not_scored() -> None:
    """Of what can be waited for, none runs into the deadline: the queue ends where the table says.
    Who comes when it is shorter again is answered.
    """
    stable = FakeScorer(stable_score)
    of = table(v1_1_0=0, limits={"max_wait_ms": 250, "retry_after_s": 7})
    router = await router_with(FakeScorer(candidate_score), of, stable)
    stable.waits_s = 0.251
    error = await raised_by(router.predict(rows_of(1, 2), "key", None))
    assert isinstance(error, Overloaded)
    assert error.headers["Retry-After"] == "7"
    assert "250 ms" in error.detail
    assert stable.blocks == []
    assert router.rows_under_way == 0
    stable.waits_s = 0.25
    assert probabilities(await router.predict(rows_of(10), "key", None)) == [0.1]


async def test_a_candidate_with_a_full_queue_is_charged_and_stable_answers() -> None:
    """A queue is a version's own, so that both are refused for theirs and for no other's."""
    told: list[Answered] = []
    candidate = FakeScorer(candidate_score)
    candidate.waits_s = 60.0
    router = await router_with(candidate, observers=[SimpleNamespace(heard=told.append)])
    answered = await router.predict(rows_of(10), "key", None)
    assert answered.version == STABLE
    assert candidate.blocks == []
    assert [(one.version, type(one.error)) for one in answered.failures] == [
        (CANDIDATE, Overloaded)
    ]
    assert told == [answered]
    assert fault_of(answered, 0.15) == "refused"


async def test_without_a_table_the_router_is_not_ready() -> None:
    """Before the first user_config it answers 503: it is alive, but not ready."""
    router = Router(SPEC, Versions(FakeStore().open))
    assert isinstance(await raised_by(router.predict(rows_of(1), "key", None)), NotReady)
    assert (await router.readiness()).ready is False
    assert router.health().model_loaded is False
    assert router.description().contract


def test_the_contract_is_made_once() -> None:
    """Lists of 5,000 choices took milliseconds for each who asks what is served."""
    router = Router(SPEC, Versions(FakeStore().open))
    first, second = router.description(), router.description()
    assert all(one is other for one, other in zip(first.contract, second.contract, strict=True))


async def test_readiness_asks_stable_each_time() -> None:
    """A server is not ready when stable went away after it was opened; a candidate may be away."""
    stable = FakeScorer(stable_score)
    router = await router_with(FakeScorer(candidate_score, NotReady("gone")), None, stable)
    assert (await router.readiness()).ready is True
    stable.error = NotReady("gone")
    assert (await router.readiness()).ready is False
    assert router.health().model_loaded is True


@pytest.mark.real_time
@pytest.mark.parametrize("fault", ["hangs", "raises"])
async def test_a_candidate_that_hangs_does_not_hold_up_readiness(fault: str) -> None:
    """A probe waits for a second, and stable answers at once: only the candidate is told as away,
    whatever is wrong with it.
    """
    candidate = FakeScorer(candidate_score)
    router = await router_with(candidate)

    async def ping() -> None:
        if fault == "raises":
            raise ZeroDivisionError
        await asyncio.Event().wait()

    candidate.ping = ping  # type: ignore[method-assign]
    # Less than what stable has: the limit itself shows that nobody waits for the candidate.
    async with asyncio.timeout(PING_TIMEOUT_S / 2):
        found = await router.readiness()
    assert found.ready
    assert (found.versions[STABLE].state, found.versions[CANDIDATE].state) == ("ready", "failed")


async def test_the_status_shows_every_version_with_its_share() -> None:
    """`/ready` and `/v1/model` give stable what the others leave, and say why one is not ready."""
    store = FakeStore()
    store.errors["1.2.0"] = BundleError("model.onnx: corrupt")
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=25, v1_2_0=5))
    router = Router(SPEC, versions)
    await until(lambda: versions.ready(CANDIDATE) and versions.members()["1.2.0"].detail)
    found = (await router.readiness()).versions
    assert {name: (one.state, one.weight_percent) for name, one in found.items()} == {
        STABLE: ("ready", 70),
        CANDIDATE: ("ready", 25),
        "1.2.0": ("failed", 5),
    }
    assert "corrupt" in found["1.2.0"].detail
    facts = router.description()
    assert [feature.name for feature in facts.contract] == [
        feature.name for feature in SPEC.contract
    ]
    assert all(feature.allowed_values for feature in facts.contract)
    assert facts.versions[STABLE].manifest_sha256 == "0" * 64
    assert facts.versions["1.2.0"].manifest_sha256 is None


async def test_the_rows_reach_the_version_in_order_as_one_block() -> None:
    """A request makes one call, with the contract's columns."""
    stable = FakeScorer(stable_score)
    router = await router_with(FakeScorer(candidate_score), table(), stable)
    await router.predict(rows_of(7, 3, 5), "key", None)
    (block,) = stable.blocks
    assert block.numbers.shape == (3, len(SPEC.contract))
    np.testing.assert_array_equal(block.numbers[:, 0], [7, 3, 5])


class Listener:
    """An observer that remembers what it heard, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard_of: list[Answered] = []
        self.error = error

    def heard(self, answered: Answered) -> None:
        """Remember an answer, then raise if the test says so."""
        self.heard_of.append(answered)
        if self.error is not None:
            raise self.error


async def test_every_observer_hears_once_of_each_answer_what_it_was() -> None:
    """It hears ids, rows, block, scores, answers, who was assigned, who answered, key, seconds."""
    first = Listener()
    second = Listener()
    router = await router_with(FakeScorer(candidate_score), table(), None, (first, second))
    rows = rows_of(10, 20)
    answered = await router.predict(rows, "ada", None, positions=[0, 3])
    assert first.heard_of == second.heard_of == [answered]
    assert (answered.rows, answered.routing_key) == (rows, "ada")
    assert answered.assigned == Assignment(STABLE)
    assert (answered.version, answered.failures) == (STABLE, ())
    one, four = answered.ids
    assert one.removesuffix("-0") == four.removesuffix("-3")
    assert answered.block is not None
    assert answered.block.numbers[:, 0].tolist() == [10, 20]
    assert answered.scores is not None
    assert answered.scores.tolist() == [0.1, 0.2]
    assert answered.seconds >= 0
    assert len((await router.predict(rows_of(10), "ada", None)).ids) == 1


async def test_an_observer_hears_who_failed_and_why() -> None:
    """It hears of a candidate that stable answered for, and of a request without an answer."""
    listener = Listener()
    late = DeadlineExceeded("late")
    stable = FakeScorer(stable_score)
    router = await router_with(FakeScorer(candidate_score, late), None, stable, [listener])
    await router.predict(rows_of(10), "ada", None)
    stable.error = NotReady("gone")
    await raised_by(router.predict(rows_of(10), "ada", None))
    fallback, failed = listener.heard_of
    assert (fallback.assigned.version, fallback.version) == (CANDIDATE, STABLE)
    assert fallback.failures == (Failure(CANDIDATE, late),)
    assert (failed.version, failed.predictions, failed.ids) == ("", (), ())
    assert failed.failures == (Failure(CANDIDATE, late), Failure(STABLE, stable.error))


async def test_an_observer_hears_of_a_client_that_left_and_its_rows_are_not_counted() -> None:
    """Nobody was answered; what had failed by then is known."""
    listener = Listener()
    counts = VersionCounts()
    slow = FakeScorer(stable_score, delay_s=60)
    broken = FakeScorer(candidate_score, NotReady("gone"))
    router = await router_with(broken, None, slow, [listener, counts])
    waiting = asyncio.ensure_future(router.predict(rows_of(10), "ada", None))
    await until(lambda: slow.blocks)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    (told,) = listener.heard_of
    assert (told.is_abandoned, told.version, told.ids) == (True, "", ())
    assert [failure.version for failure in told.failures] == [CANDIDATE]
    assert not counts.events


async def test_an_observer_that_raises_costs_neither_the_answer_nor_the_other_observers() -> None:
    """The observer breaks its promise, and neither clients nor observers pay for it."""
    listener = Listener()
    broken = Listener(ZeroDivisionError())
    router = await router_with(FakeScorer(candidate_score), table(), None, [broken, listener])
    assert (await router.predict(rows_of(10), "ada", None)).version == STABLE
    assert len(listener.heard_of) == 1
