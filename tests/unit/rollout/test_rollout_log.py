"""The log, in a folder, in memory or in an S3 on loopback, has one order and one writer."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread

import obstore
import pytest
from answering import answering
from obstore.store import LocalStore, MemoryStore
from rolling import PLAN, START_S
from rolling_log import FOLDER, S3, claiming, next_draft

from serve_app.bundle.objects import Objects
from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.command import command
from serve_app.rollout.decide import claim
from serve_app.rollout.event import Event, Out, lines
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.orders import order_out, written_orders
from serve_app.rollout.state import fold


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start an S3 on loopback, and return the URI of its bucket."""
    S3.objects = {}
    S3.put_headers = []
    S3.lost_answers = 0
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with answering(S3) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield "s3://bucket/state"


@pytest.fixture(params=["folder", "memory", "s3"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Log]:
    """Return what opens one and the same log, as another coordinator would."""
    if request.param == "memory":
        objects = Objects(MemoryStore())
        return lambda: Log(objects, "memory://", "churn/shop", PLAN.id)
    if request.param == "folder":
        folder = str(tmp_path / "not" / "there yet")
        return lambda: open_log(folder, "churn", "shop", PLAN.id)
    bucket: str = request.getfixturevalue("s3")
    return lambda: open_log(bucket, "churn", "shop", PLAN.id)


def test_what_is_written_is_read_by_the_next_coordinator(another: Callable[[], Log]) -> None:
    """The next one reads it in order, exactly, and writes behind it."""
    first = another()
    assert first.read() == ()
    first.claim(claiming, START_S)
    for second in range(12):
        assert first.append(next_draft(first), START_S + second + 0.123456) == first.events[-1]
    second = another()
    assert second.read() == first.events
    assert [event.seq for event in second.events] == list(range(1, 14))
    assert second.events[-1].at_s == pytest.approx(START_S + 11.123456, abs=1e-6)
    assert second.claim(claiming, START_S + 20).epoch == 2
    assert second.append(next_draft(second), START_S + 21).seq == 15


def test_a_coordinator_that_was_replaced_stops_writing(another: Callable[[], Log]) -> None:
    """It learns of it at its next write, which is not in the log, and stays stopped."""
    old = another()
    new = another()
    old.claim(claiming, START_S)
    old.append(next_draft(old), START_S)
    new.claim(claiming, START_S)
    claimed = f"{PLAN.id}: coordinator [0-9a-f]{{8}} claimed it; this one must write no more"
    with pytest.raises(Fenced, match=claimed):
        old.append(next_draft(old), START_S)
    with pytest.raises(Fenced, match="expected it to claim the log first"):
        old.append(next_draft(old), START_S)
    assert (old.epoch, new.epoch) == (0, 2)
    new.append(next_draft(new), START_S)
    assert [event.epoch for event in another().read()] == [1, 1, 2, 2]


def test_who_has_not_claimed_may_not_write(another: Callable[[], Log]) -> None:
    """Whoever only reads the log has no right to write."""
    log = another()
    with pytest.raises(Fenced, match="expected it to claim the log first"):
        log.append(claim(fold([]), PLAN), START_S)
    assert log.read() == ()


def test_coordinators_that_write_at_once_make_one_order(another: Callable[[], Log]) -> None:
    """Four of them claim and write as fast as they can.

    Each event that was confirmed to a writer is there once, in its place; of each claim, no
    event comes after the next claim.
    """
    confirmed: list[Event] = []
    ready = Barrier(4)

    def coordinate() -> None:
        log = another()
        ready.wait()
        for _ in range(2):
            with suppress(Fenced):
                confirmed.append(log.claim(claiming, START_S))
                # Appended one by one: what was written before a fence counts too.
                for _ in range(8):
                    confirmed.append(log.append(next_draft(log), START_S))  # noqa: PERF401

    threads = [Thread(target=coordinate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = another().read()
    assert sorted(confirmed, key=lambda event: event.seq) == list(events)
    assert [event.epoch for event in events] == sorted(event.epoch for event in events)
    assert len({event.writer for event in events}) == 4
    assert {event.epoch for event in events} == set(range(1, 9))
    for epoch in range(1, 9):
        assert len({event.writer for event in events if event.epoch == epoch}) == 1
    assert fold(events).seq == len(events)


def test_two_decisions_from_one_state_do_not_both_enter_the_log(another: Callable[[], Log]) -> None:
    """When a command and the judge write at the same time, the second must decide again."""
    log = another()
    log.claim(claiming, START_S)
    state = fold(log.events)
    pause = command(state, PLAN, "pause", "ada")
    abort = command(state, PLAN, "abort", "ada")
    log.append(abort, START_S)
    late = r"paused is decided for \(2, .* expected \(3, .* decide again"
    with pytest.raises(RolloutError, match=late):
        log.append(pause, START_S)
    assert fold(log.read()).status == "aborted"


def test_an_event_of_another_rollout_is_not_written(another: Callable[[], Log]) -> None:
    """The file may have changed while the coordinator decided."""
    log = another()
    log.claim(claiming, START_S)
    other = PLAN.model_copy(update={"min_requests": 1})
    with pytest.raises(RolloutError, match=f"expected .*{PLAN.id}"):
        log.append(command(fold(log.events), other, "pause", "ada"), START_S)


def test_logs_of_other_rollouts_models_and_applications_are_separate(tmp_path: Path) -> None:
    """Another plan begins at its first event, though the names begin alike; and so does the same
    plan in another application of the same model.
    """

    def claimed(model: str, application: str, rollout: str) -> tuple[Event, ...]:
        log = open_log(str(tmp_path), model, application, rollout)
        draft = claim(fold([]), PLAN).model_copy(update={"rollout": rollout})
        log.claim(lambda _: draft, START_S)
        return log.read()

    for model, application, rollout in (
        ("churn", "shop", "1.0.0-1.1.0-a"),
        ("churn", "shop", "1.0.0-1.1.0-ab"),
        ("chur", "shop", "1.0.0-1.1.0-a"),
        ("churn", "other", "1.0.0-1.1.0-a"),
    ):
        events = claimed(model, application, rollout)
        assert [event.rollout for event in events] == [rollout]


def test_a_log_that_was_begun_in_the_place_before_is_gone_on_with(tmp_path: Path) -> None:
    """Once no application was in the path; what was decided then is not forgotten."""
    old = tmp_path / "churn" / PLAN.id
    first = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    first.claim(claiming, START_S)
    first.append(next_draft(first), START_S)
    (tmp_path / FOLDER).rename(old)
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    assert fold(log.read()).status == "paused"
    log.claim(claiming, START_S)
    log.append(next_draft(log), START_S)
    assert len(list(old.iterdir())) == 4
    assert not list((tmp_path / "churn" / "shop").iterdir())


def test_two_applications_that_began_in_the_place_before_share_it_until_the_next_plan(
    tmp_path: Path,
) -> None:
    """Nobody can tell whose it was. What one has written out is out for both, and another plan
    has a log for each.
    """
    Log(Objects(LocalStore(tmp_path)), "before", "churn", PLAN.id).claim(claiming, START_S)
    shop = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    shop.claim(claiming, START_S)
    shop.append(command(fold(shop.events), PLAN, "abort", "ada"), START_S)
    other = open_log(str(tmp_path), "churn", "other", PLAN.id)
    assert written_orders(other, PLAN.id).is_out
    next_plan = PLAN.model_copy(update={"min_seconds": PLAN.min_seconds + 1})
    for application in ("shop", "other"):
        log = open_log(str(tmp_path), "churn", application, next_plan.id)
        assert log.claim(lambda events: claim(fold(events), next_plan), START_S).seq == 1


def test_an_order_next_to_the_log_needs_no_claim_and_disturbs_nobody(
    another: Callable[[], Log],
) -> None:
    """Whoever is asked while no coordinator answers leaves it; the first one counts."""
    log = another()
    log.claim(claiming, START_S)
    asked = another()
    asked.order_out(1, Out("ada", "tickets"))
    asked.order_out(1, Out("bo", "tickets too"))
    assert log.append(next_draft(log), START_S).seq == 2
    assert log.is_held()
    assert log.ordered_out == {1: Out("ada", "tickets")}
    newest = another()
    assert newest.claim(claiming, START_S).seq == 3
    assert newest.ordered_out == log.ordered_out


def test_an_order_that_somebody_has_spoilt_is_one_all_the_same(tmp_path: Path) -> None:
    """That it is there takes the share away; what it says is for the audit."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    (tmp_path / FOLDER / "out-run1.json").write_text("{")
    for name in ("out-run2.json.bak", "out-run.json", "old-out-run3.json"):
        (tmp_path / FOLDER / name).write_text("{}")
    assert len(log.read()) == 1
    assert {run: out.by for run, out in log.ordered_out.items()} == {1: "unknown"}


def test_a_server_without_a_coordinator_goes_by_the_order_of_its_run(tmp_path: Path) -> None:
    """The next run is another matter, and what the log says already is not ordered again."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    assert not written_orders(log, PLAN.id).is_out
    order_out(log, PLAN, "ada", "")
    assert written_orders(log, PLAN.id).is_out
    log.append(command(fold(log.events), PLAN, "abort", "ada"), START_S)
    log.append(command(fold(log.events), PLAN, "start", "ada"), START_S)
    assert not written_orders(log, PLAN.id).is_out
    log.append(command(fold(log.events), PLAN, "abort", "ada"), START_S)
    order_out(log, PLAN, "ada", "")
    assert sorted(log.ordered_out) == [1]
    assert not (tmp_path / FOLDER / "out-run2.json").exists()


def test_an_order_is_for_the_run_of_the_log_and_for_the_one_that_the_file_asks_for(
    tmp_path: Path,
) -> None:
    """Servers go by the log's run now, and the next coordinator begins the file's."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    order_out(log, PLAN.model_copy(update={"run": 2}), "ada", "")
    assert written_orders(log, PLAN.id).is_out
    assert sorted(log.ordered_out) == [1, 2]


def test_the_files_of_a_log_are_its_audit(tmp_path: Path) -> None:
    """`cat` of the folder gives JSON lines, one event each, whatever a person wrote as a reason."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    log.append(next_draft(log), START_S)
    text = "".join(path.read_text() for path in sorted((tmp_path / FOLDER).iterdir()))
    assert text == lines(log.events)
    assert [json.loads(line)["kind"] for line in text.splitlines()] == ["claimed", "paused"]
    assert json.loads(text.splitlines()[1])["reason"] == "why: §1   ✓"


def test_s3_is_asked_to_create_and_never_to_overwrite(s3: str) -> None:
    """Without If-None-Match two coordinators would write over each other."""
    log = open_log(s3, "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    log.append(next_draft(log), START_S)
    assert S3.put_headers == ["*", "*"]
    assert sorted(S3.objects) == [f"/bucket/state/{FOLDER}/0000000{seq}.json" for seq in (1, 2)]


def test_a_write_whose_answer_was_lost_counts_as_written(s3: str) -> None:
    """The client asks again by itself, and hears that its own event has taken the place."""
    log = open_log(s3, "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    S3.lost_answers = 1
    assert log.append(next_draft(log), START_S).seq == 2
    assert S3.put_headers == ["*", "*", "*"]
    assert log.read() == log.events


def test_a_folder_keeps_a_log_whole_when_many_create_one_file(tmp_path: Path) -> None:
    """One creates the file, the others are told, nothing is mixed: fencing depends on it."""
    objects = LocalStore(tmp_path)
    won: list[tuple[int, int]] = []
    ready = Barrier(4)

    def create(name: int) -> None:
        ready.wait()
        for place in range(50):
            try:
                obstore.put(objects, f"race/{place}", str(name).encode() * 1_000, mode="create")
                won.append((place, name))
            except obstore.exceptions.AlreadyExistsError:
                pass

    threads = [Thread(target=create, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(place for place, _ in won) == list(range(50))
    for place, name in won:
        assert (tmp_path / "race" / str(place)).read_text() == str(name) * 1_000


def test_s3_without_an_endpoint_that_answers_is_a_rollout_error_soon(
    monkeypatch: pytest.MonkeyPatch, s3: str
) -> None:
    """Nobody listens there; the client's own patience would be three minutes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RolloutError, match="cannot be listed"):
        open_log(s3, "churn", "shop", PLAN.id).read()
