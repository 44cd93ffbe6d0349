"""From a server to the coordinator: labels arrive anywhere, count once, and outlive a restart."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import CHURN, DAY_S, NOW_S, VALUE, InMemory, Predicting

from serve_app.contract import ModelSpec
from serve_app.errors import NotReady, Overloaded, StateError, UnknownPrediction
from serve_app.monitoring.labels.feedback import MOST_WAITING
from serve_app.monitoring.labels.shapes import Shape
from serve_app.monitoring.quality.book import Book
from serve_app.monitoring.quality.report import Quality, QualityReport
from serve_app.serving.answer import Assignment
from serve_app.statistics.loss_test import LabelEvidence

RUN = "1.0.0-1.1.0-3f9a2c41-run1"


class Coordinator:
    """The coordinator's end, begun again as often as a test likes, with what it kept."""

    def __init__(self, spec: ModelSpec = CHURN, kept: InMemory | None = None) -> None:
        self.spec = spec
        self.kept = kept or InMemory()
        self.now_s = float(NOW_S)
        self.quality = Quality(spec, self.kept, lambda: self.now_s)

    def restarted(self) -> "Coordinator":
        """Another process."""
        return Coordinator(self.spec, self.kept)

    def hear(self, server: Predicting, *, is_new: bool = True, **metrics: float) -> None:
        """A server's report."""
        report = QualityReport(server.feedback.take(), {}, {"1.0.0": metrics})
        self.quality.hear("server", report, is_new=is_new)

    def evidence(self, max_ratio: float = 1.1) -> LabelEvidence:
        """What labels say of the rollout's candidate."""
        found = self.quality.labelled(RUN, "1.0.0", "1.1.0", max_ratio)
        assert found is not None
        return found


def labelled(server: Predicting, n: int, **more: object) -> tuple[str, ...]:
    """So many predictions of 0.25, and the label 0 for each."""
    ids = server.answer([0.25] * n, **more)  # type: ignore[arg-type]
    for one in ids:
        server.feedback.add(one, 0)
    return ids


async def test_labels_of_two_servers_are_one_sum_by_version_and_day_of_prediction() -> None:
    """A month later, one is of a version that is in no table any more."""
    here, there = Predicting(), Predicting(now_s=NOW_S - 20 * DAY_S)
    coordinator = Coordinator()
    await coordinator.quality.keep()
    labelled(here, 30)
    labelled(there, 50)
    labelled(there, 20, version="0.9.0")
    for server in (here, there):
        coordinator.hear(server, brier=0.2)
    found = coordinator.quality.view()
    assert [one.version for one in found.versions] == ["1.0.0", "0.9.0"]
    newest = {window.days: window for window in found.versions[0].windows}
    assert [newest[days].n_labels for days in (1, 7, 30, 120)] == [30, 30, 80, 80]
    assert newest[30].realised["brier"].value == pytest.approx(0.0625, abs=1e-4)
    assert found.versions[0].baseline == {"brier": 0.2}
    assert found.n_labels == 100
    assert found.selection


async def test_a_label_counts_once_however_often_and_wherever_it_is_sent() -> None:
    """To another server, in the same request, after a restart; and a report that is sent again."""
    here, there = Predicting(), Predicting()
    coordinator = Coordinator()
    await coordinator.quality.keep()
    ids = labelled(here, 12)
    for one in (*ids, *ids):
        there.feedback.add(one, 1)
    coordinator.hear(here)
    coordinator.hear(there)
    await coordinator.quality.keep()
    coordinator = coordinator.restarted()
    for one in ids:
        here.feedback.add(one, 0)
    coordinator.hear(here)
    await coordinator.quality.keep()
    labelled(here, 5)
    coordinator.hear(here, is_new=False)
    found = coordinator.quality.view()
    assert (found.n_labels, found.n_duplicates) == (12, 36)
    assert found.versions[0].windows[0].realised["accuracy"].value == 1


async def test_labels_wait_while_what_was_kept_cannot_be_read() -> None:
    """A label that was counted before must not count again, so nothing is counted until then."""
    coordinator = Coordinator()
    await coordinator.quality.keep()
    server = Predicting()
    ids = labelled(server, 10)
    coordinator.hear(server)
    await coordinator.quality.keep()
    coordinator = coordinator.restarted()
    coordinator.kept.error = StateError("the store is away")
    await coordinator.quality.keep()
    with pytest.raises(NotReady, match="the store is away"):
        coordinator.quality.view()
    assert coordinator.quality.labelled(RUN, "1.0.0", "1.1.0", 1.1) is None
    server.feedback.add(ids[0], 0)
    labelled(server, 3)
    coordinator.hear(server)
    coordinator.kept.error = None
    await coordinator.quality.keep()
    found = coordinator.quality.view()
    assert (found.n_labels, found.n_duplicates, found.trouble) == (13, 1, "")


async def test_what_cannot_be_written_is_written_later_and_told_meanwhile() -> None:
    """It is counted all the same."""
    coordinator = Coordinator()
    await coordinator.quality.keep()
    server = Predicting()
    labelled(server, 10)
    coordinator.hear(server)
    coordinator.kept.error = StateError("no room")
    await coordinator.quality.keep()
    assert coordinator.quality.view().trouble == "no room"
    assert coordinator.kept.data == b""
    coordinator.kept.error = None
    await coordinator.quality.keep()
    assert json.loads(coordinator.kept.data)["n_counted"] == 10


def a_book(**changes: object) -> str:
    """The text of a book, changed."""
    book = {
        **Book(Shape.BINARY).to_json(),
        "days": {"1.0.0": {"20800": {"n": 20.0, "right": 15.0, "brier": 2.0, "brier2": 1.0}}},
    }
    return json.dumps(book | changes)


def of_a_day(**sums: float) -> str:
    """The text of a book with these sums of today."""
    return a_book(days={"1.0.0": {"20800": {"n": 20.0, "right": 15.0} | sums}})


BROKEN_BOOKS = [
    *(
        "[]",
        "{}",
        '{"format": 2, "shape": 1}',
        '{"format": 1, "shape": 3}',
        "null",
        "{",
        "[" * 200_000,
    ),
    a_book(n_counted=1).replace('"n_counted": 1', '"n_counted": 1e999'),
    a_book(days={"1.0.0": {}}),
    a_book(days={"1.0.0": {"today": {}}}),
    a_book(days={"1.0.0": []}),
    of_a_day(brier=math.nan),
    of_a_day(right=math.inf),
    of_a_day(right=21.0),
    of_a_day(**{"class.1": 3.0, "hit.1": 4.0}),
    of_a_day(interval=15.0, covered=16.0),
    of_a_day(answered=-1.0),
    of_a_day(**{"pos.3": 1e300, "neg.3": 1e300}),
    a_book(seen={"20800": "AAAA"}),
    a_book(runs={"a": {"stable": "1", "candidate": "2", "test": {}}}),
]


@pytest.mark.parametrize("text", BROKEN_BOOKS)
async def test_what_is_no_book_of_this_model_is_put_aside(text: str) -> None:
    """A newer release or another kind of model wrote it; labels begin again."""
    kept = InMemory()
    kept.data = text.encode("utf-8", "surrogateescape")
    coordinator = Coordinator(kept=kept)
    await coordinator.quality.keep()
    assert coordinator.quality.view().versions == []
    assert kept.aside == text.encode("utf-8", "surrogateescape")
    assert coordinator.quality.trouble == ""


async def test_a_book_that_can_be_told_is_kept() -> None:
    """What the broken ones are changes of."""
    kept = InMemory()
    kept.data = a_book().encode()
    coordinator = Coordinator(kept=kept)
    await coordinator.quality.keep()
    (version,) = coordinator.quality.view().versions
    assert version.windows[0].realised["accuracy"].value == 0.75
    assert kept.aside == b""


# Whatever JSON has in the places of numbers, texts, lists and objects.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
PLACES = st.sampled_from(
    [
        ("days",),
        ("days", "1.0.0"),
        ("days", "1.0.0", "20800"),
        *(("days", "1.0.0", "20800", name) for name in ("n", "right", "brier", "hit.0", "e_n")),
        *(("metrics",), ("metrics", "1.0.0"), ("seen",), ("runs",), ("n_counted",), ("shape",)),
    ]
)


@given(PLACES, ANYTHING)
async def test_whatever_stands_in_a_book_it_is_told_or_put_aside(
    place: tuple[str, ...], value: object
) -> None:
    """No file keeps a coordinator from counting labels."""
    book = json.loads(a_book())
    inside = book
    for name in place[:-1]:
        inside = inside.setdefault(name, {})
    inside[place[-1]] = value
    kept = InMemory()
    kept.data = json.dumps(book).encode()
    coordinator = Coordinator(kept=kept)
    await coordinator.quality.keep()
    coordinator.quality.view().model_dump_json()
    server = Predicting()
    labelled(server, 10)
    coordinator.hear(server)
    await coordinator.quality.keep()
    assert coordinator.quality.trouble == ""


async def test_predictions_of_long_ago_are_told_and_not_counted() -> None:
    """And days that are too old are forgotten."""
    coordinator = Coordinator()
    await coordinator.quality.keep()
    server = Predicting(now_s=NOW_S - 121 * DAY_S)
    labelled(server, 4)
    coordinator.hear(server)
    assert coordinator.quality.view().n_too_old == 4
    server.now_s = NOW_S - 100 * DAY_S
    labelled(server, 10)
    coordinator.hear(server)
    coordinator.now_s += 30 * DAY_S
    labelled(server, 1, version="1.1.0")
    server.now_s = coordinator.now_s
    labelled(server, 10, version="1.1.0")
    coordinator.hear(server)
    await coordinator.quality.keep()
    assert [one.version for one in coordinator.quality.view().versions] == ["1.1.0"]


async def test_a_server_learns_the_names_of_old_versions_from_the_coordinator() -> None:
    """An id carries an unusual name as a digest, and its version may be in no table any more."""
    server = Predicting()
    old = "1.0.0-rc.1"
    ids = server.answer([0.5, 0.5], version=old)
    with pytest.raises(UnknownPrediction, match="in no table any more"):
        server.feedback.add(ids[0], 1)
    server.versions = [old]
    server.feedback.add(ids[0], 1)
    coordinator = Coordinator()
    await coordinator.quality.keep()
    coordinator.hear(server)
    server.versions = []
    server.feedback.learn(coordinator.quality.tell("server").versions)
    server.feedback.add(ids[1], 1)
    assert server.feedback.take()[0].version == old


async def test_a_version_is_known_before_its_first_label_and_after_a_restart() -> None:
    """It may leave the table before a label comes, and a value says nothing by its score."""
    server = Predicting(VALUE)
    old = "2.0.0-rc.1"
    (one,) = server.answer([0.5], version=old)
    coordinator = Coordinator(VALUE)
    await coordinator.quality.keep()
    counted = {old: {"answered": 1.0}}
    coordinator.quality.hear("server", QualityReport((), counted, {old: {}}), is_new=True)
    await coordinator.quality.keep()
    coordinator = coordinator.restarted()
    await coordinator.quality.keep()
    server.feedback.learn(coordinator.quality.tell("server").versions)
    server.feedback.add(one, 1.0)
    assert server.feedback.take()[0].version == old
    [told] = coordinator.quality.view().versions
    assert (told.version, told.windows[0].n_predictions) == (old, 1)


def test_a_server_that_cannot_tell_its_labels_refuses_more() -> None:
    """In bounded memory: the client tries again, and nothing is lost in silence."""
    server = Predicting()
    (one,) = server.answer([0.5])
    for _ in range(MOST_WAITING):
        server.feedback.require_room(1)
        server.feedback.add(one, 1)
    with pytest.raises(Overloaded) as error:
        server.feedback.require_room(1)
    assert error.value.headers["Retry-After"] == "5"
    assert len(server.feedback.take()) < MOST_WAITING
    server.feedback.require_room(1)


async def test_two_coordinators_lose_no_label_of_each_other() -> None:
    """One cluster takes the place of another: both hear labels for a while, and have one file."""
    before = Coordinator()
    after = before.restarted()
    for coordinator in (before, after):
        await coordinator.quality.keep()
    here, there = Predicting(), Predicting()
    ids = labelled(here, 5)
    before.hear(here)
    before.quality.hear("a", QualityReport((), {"1.0.0": {"answered": 7.0}}, {}), is_new=True)
    await before.quality.keep()
    labelled(there, 1)
    # That label was counted by the other one.
    there.feedback.add(ids[0], 0)
    after.hear(there)
    after.quality.hear("b", QualityReport((), {"1.0.0": {"answered": 2.0}}, {}), is_new=True)
    await after.quality.keep()
    last = after.restarted()
    await last.quality.keep()
    labelled(here, 3)
    before.hear(here)
    await before.quality.keep()
    await before.quality.keep()
    for coordinator, n_labels in ((after, 6), (last, 6), (before, 9)):
        found = coordinator.quality.view()
        assert (found.n_labels, found.n_duplicates) == (n_labels, 1)
        window = found.versions[0].windows[0]
        assert (window.n_labels, window.n_predictions) == (n_labels, 9)


async def test_a_coordinator_that_heard_nothing_reads_along_and_writes_nothing() -> None:
    """It would write what was there when it started; metrics come with each report."""
    waiting = Coordinator()
    await waiting.quality.keep()
    counting = waiting.restarted()
    await counting.quality.keep()
    server = Predicting()
    labelled(server, 5)
    counting.hear(server)
    await counting.quality.keep()
    written = counting.kept.data
    waiting.hear(Predicting(), brier=0.1)
    await waiting.quality.keep()
    assert counting.kept.data == written
    assert waiting.quality.view().n_labels == 5


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_write_that_failed_counts_once_whether_it_arrived_or_not(arrives: bool) -> None:
    """A store may take the file and lose its answer."""

    class Answerless(InMemory):
        """Takes one file, or not, and says in both cases that it did not."""

        is_answering = False

        def write(self, data: bytes) -> None:
            """One fault."""
            if self.is_answering or arrives:
                super().write(data)
            if not self.is_answering:
                self.is_answering = True
                raise StateError("no answer")

    coordinator = Coordinator(kept=Answerless())
    await coordinator.quality.keep()
    for n_answered in (3.0, 4.0):
        scores = {"1.0.0": {"answered": n_answered}}
        coordinator.quality.hear("a", QualityReport((), scores, {}), is_new=True)
        await coordinator.quality.keep()
    again = coordinator.restarted()
    await again.quality.keep()
    assert again.quality.view().versions[0].windows[0].n_predictions == 7


async def test_a_file_that_is_gone_is_written_again() -> None:
    """What is known here stays known, and the next one reads it."""
    coordinator = Coordinator()
    server = Predicting()
    for _ in range(2):
        labelled(server, 5)
        coordinator.hear(server)
        await coordinator.quality.keep()
        coordinator.kept.data, written = b"", coordinator.kept.data
    assert json.loads(written)["n_counted"] == 10


def answers(
    server: Predicting, rng: np.random.Generator, n: int, worse: float, first: int = 0
) -> None:
    """Labels of both versions at 20 %: the candidate's probabilities are off by `worse`.

    Keys are numbered from `first` on.
    """
    for i in range(first, first + n):
        p = rng.uniform(0.2, 0.8)
        truth = int(rng.random() < p)
        version = "1.1.0" if rng.random() < 0.2 else "1.0.0"
        off = worse if version == "1.1.0" else 0.0
        shown = min(max(p + (off if truth == 0 else -off), 0.01), 0.99)
        chosen = Assignment(version, RUN, 2)
        (one,) = server.answer([shown], version=version, key=f"key-{i}", assigned=chosen)
        server.feedback.add(one, truth)


@pytest.mark.parametrize(("worse", "expected"), [(0.25, "worse"), (-0.25, "better"), (0.0, "")])
async def test_labels_say_of_a_rollouts_candidate_whether_it_is_worse_or_better(
    worse: float, expected: str
) -> None:
    """And go on saying it after the coordinator has started again."""
    coordinator = Coordinator()
    await coordinator.quality.keep()
    assert coordinator.evidence().n_candidate == 0
    server = Predicting()
    answers(server, np.random.default_rng(5), 2_000, worse)
    coordinator.hear(server)
    before = coordinator.evidence()
    await coordinator.quality.keep()
    coordinator = coordinator.restarted()
    await coordinator.quality.keep()
    after = coordinator.evidence()
    assert after == before
    assert after.n_stable + after.n_candidate == 2_000
    assert after.is_worse(0.01) == (expected == "worse")
    assert after.is_better(0.01) == (expected == "better")


async def test_values_are_compared_by_errors_that_are_cut_at_four_times_stables() -> None:
    """By the error of stable's hold-out; one label that is broken decides nothing."""
    coordinator = Coordinator(VALUE)
    await coordinator.quality.keep()
    coordinator.evidence()
    server = Predicting(VALUE)
    chosen = Assignment("1.0.0", RUN, 1)
    for key, actual in (("a", 12.0), ("b", 1e9)):
        (one,) = server.answer([10.0], key=key, assigned=chosen)
        server.feedback.add(one, actual)
    coordinator.hear(server, mae=2.0)
    found = coordinator.evidence()
    assert found.n_stable == 2
    assert found.stable_loss == pytest.approx((0.25 + 1) / 2, abs=1e-3)


async def test_labels_of_a_rollout_that_two_coordinators_heard_are_judged_together() -> None:
    """As if one had heard them all, and no run is forgotten that is followed here."""
    before, alone = Coordinator(), Coordinator()
    for coordinator in (before, alone):
        await coordinator.quality.keep()
        coordinator.evidence()
    server = Predicting()
    rng = np.random.default_rng(5)
    answers(server, rng, 500, 0.25)
    heard = server.feedback.take()
    before.quality.hear("a", QualityReport(heard, {}, {}), is_new=True)
    alone.quality.hear("a", QualityReport(heard, {}, {}), is_new=True)
    await before.quality.keep()
    after = before.restarted()
    await after.quality.keep()
    for coordinator, first in ((after, 500), (before, 1_000)):
        answers(server, rng, 500, 0.25, first)
        heard = server.feedback.take()
        coordinator.quality.hear("a", QualityReport(heard, {}, {}), is_new=True)
        alone.quality.hear("a", QualityReport(heard, {}, {}), is_new=True)
        await coordinator.quality.keep()
    assert before.evidence() == alone.evidence()
    assert before.evidence().n_stable + before.evidence().n_candidate == 1_500
    last = after.restarted()
    await last.quality.keep()
    assert last.evidence() == alone.evidence()
