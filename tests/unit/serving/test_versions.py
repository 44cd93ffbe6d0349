"""The table in force: a new one takes over in one step once its stable version is proven, or not at
all.
"""

import asyncio
import gc
import weakref
from collections import defaultdict
from dataclasses import replace
from itertools import islice

import pytest
from fakes import FakeScorer, FakeStore, table, until

from serve_app.errors import BundleError, BundleUnavailable, NoRoom, StoreAway
from serve_app.serving.member import Opened
from serve_app.serving.versions import Versions, backoff
from serve_app.settings import Batch, Table, VersionEntry


@pytest.fixture
def store() -> FakeStore:
    """Where versions are opened."""
    return FakeStore()


def made(store: FakeStore, close_after_s: float = 60.0) -> Versions:
    """Versions that retry quickly, and that close nothing within a test unless it asks for that."""
    return Versions(store.open, retry_first_s=0.01, close_after_s=close_after_s)


async def started(store: FakeStore, first: Table, close_after_s: float = 60.0) -> Versions:
    """Versions with a table in force, all of them ready."""
    versions = made(store, close_after_s)
    await versions.start(first)
    await until(lambda: all(versions.ready(version) for version in versions.members()))
    return versions


def stable_of(versions: Versions) -> str | None:
    """Who answers by default."""
    return versions.table.stable if versions.table else None


async def test_start_raises_when_stable_cannot_be_proven(store: FakeStore) -> None:
    """The replica must not become ready: the reason is raised, and no table is in force."""
    store.errors["1.0.0"] = BundleError("golden rows differ")
    versions = made(store)
    with pytest.raises(BundleError, match="golden rows differ"):
        await versions.start(table())
    assert versions.table is None
    assert versions.members() == {}


async def test_a_candidate_that_needs_a_module_says_which_one(store: FakeStore) -> None:
    """What opening the bundle says is what `/ready` shows, word for word."""
    fault = "telco/1.1.0: needs the module shop.transforms, found none. Install it."
    store.errors["1.1.0"] = BundleError(fault)
    versions = made(store)
    await versions.start(table(v1_1_0=10))
    await until(lambda: versions.members()["1.1.0"].state == "failed")
    assert versions.members()["1.1.0"].detail == fault


async def test_start_does_not_wait_for_candidates(store: FakeStore) -> None:
    """A candidate that takes long, or never comes, does not keep a server from starting."""
    store.gates["1.1.0"] = asyncio.Event()
    versions = made(store)
    await versions.start(table(v1_1_0=10))
    assert versions.ready("1.0.0")
    assert versions.ready("1.1.0") is None
    assert versions.members()["1.1.0"].state == "loading"
    store.gates["1.1.0"].set()
    await until(lambda: versions.ready("1.1.0"))
    assert versions.members()["1.1.0"].state == "ready"


async def test_a_new_table_takes_over_in_one_step_when_its_stable_is_proven(
    store: FakeStore,
) -> None:
    """Until then the old table answers whole: stable, weights and limits; after it, the new one."""
    first, second = table(v1_1_0=10), table("2.0.0", v1_1_0=20, limits={"max_rows": 7})
    versions = await started(store, first)
    store.gates["2.0.0"] = asyncio.Event()
    versions.change(second)
    await until(lambda: "2.0.0" in store.opens)
    assert versions.table is first
    assert set(versions.members()) == {"1.0.0", "1.1.0"}
    assert versions.ready("1.0.0")
    store.gates["2.0.0"].set()
    await until(lambda: versions.table is second)
    assert versions.ready("2.0.0")
    assert versions.config_error is None


async def test_a_version_that_left_the_table_is_gone(store: FakeStore) -> None:
    """It can no longer be asked, and is not tried again."""
    versions = await started(store, table(v1_1_0=10))
    versions.change(table())
    await until(lambda: set(versions.members()) == {"1.0.0"})
    assert versions.ready("1.1.0") is None


async def test_a_failing_candidate_that_left_the_table_is_not_tried_again(store: FakeStore) -> None:
    """Its retries end when it leaves the table."""
    store.errors["1.1.0"] = BundleError("corrupt")
    versions = made(store)
    await versions.start(table(v1_1_0=10))
    await until(lambda: store.opens.count("1.1.0") >= 2)
    versions.change(table())
    await until(lambda: "1.1.0" not in versions.members())
    tries = store.opens.count("1.1.0")
    await asyncio.sleep(0.1)
    assert store.opens.count("1.1.0") == tries


async def test_a_new_stable_that_fails_leaves_the_old_table_and_says_why(store: FakeStore) -> None:
    """The last good table stays in force, and `config_error` names the version and the reason."""
    first = table(v1_1_0=10)
    versions = await started(store, first)
    store.errors["2.0.0"] = BundleError("model.onnx: sha256 differs")
    versions.change(table("2.0.0"))
    await until(lambda: versions.config_error)
    assert "2.0.0" in str(versions.config_error)
    assert "sha256 differs" in str(versions.config_error)
    assert versions.table is first
    assert versions.ready("1.0.0")
    assert versions.ready("1.1.0")


async def test_an_unexpected_fault_of_a_new_stable_is_no_less_survived(store: FakeStore) -> None:
    """Ray would stop the replica for an exception: none gets out, and its text, which may hold
    anything, stays in.
    """
    first = table()
    versions = await started(store, first)
    store.errors["2.0.0"] = ZeroDivisionError("secret")
    versions.change(table("2.0.0"))
    await until(lambda: versions.config_error)
    assert "ZeroDivisionError" in str(versions.config_error)
    assert "secret" not in str(versions.config_error)
    assert versions.table is first


async def test_the_next_good_table_clears_the_error(store: FakeStore) -> None:
    """`config_error` speaks of the newest table only."""
    versions = await started(store, table())
    store.errors["2.0.0"] = BundleError("corrupt")
    versions.change(table("2.0.0"))
    await until(lambda: versions.config_error)
    versions.change(table("3.0.0"))
    await until(lambda: stable_of(versions) == "3.0.0")
    assert versions.config_error is None


async def test_a_failing_candidate_is_tried_again_and_joins(store: FakeStore) -> None:
    """A bundle that is uploaded late comes in by itself; until then its state says why not."""
    store.errors["1.1.0"] = BundleError("manifest.json: not found")
    versions = made(store)
    await versions.start(table(v1_1_0=10))
    await until(lambda: versions.members()["1.1.0"].state == "failed")
    assert "not found" in versions.members()["1.1.0"].detail
    assert versions.ready("1.1.0") is None
    del store.errors["1.1.0"]
    await until(lambda: versions.ready("1.1.0"))
    member = versions.members()["1.1.0"]
    assert (member.state, member.detail) == ("ready", "")
    assert store.opens.count("1.0.0") == 1


def test_retries_become_rarer() -> None:
    """Each wait is twice the last, up to a bound, so that a broken bundle does not keep a core
    busy.
    """
    assert list(islice(backoff(1.0), 8)) == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_a_change_of_weights_opens_nothing(store: FakeStore) -> None:
    """Traffic moves within the same objects: no load, no gap."""
    versions = await started(store, table(v1_1_0=10))
    before = {version: versions.ready(version) for version in ("1.0.0", "1.1.0")}
    second = table(v1_1_0=50, limits={"max_rows": 5})
    versions.change(second)
    await until(lambda: versions.table is second)
    assert store.opens == ["1.0.0", "1.1.0"]
    assert all(versions.ready(version) is opened for version, opened in before.items())


async def test_a_candidate_that_becomes_stable_is_not_opened_again(store: FakeStore) -> None:
    """Promotion and rollback only move names: every version is opened once."""
    versions = await started(store, table(v1_1_0=10))
    versions.change(table("1.1.0", v1_0_0=0))
    await until(lambda: stable_of(versions) == "1.1.0")
    versions.change(table("1.0.0", v1_1_0=0))
    await until(lambda: stable_of(versions) == "1.0.0")
    assert store.opens == ["1.0.0", "1.1.0"]
    assert versions.ready("1.0.0")
    assert versions.ready("1.1.0")


async def test_a_change_while_a_candidate_loads_does_not_open_it_twice(store: FakeStore) -> None:
    """The load that is under way goes on and counts for the new table."""
    store.gates["1.1.0"] = asyncio.Event()
    versions = made(store)
    await versions.start(table(v1_1_0=10))
    await until(lambda: "1.1.0" in store.opens)
    second = table(v1_1_0=20)
    versions.change(second)
    await until(lambda: versions.table is second)
    store.gates["1.1.0"].set()
    await until(lambda: versions.ready("1.1.0"))
    assert store.opens.count("1.1.0") == 1


async def test_a_version_whose_settings_change_is_opened_anew(store: FakeStore) -> None:
    """Another pin or placement is another version; the old one is not asked in its place."""
    versions = await started(store, table(v1_1_0=10))
    before = versions.ready("1.1.0")
    pinned = {
        "stable": "1.0.0",
        "versions": {"1.1.0": {"weight_percent": 10.0, "manifest_sha256": "a" * 64}},
    }
    versions.change(Table.model_validate(pinned))
    await until(lambda: store.opens.count("1.1.0") == 2 and versions.ready("1.1.0"))
    assert versions.ready("1.1.0") is not before
    assert store.opens.count("1.0.0") == 1


async def test_of_two_quick_changes_the_last_wins(store: FakeStore) -> None:
    """Even when the first one's stable is proven later than the second's."""
    versions = await started(store, table())
    store.gates["2.0.0"] = asyncio.Event()
    versions.change(table("2.0.0"))
    await until(lambda: "2.0.0" in store.opens)
    versions.change(table("3.0.0"))
    await until(lambda: stable_of(versions) == "3.0.0")
    store.gates["2.0.0"].set()
    await asyncio.sleep(0.02)
    assert stable_of(versions) == "3.0.0"
    assert set(versions.members()) == {"3.0.0"}


async def test_a_refused_table_leaves_everything_and_says_why(store: FakeStore) -> None:
    """The last good table answers, and `config_error` says why the new one cannot be read."""
    first = table(v1_1_0=10)
    versions = await started(store, first)
    versions.refuse("user_config.stabel: unknown key")
    assert versions.config_error == "user_config.stabel: unknown key"
    assert versions.table is first
    assert versions.ready("1.1.0")


async def test_an_older_switch_does_not_hide_a_newer_refusal(store: FakeStore) -> None:
    """A good table still loading, then an unreadable one: the first takes over, the refusal stays
    to be seen.
    """
    versions = await started(store, table())
    store.gates["2.0.0"] = asyncio.Event()
    versions.change(table("2.0.0"))
    await until(lambda: "2.0.0" in store.opens)
    versions.refuse("user_config.stabel: unknown key")
    store.gates["2.0.0"].set()
    await until(lambda: stable_of(versions) == "2.0.0")
    assert versions.config_error == "user_config.stabel: unknown key"


async def test_a_candidate_promoted_while_it_loads_is_opened_once(store: FakeStore) -> None:
    """A version is loaded once, also when the table asks for it twice before it is there."""
    versions = await started(store, table())
    store.gates["1.1.0"] = asyncio.Event()
    versions.change(table(v1_1_0=10))
    await until(lambda: "1.1.0" in store.opens)
    versions.change(table(stable="1.1.0"))
    await asyncio.sleep(0.02)
    store.gates["1.1.0"].set()
    await until(lambda: stable_of(versions) == "1.1.0")
    assert store.opens.count("1.1.0") == 1


async def test_a_stable_that_could_not_be_opened_is_tried_until_it_can(store: FakeStore) -> None:
    """A store that was away for a moment must not leave this replica on the old table for good: Ray
    tells us once.
    """
    versions = await started(store, table())
    store.errors["2.0.0"] = BundleError("the store is away")
    versions.change(table(stable="2.0.0"))
    await until(lambda: versions.config_error and "the store is away" in versions.config_error)
    assert stable_of(versions) == "1.0.0"
    del store.errors["2.0.0"]
    await until(lambda: stable_of(versions) == "2.0.0")
    assert versions.config_error is None


async def test_a_candidate_goes_on_answering_while_its_new_settings_are_opened(
    store: FakeStore,
) -> None:
    """An edit of how rows are coalesced must not hand a healthy candidate's share to stable."""
    versions = await started(store, table(v1_1_0=10))
    healthy = versions.ready("1.1.0")
    edited = table(v1_1_0=10).model_copy(update={"batch": Batch(max_rows=7)})
    store.gates["1.1.0"] = asyncio.Event()
    versions.change(edited)
    await until(lambda: versions.table is edited)
    assert versions.ready("1.1.0") is healthy
    store.gates["1.1.0"].set()
    await until(lambda: versions.ready("1.1.0") is not healthy)


class Counting(FakeScorer):
    """A version that counts how often it was closed."""

    n_closed = 0

    def close(self) -> None:
        """Counted."""
        self.n_closed += 1


class Fresh(FakeStore):
    """Each time a version is opened its scorer is another one; `opened` has them in order, by
    version.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[str, list[Counting]] = defaultdict(list)

    async def open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        """A version with a scorer of its own."""
        found = await super().open(version, entry, table)
        scorer = Counting(lambda first: first)
        self.opened[version].append(scorer)
        return replace(found, scorer=scorer)

    def closed(self, version: str) -> list[int]:
        """How often each scorer of a version was closed."""
        return [scorer.n_closed for scorer in self.opened[version]]


QUICK = {"deadline_ms": 2, "candidate_deadline_ms": 1}


def with_batch(of: Table, max_rows: int) -> Table:
    """The same table under another setting that needs all versions to be opened again."""
    return of.model_copy(update={"batch": Batch(max_rows=max_rows)})


async def test_a_version_that_leaves_lets_go_of_its_model() -> None:
    """One that stays is not closed."""
    store = Fresh()
    versions = await started(store, table(limits=QUICK, v1_1_0=10), close_after_s=0)
    versions.change(table(limits=QUICK))
    await until(lambda: store.closed("1.1.0") == [1])
    assert store.closed("1.0.0") == [0]


async def test_a_version_that_leaves_is_not_closed_while_requests_may_be_with_it() -> None:
    """They have the deadline of the table under which they came, and some time to come back."""
    store = Fresh()
    limits = {"deadline_ms": 600_000}
    versions = await started(store, table(limits=limits, v1_1_0=10), close_after_s=0)
    versions.change(table(limits=QUICK))
    await until(lambda: "1.1.0" not in versions.members())
    await asyncio.sleep(0.05)
    assert store.closed("1.1.0") == [0]


async def test_what_new_settings_replace_is_closed_once() -> None:
    """Each edit of how rows are coalesced would otherwise leave a thread and a model behind, stable
    and candidate.
    """
    store = Fresh()
    first = table(limits=QUICK, v1_1_0=10)
    versions = await started(store, first, close_after_s=0)
    for n, max_rows in enumerate((7, 8), start=1):
        versions.change(with_batch(first, max_rows))
        await until(lambda n=n: len(store.opened["1.1.0"]) == n + 1)
        for version in ("1.0.0", "1.1.0"):
            expected = [1] * n + [0]
            await until(lambda v=version, e=expected: store.closed(v) == e)
    assert versions.ready("1.1.0")


async def test_what_a_successor_inherited_is_closed_when_that_one_is_opened() -> None:
    """Two edits in a row: the first one's version is answered for by the oldest, and so is the
    second one's.
    """
    store = Fresh()
    first = table(limits=QUICK, v1_1_0=10)
    versions = await started(store, first, close_after_s=0)
    oldest = versions.ready("1.1.0")
    gate = asyncio.Event()
    store.gates["1.1.0"] = gate
    for max_rows in (7, 8):
        edited = with_batch(first, max_rows)
        versions.change(edited)
        await until(lambda edited=edited: versions.table is edited)
        await until(lambda n=max_rows - 5: store.opens.count("1.1.0") == n)
        assert versions.ready("1.1.0") is oldest
    assert store.closed("1.1.0") == [0]
    gate.set()
    # The first edit's attempt was overtaken: what came of it is closed too, and never answers.
    await until(lambda: sorted(store.closed("1.1.0")) == [0, 1, 1])
    answering = versions.ready("1.1.0")
    assert answering is not None
    assert answering.scorer.n_closed == 0  # type: ignore[attr-defined]
    assert answering is not oldest


async def test_a_stable_that_was_overtaken_while_it_loaded_is_closed() -> None:
    """The table that asked for it never came into force."""
    store = Fresh()
    versions = await started(store, table(limits=QUICK), close_after_s=0)
    store.gates["2.0.0"] = asyncio.Event()
    versions.change(table("2.0.0", limits=QUICK))
    await until(lambda: "2.0.0" in store.opens)
    versions.change(table("3.0.0", limits=QUICK))
    await until(lambda: stable_of(versions) == "3.0.0")
    store.gates["2.0.0"].set()
    await until(lambda: store.closed("2.0.0") == [1])
    await until(lambda: store.closed("1.0.0") == [1])
    assert store.closed("3.0.0") == [0]


# To collect finds what tests before it left open too, which is none of its business.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_failed_attempt_keeps_nothing_in_memory(store: FakeStore) -> None:
    """An error is kept while it is told, but not half a model in the variables of the functions
    that raised it.
    """

    class Model:
        """What was opened when the golden rows differed."""

    models: list[weakref.ref[Model]] = []

    async def fails(version: str, entry: VersionEntry, of: Table) -> Opened:
        if version == "1.0.0":
            return await store.open(version, entry, of)
        model = Model()
        models.append(weakref.ref(model))
        try:
            raise ValueError(model)
        except ValueError as error:
            error.args = ()
            raise BundleError("golden rows differ") from error

    versions = Versions(fails, retry_first_s=60)
    await versions.start(table(v1_1_0=10))
    await until(lambda: versions.members()["1.1.0"].state == "failed")
    gc.collect()
    assert [model() for model in models] == [None]
    assert isinstance(versions.members()["1.1.0"].error, BundleError)


async def test_a_replica_that_joins_waits_until_every_version_is_loaded_or_has_failed(
    store: FakeStore,
) -> None:
    """It waits for a bounded time, and joins all the same."""
    store.gates["1.1.0"] = asyncio.Event()
    store.errors["1.2.0"] = BundleError("wrong")
    versions = made(store)
    await versions.start(table(v1_1_0=10, v1_2_0=10))
    joining = asyncio.ensure_future(versions.settle(5))
    await asyncio.sleep(0.05)
    assert not joining.done()
    store.gates["1.1.0"].set()
    await joining
    assert versions.members()["1.2.0"].error is store.errors["1.2.0"]
    store.gates["1.3.0"] = asyncio.Event()
    versions.change(table(v1_3_0=10))
    await until(lambda: "1.3.0" in versions.members())
    await versions.settle(0.05)
    assert versions.members()["1.3.0"].state == "loading"


@pytest.mark.parametrize("error", [NoRoom("no space left on device"), StoreAway("s3: no answer")])
async def test_start_waits_for_what_passes_however_long(
    store: FakeStore, error: BundleError
) -> None:
    """A disk that is full, or a store that is away: Ray would start the replica three times, and
    leave the deployment failed when there is room again.
    """
    store.errors["1.0.0"] = error
    versions = made(store)
    starting = asyncio.ensure_future(versions.start(table()))
    await until(lambda: store.opens.count("1.0.0") > 3)
    assert not starting.done()
    assert versions.table is None
    del store.errors["1.0.0"]
    await starting
    assert versions.ready("1.0.0")


async def test_start_does_not_wait_for_a_version_that_is_not_there(store: FakeStore) -> None:
    """A wrong number in the table is said by the deployment, at once."""
    store.errors["1.0.0"] = BundleUnavailable("not found")
    with pytest.raises(BundleUnavailable, match="not found"):
        await made(store).start(table())
