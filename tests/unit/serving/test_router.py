"""The router over versions that fail in every way: a client gets stable's answer, and the candidate is charged."""

import asyncio
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from fakes import FakeScorer, FakeStore, raised_by, rows_of, table, until

from serve_app.errors import BundleError, DeadlineExceeded, NotReady, Overloaded, UnknownVersion
from serve_app.models import get_spec
from serve_app.serving.assignment import assign
from serve_app.serving.router import Answered, Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table

SPEC = get_spec("churn")
STABLE, CANDIDATE = "1.0.0", "1.1.0"


def stable_score(active_days: float) -> float:
    """Probability of stable: 0.00 to 0.31."""
    return active_days / 100


def candidate_score(active_days: float) -> float:
    """Probability of the candidate: half a point higher, so that one sees who answered."""
    return active_days / 100 + 0.5


def probabilities(answered: Answered) -> list[float | None]:
    """What a client reads, row by row."""
    return [prediction and prediction.churn_probability for prediction in answered.predictions]


async def gate_with(
    candidate: FakeScorer, of: Table | None = None, stable: FakeScorer | None = None
) -> Router:
    """A router with stable and, unless the table says otherwise, a candidate with all of the traffic."""
    store = FakeStore()
    store.scorers = {STABLE: stable or FakeScorer(stable_score), CANDIDATE: candidate}
    versions = Versions(store.open)
    await versions.start(of or table(v1_1_0=100))
    await until(lambda: all(versions.ready(version) for version in versions.members()))
    return Router(SPEC, versions)


async def test_the_assignment_is_respected_and_sticky() -> None:
    """Every key is answered by the version that the assignment names, each time, and both versions take part."""
    of = table(v1_1_0=30)
    router = await gate_with(FakeScorer(candidate_score), of)
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
    assert router.counts["rows", STABLE] + router.counts["rows", CANDIDATE] == 240


@pytest.mark.parametrize(("weight", "version"), [(0, STABLE), (100, CANDIDATE)])
async def test_weights_0_and_100_are_all_or_nothing(weight: float, version: str) -> None:
    """Blue-green: no key strays."""
    router = await gate_with(FakeScorer(candidate_score), table(v1_1_0=weight))
    answered = [await router.predict(rows_of(1), f"key-{number}", None) for number in range(100)]
    assert {one.version for one in answered} == {version}


@pytest.mark.parametrize("version", [STABLE, CANDIDATE])
async def test_a_forced_version_answers_whatever_the_weights_say(version: str) -> None:
    """X-Model-Version asks one version of the table, even one without any weight."""
    router = await gate_with(
        FakeScorer(candidate_score), table(v1_1_0=0 if version == CANDIDATE else 100)
    )
    answered = await router.predict(rows_of(10), "key", version)
    assert answered.version == version
    assert probabilities(answered) == [0.1 if version == STABLE else 0.6]


@pytest.mark.parametrize("forced", ["9.9.9", "", "latest", "1.0.0 ", "<script>"])
async def test_a_forced_version_outside_the_table_is_refused_with_the_choice(forced: str) -> None:
    """The versions of the table are listed, what was sent is not repeated, and nothing was scored."""
    router = await gate_with(FakeScorer(candidate_score))
    error = await raised_by(router.predict(rows_of(1), "key", forced))
    assert isinstance(error, UnknownVersion)
    assert error.detail == "X-Model-Version: expected one of 1.0.0, 1.1.0."
    assert router.rows_under_way == 0
    assert not router.counts


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
    broken: Callable[[], FakeScorer], forced: str | None
) -> None:
    """All rows of the request are answered by stable (never a mixture), and the candidate is charged once."""
    router = await gate_with(broken())
    answered = await router.predict(rows_of(10, 20, 30), "key", forced)
    assert answered.version == STABLE
    assert probabilities(answered) == [0.1, 0.2, 0.3]
    assert router.counts["fallbacks", CANDIDATE] == 1
    assert router.counts["fallbacks", STABLE] == 0
    assert router.counts["rows", STABLE] == 3
    assert router.rows_under_way == 0


async def test_a_candidate_without_a_parameter_that_its_answer_needs_falls_back() -> None:
    """A bundle that lacks `half_width` is no reason for a 500 while stable has it."""
    spec = get_spec("delivery_time")
    store = FakeStore()
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=100))
    await until(lambda: versions.ready(CANDIDATE))
    candidate = versions.ready(CANDIDATE)
    assert candidate is not None
    candidate.manifest.parameters = {}
    router = Router(spec, versions)
    assert (await router.predict([spec.examples[0].row], "key", None)).version == STABLE
    assert router.counts["fallbacks", CANDIDATE] == 1


async def test_a_candidate_that_is_not_loaded_yet_is_answered_for_by_stable() -> None:
    """While a candidate loads, its share of the traffic is not refused."""
    store = FakeStore()
    store.errors[CANDIDATE] = BundleError("missing")
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=100))
    router = Router(SPEC, versions)
    answered = await router.predict(rows_of(10), "key", None)
    assert (answered.version, probabilities(answered)) == (STABLE, [0.1])
    assert router.counts["fallbacks", CANDIDATE] == 1


async def test_each_version_gets_its_own_deadline() -> None:
    """A candidate's deadline is the shorter one, so that stable still can answer within its own."""
    candidate, stable = FakeScorer(candidate_score, NotReady("gone")), FakeScorer(stable_score)
    of = table(v1_1_0=100, limits={"deadline_ms": 900, "candidate_deadline_ms": 120})
    router = await gate_with(candidate, of, stable)
    await router.predict(rows_of(1), "key", None)
    assert candidate.deadlines_s == [0.12]
    assert stable.deadlines_s == [pytest.approx(0.9, abs=0.1)]
    assert stable.deadlines_s[0] < 0.9, "what the candidate took is no longer there"


async def test_a_row_that_stable_fails_on_is_none_and_hurts_no_other() -> None:
    """Stable is the last resort: its failed rows are None, counted, and the others keep their answers."""
    stable = FakeScorer(lambda days: {20: math.nan, 30: 1.7}.get(int(days), stable_score(days)))
    router = await gate_with(FakeScorer(candidate_score), table(), stable)
    answered = await router.predict(rows_of(10, 20, 30, 31), "key", None)
    assert probabilities(answered) == [0.1, None, None, 0.31]
    assert router.counts["failed_rows", STABLE] == 2
    assert router.counts["rows", STABLE] == 4
    assert router.counts["fallbacks", STABLE] == 0


@pytest.mark.parametrize("kind", [NotReady, DeadlineExceeded])
async def test_when_stable_fails_too_the_client_is_told(kind: type[NotReady]) -> None:
    """The error of stable is the one that counts, and the rows are no longer under way."""
    router = await gate_with(
        FakeScorer(candidate_score, NotReady("gone")), None, FakeScorer(stable_score, kind("away"))
    )
    assert type(await raised_by(router.predict(rows_of(1, 2), "key", None))) is kind
    assert router.rows_under_way == 0


async def test_a_fault_of_stable_leaves_nothing_under_way() -> None:
    """An unexpected exception passes on (the routes make a 500 of it) and frees its rows."""
    router = await gate_with(
        FakeScorer(candidate_score), table(), FakeScorer(stable_score, ZeroDivisionError())
    )
    with pytest.raises(ZeroDivisionError):
        await router.predict(rows_of(1, 2), "key", None)
    assert router.rows_under_way == 0


async def test_a_client_that_hangs_up_frees_its_rows() -> None:
    """A cancelled request does not count as under way for ever."""
    router = await gate_with(
        FakeScorer(candidate_score), table(), FakeScorer(stable_score, delay_s=10)
    )
    request = asyncio.create_task(router.predict(rows_of(1, 2, 3), "key", None))
    await until(lambda: router.rows_under_way == 3)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert router.rows_under_way == 0


async def test_the_rows_under_way_are_counted_and_never_refused() -> None:
    """The door refuses by this count, before it reads a body; what it has let in is answered."""
    of = table(limits={"max_rows_under_way": 2})
    router = await gate_with(
        FakeScorer(candidate_score), of, FakeScorer(stable_score, delay_s=0.05)
    )
    first = asyncio.create_task(router.predict(rows_of(1, 2, 3), "key", None))
    await until(lambda: router.rows_under_way == 3)
    assert probabilities(await router.predict(rows_of(4, 5), "key", None)) == [0.04, 0.05]
    assert probabilities(await first) == [0.01, 0.02, 0.03]
    assert router.rows_under_way == 0


async def test_every_row_has_an_id_of_its_own_that_tells_its_place() -> None:
    """A single row has one id; in a batch the request's id and the position in the body make one."""
    router = await gate_with(FakeScorer(candidate_score), table())
    (single,) = (await router.predict(rows_of(1), "key", None)).ids
    assert re.fullmatch(r"[0-9a-f]{32}", single)
    first, second = (await router.predict(rows_of(1, 2), "key", None, positions=(0, 4))).ids
    assert first.removesuffix("-0") == second.removesuffix("-4")
    assert re.fullmatch(r"[0-9a-f]{32}-4", second)


async def test_without_a_table_the_gate_is_not_ready() -> None:
    """Before the first user_config: 503, not ready, but alive."""
    router = Router(SPEC, Versions(FakeStore().open))
    assert isinstance(await raised_by(router.predict(rows_of(1), "key", None)), NotReady)
    assert (await router.readiness()).ready is False
    assert router.health().model_loaded is False
    assert router.description().contract


async def test_readiness_asks_stable_each_time() -> None:
    """A stable version that went away after it was opened makes the server not ready; a candidate does not."""
    stable = FakeScorer(stable_score)
    router = await gate_with(FakeScorer(candidate_score, NotReady("gone")), None, stable)
    assert (await router.readiness()).ready is True
    stable.error = NotReady("gone")
    assert (await router.readiness()).ready is False
    assert router.health().model_loaded is True


async def test_the_status_shows_every_version_with_its_share() -> None:
    """`/ready` and `/v1/model` list stable with what the others leave, and why a version is not ready."""
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
    """One question per request, with the contract's columns."""
    stable = FakeScorer(stable_score)
    router = await gate_with(FakeScorer(candidate_score), table(), stable)
    await router.predict(rows_of(7, 3, 5), "key", None)
    (block,) = stable.blocks
    assert block.numbers.shape == (3, len(SPEC.contract))
    np.testing.assert_array_equal(block.numbers[:, 0], [7, 3, 5])
