"""Opening a version: pin, contract and placement decide, and nothing is left behind where they
refuse.
"""

import asyncio
import json
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from checking import manifest_of
from fakes import FakeScorer

from serve_app.bundle.manifest import Manifest, parse, sha256_of
from serve_app.errors import BundleError, BundleUnavailable, NoRoom, NotReady, StoreAway
from serve_app.models import get_spec
from serve_app.serving.opening import Described, Opening, opened_when_possible
from serve_app.settings import Batch, Table

CHURN = get_spec("churn")
MANIFEST = manifest_of("churn", "1.0.0")
PIN = sha256_of(MANIFEST)
OTHER_PIN = "0" * 64


class Placed(FakeScorer):
    """A version in this process, as it was placed."""

    def __init__(self, predictor: Any, coalesce: str, batch: Batch) -> None:
        super().__init__(lambda first: first)
        self.predictor = predictor
        self.coalesces = coalesce == "always"
        self.batch = batch


class Remote:
    """An application: `answers` are given in order, errors are raised, None never comes."""

    def __init__(self, *answers: Described | Exception | None) -> None:
        self.answers = list(answers)
        self.n_asked = 0
        self.scorers: list[FakeScorer] = []

    async def describe(self) -> Described:
        """The next answer; the last one for ever."""
        self.n_asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    def scorer(self, batch: Batch) -> FakeScorer:
        """Noted."""
        self.scorers.append(FakeScorer(lambda first: first))
        return self.scorers[-1]


def described(manifest: bytes = MANIFEST) -> Described:
    """What an application says that has proven this manifest."""
    return Described(manifest, sha256_of(manifest), rows_per_s=4_000.0)


class Room:
    """An opening with all that it was asked for; `remote` is every application."""

    def __init__(self, remote: Remote | None = None, **times: float) -> None:
        self.loaded: list[tuple[str, str | None]] = []
        self.names: list[str] = []
        self.error: Exception | None = None
        self._remote = remote or Remote(NotReady("none"))
        times = {"timeout_s": 30.0, "poll_s": 0.001} | times
        self.opening = Opening(CHURN, self._load, Placed, self._application, **times)

    def _load(self, version: str, pin: str | None) -> Any:
        self.loaded.append((version, pin))
        if self.error is not None:
            raise self.error
        return SimpleNamespace(manifest=SimpleNamespace(version=version), manifest_sha256=PIN)

    def _application(self, name: str) -> Remote:
        self.names.append(name)
        return self._remote


def table(
    version: str = "1.0.0", stable: str = "1.0.0", patience_s: int = 1, **entry: Any
) -> Table:
    """A table with one entry."""
    return Table.model_validate(
        {
            "stable": stable,
            "versions": {version: entry},
            "limits": {"ready_timeout_s": patience_s},
            "batch": {"max_rows": 7},
        }
    )


async def opened(room: Room, of: Table, version: str = "1.0.0") -> Any:
    """The version as the table asks for it."""
    return await room.opening.open(version, of.entry(version), of)


@pytest.mark.parametrize("coalesce", ["always", "never"])
async def test_a_version_in_the_server_is_loaded_under_its_pin_and_placed(coalesce: str) -> None:
    """What is not coalesced is scored at once; the batch is the table's."""
    room = Room()
    found = await opened(room, table(manifest_sha256=PIN, coalesce=coalesce))
    assert room.loaded == [("1.0.0", PIN)]
    assert room.names == []
    assert found.manifest_sha256 == PIN
    assert (found.coalesces, found.at_once) == (coalesce == "always", coalesce == "never")
    assert found.scorer.batch.max_rows == 7


async def test_a_bundle_that_cannot_be_loaded_is_told_as_it_is() -> None:
    """The reason of the bundle, such as a wrong pin, is the reason of the version."""
    room = Room()
    room.error = BundleError("expected sha256 0000, found 1111")
    with pytest.raises(BundleError, match="expected sha256 0000, found 1111"):
        await opened(room, table(manifest_sha256=OTHER_PIN))


async def test_an_isolated_version_is_taken_for_what_it_proved() -> None:
    """It is found by its application's name, loads nothing here, and says how fast it is."""
    remote = Remote(described())
    room = Room(remote)
    found = await opened(room, table(placement="isolated", manifest_sha256=PIN))
    assert room.names == ["churn-1.0.0"]
    assert room.loaded == []
    assert (found.manifest.version, found.manifest_sha256) == ("1.0.0", PIN)
    assert (found.coalesces, found.at_once, found.rows_per_s) == (True, False, 4_000)
    assert remote.scorers == [found.scorer]


async def test_the_manifest_of_an_isolated_version_is_read_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large one holds up nobody who asks meanwhile."""
    threads: list[threading.Thread] = []

    def noted(data: bytes, where: str) -> Manifest:
        threads.append(threading.current_thread())
        return parse(data, where)

    monkeypatch.setattr("serve_app.serving.opening.parse", noted)
    await opened(Room(Remote(described())), table(placement="isolated"))
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_an_isolated_version_with_another_manifest_than_the_pinned_one_is_refused() -> None:
    """The table's pin holds for what runs elsewhere too; no way to score is made."""
    remote = Remote(described())
    with pytest.raises(BundleError, match=f"^churn-1.0.0: expected manifest 0000.*, found {PIN}"):
        await opened(Room(remote), table(placement="isolated", manifest_sha256=OTHER_PIN))
    assert remote.scorers == []


def manifest_with(**changes: Any) -> bytes:
    """The manifest with other values."""
    return json.dumps(json.loads(MANIFEST) | changes).encode()


async def test_an_isolated_version_that_does_not_fit_the_contract_is_refused() -> None:
    """Its replicas may run older code, with another contract."""
    features: Sequence[Any] = json.loads(MANIFEST)["features"]
    remote = Remote(described(manifest_with(features=features[1:])))
    expected = "churn-1.0.0: does not fit the contract: monthly_active_days: missing in the bundle"
    with pytest.raises(BundleError, match=expected):
        await opened(Room(remote), table(placement="isolated"))
    assert remote.scorers == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"kind": "regressor"}, "expected a binary_classifier, found a regressor"),
        ({"format": 2, "classes": ["no", "yes"]}, r"expected classes and outputs \(\[0, 1\]"),
    ],
)
async def test_an_isolated_version_whose_scores_mean_something_else_is_refused(
    changes: dict[str, Any], found: str
) -> None:
    """The fields fit, but the numbers that it gives are no answers to this contract."""
    remote = Remote(described(manifest_with(**changes)))
    with pytest.raises(BundleError, match=f"churn-1.0.0: does not fit the contract: {found}"):
        await opened(Room(remote), table(placement="isolated"))
    assert remote.scorers == []


async def test_an_isolated_version_of_an_unknown_runtime_is_refused() -> None:
    """Its replicas may run newer code; the message names what is known here."""
    remote = Remote(described(manifest_with(runtime="tarot")))
    with pytest.raises(BundleError, match="found 'tarot', expected one of onnx, sklearn"):
        await opened(Room(remote), table(placement="isolated"))
    assert remote.scorers == []


async def test_a_stable_application_is_waited_for() -> None:
    """A replica that starts before it does not give up at once."""
    remote = Remote(RuntimeError("no such application"), NotReady("loading"), described())
    found = await opened(Room(remote), table(placement="isolated", patience_s=60))
    assert remote.n_asked == 3
    assert found.manifest_sha256 == PIN


@pytest.mark.real_time
async def test_an_application_that_never_answers_is_given_up() -> None:
    """Each question has an end, and so have all of them: the first call to a failed application can
    hang.
    """
    remote = Remote(None)
    with pytest.raises(NotReady, match=r"churn-1\.0\.0 does not answer \(TimeoutError\)"):
        await opened(Room(remote, timeout_s=0.01), table(placement="isolated", patience_s=1))
    assert remote.n_asked >= 2


async def test_a_candidates_application_is_asked_once() -> None:
    """Stable answers for it meanwhile, and it is tried again later; only the kind of a foreign
    error is told.
    """
    remote = Remote(RuntimeError("secret"))
    of = table("1.1.0", placement="isolated", patience_s=60)
    with pytest.raises(
        NotReady, match=r"^application churn-1\.1\.0 does not answer \(RuntimeError\)$"
    ):
        await opened(Room(remote), of, "1.1.0")
    assert remote.n_asked == 1


def test_a_process_of_one_version_waits_for_what_passes() -> None:
    """A full disk has room again; three replicas that ended would leave the deployment failed."""
    passing = [NoRoom("disk full"), StoreAway("no answer"), NoRoom("no memory")]
    predictor: Any = object()
    slept: list[float] = []

    def load() -> Any:
        if passing:
            raise passing.pop()
        return predictor

    assert opened_when_possible(load, iter((1.0, 2.0, 4.0, 8.0)), slept.append) is predictor
    assert slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("error", [BundleError("golden rows"), BundleUnavailable("not found")])
def test_a_process_of_one_version_ends_with_what_does_not_pass(error: BundleError) -> None:
    """Ray then says why the application cannot be deployed."""

    def load() -> Any:
        raise error

    with pytest.raises(type(error), match=str(error)):
        opened_when_possible(load, iter((1.0,)), lambda _: None)
