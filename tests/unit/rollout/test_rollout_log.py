"""The log has one order and one writer, and nothing else is believed.

It lies in a folder, in memory, or in an S3 on loopback.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, ClassVar

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import LocalStore, MemoryStore, ObjectStore
from rolling import PLAN, START_S

from serve_app.bundle import objects as objects_module
from serve_app.bundle.objects import Objects
from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.decide import Action, claim, command
from serve_app.rollout.event import Draft, Event, lines
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.state import fold

FOLDER = f"churn/shop/{PLAN.id}"
REASON = "why: §1 \n ✓"
FIRST = "00000001.json"
SECOND = "00000002.json"
THIRD = "00000003.json"
FOURTH = "00000004.json"


def claiming(events: Sequence[Event]) -> Draft:
    """Draft what a coordinator claims with."""
    return claim(fold(events), PLAN)


def next_draft(log: Log) -> Draft:
    """Draft an event that can always follow: a pause, or the end of one."""
    state = fold(log.events)
    action: Action = "resume" if state.status == "paused" else "pause"
    return command(state, PLAN, action, "ada", REASON)


class S3(BaseHTTPRequestHandler):
    """Answers what the log asks of S3: PUT with If-None-Match, GET, and a listing."""

    protocol_version = "HTTP/1.1"
    # An answer goes out in one packet.
    wbufsize = -1
    objects: ClassVar[dict[str, bytes]] = {}
    put_headers: ClassVar[list[str | None]] = []
    # Of so many PUTs the object is stored, and the client is told 500.
    lost_answers: ClassVar[int] = 0

    def do_PUT(self) -> None:
        """Store an object; with If-None-Match only where none is."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        condition = self.headers["If-None-Match"]
        self.put_headers.append(condition)
        # `setdefault` is one step, so that of two threads only one finds the place free.
        if condition == "*" and self.objects.setdefault(self.path, body) is not body:
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self.objects[self.path] = body
        if S3.lost_answers:
            S3.lost_answers -= 1
            return self.answer(500)
        return self.answer(200)

    def do_GET(self) -> None:
        """Answer with an object, or with the list of all."""
        path, _, query = self.path.partition("?")
        if query:
            return self.answer(200, self.listing())
        if path not in self.objects:
            return self.answer(404)
        return self.answer(200, self.objects[path])

    def listing(self) -> bytes:
        """Return the list of all objects as S3 writes it."""
        modified = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        entries = [
            f"<Contents><Key>{key.removeprefix('/bucket/')}</Key><Size>1</Size>{modified}</Contents>"
            for key in self.objects
        ]
        found = "".join(entries)
        return f"<ListBucketResult><Name>bucket</Name>{found}</ListBucketResult>".encode()

    def answer(self, status: int, body: bytes = b"") -> None:
        """Answer with the headers that a client of S3 expects."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write no line for each request."""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start an S3 on loopback, and return the URI of its bucket."""
    S3.objects = {}
    S3.put_headers = []
    S3.lost_answers = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    yield "s3://bucket/state"
    server.shutdown()
    server.server_close()


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


def test_the_files_of_a_log_are_its_audit(tmp_path: Path) -> None:
    """`cat` of the folder gives JSON lines, one event each, whatever a person wrote as a reason."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    log.append(next_draft(log), START_S)
    text = "".join(path.read_text() for path in sorted((tmp_path / FOLDER).iterdir()))
    assert text == lines(log.events)
    assert [json.loads(line)["kind"] for line in text.splitlines()] == ["claimed", "paused"]
    assert json.loads(text.splitlines()[1])["reason"] == REASON


def written(tmp_path: Path) -> Path:
    """Write a log with three events, and return its folder."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    log.append(next_draft(log), START_S)
    log.append(next_draft(log), START_S)
    return tmp_path / FOLDER


def change(path: Path, **fields: Any) -> None:
    """Change some fields of an event's file, as by hand."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def changed(**fields: Any) -> Callable[[Path], object]:
    """Return what changes fields of the second event in a folder."""
    return lambda folder: change(folder / SECOND, **fields)


def cut_off(folder: Path) -> None:
    """Keep only the beginning of the second event."""
    path = folder / SECOND
    path.write_text(path.read_text()[:90])


def twice(folder: Path) -> None:
    """Repeat the third event in the place of the fourth."""
    (folder / FOURTH).write_bytes((folder / THIRD).read_bytes())


# What is done to a folder, and what the error must say.
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (
        lambda folder: (folder / THIRD).write_bytes(b""),
        f"{THIRD}: the file: Invalid JSON: EOF",
    ),
    "cut off": (cut_off, "Invalid JSON"),
    "no UTF-8": (
        lambda folder: (folder / SECOND).write_bytes(b'{"by": "\xff"}'),
        f"{SECOND}: the file: Invalid JSON",
    ),
    "a list": (
        lambda folder: (folder / SECOND).write_text("[]"),
        "the file: Input should be an object",
    ),
    "one is missing": (lambda folder: (folder / SECOND).unlink(), f"{SECOND}: is missing"),
    "the first is missing": (lambda folder: (folder / FIRST).unlink(), f"{FIRST}: is missing"),
    "twice": (twice, "found event and rollout (3, "),
    "of another rollout": (changed(rollout="x"), "(2, 'x'), expected (2, '1.0.0-1.1.0-"),
    "no kind": (changed(kind=1), f"{SECOND}: kind: found 1, expected a word"),
    "text for a number": (changed(epoch="1"), "epoch: Input should be a valid integer"),
    "a time without a zone": (changed(at="2026-01-01T00:00:00"), "at: Input should have"),
    "a share over all": (changed(share=101), f"{SECOND}: share.literal"),
    "NaN": (changed(numbers={"p": math.nan}), "numbers.p: Input should be a finite"),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT)
def test_a_spoilt_log_is_a_clear_error(
    spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    """It names the file and what to do; no part of the log is used, and nobody claims it."""
    folder = written(tmp_path)
    spoil(folder)
    before = sorted(folder.iterdir())
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    for ask in (log.read, lambda: log.claim(claiming, START_S)):
        with pytest.raises(RolloutError, match=re.escape(message)) as caught:
            ask()
        said = str(caught.value)
        assert f"{tmp_path}/{FOLDER}" in said
        assert "move its folder away to begin this rollout again" in said
        assert "until then stable answers" in said
    assert sorted(folder.iterdir()) == before
    assert log.epoch == 0


def test_a_field_of_a_newer_sluice_is_left_out_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a rollback of the code the rollout goes on: such fields have a default."""
    folder = written(tmp_path)
    change(folder / SECOND, weather="fine")
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    assert log.append(next_draft(log), START_S).seq == 5
    assert f"{SECOND}: left out, since they are not known: weather" in caplog.text


def test_behind_a_kind_of_a_newer_sluice_nothing_is_written(tmp_path: Path) -> None:
    """What it means is not known here: the log is read, with the share as it was, and the newer
    code finds it as it left it.
    """
    folder = written(tmp_path)
    change(folder / THIRD, kind="thawed")
    before = (folder / THIRD).read_text()
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    state = fold(log.read())
    assert (state.seq, state.status, state.newer) == (3, "paused", "thawed")
    assert log.events[-1].line() == before
    with pytest.raises(RolloutError, match=f"found 'thawed' in {THIRD}, which a newer Sluice"):
        log.claim(claiming, START_S)
    assert len(list(folder.iterdir())) == 3


def test_what_is_no_event_does_not_disturb(tmp_path: Path) -> None:
    """Backups, unfinished uploads, folders and files of editors are nobody's events."""
    folder = written(tmp_path)
    for name in (
        ".DS_Store",
        "00000000.json",
        "old-00000009.json",
        "00000004.json.bak",
        "00000004.json#1",
        "0004.json",
        "note.txt",
    ):
        (folder / name).write_text("x")
    (folder / "old").mkdir()
    (folder / "old" / "00000009.json").write_text("x")
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    assert len(log.read()) == 3
    assert log.claim(claiming, START_S).seq == 4


def test_a_torn_listing_hides_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is listed while two events are written may show only the later one."""
    written(tmp_path)
    torn = {"objects": [{"path": f"{FOLDER}/00000003.json"}]}
    monkeypatch.setattr(objects_module.obstore, "list_with_delimiter", lambda *_, **__: torn)
    assert [event.seq for event in open_log(str(tmp_path), "churn", "shop", PLAN.id).read()] == [
        1,
        2,
        3,
    ]


def test_a_log_that_shrank_is_noticed(tmp_path: Path) -> None:
    """When the newest event is deleted, a coordinator that knew it does not go on without it."""
    folder = written(tmp_path)
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.read()
    (folder / "00000003.json").unlink()
    with pytest.raises(RolloutError, match="found 2 events, expected 3 or more"):
        log.claim(claiming, START_S)


def test_an_impossible_log_is_not_claimed(tmp_path: Path) -> None:
    """Each file is sound, but the story is not: the claim fails, and the log stays as it is."""
    folder = written(tmp_path)
    change(folder / "00000003.json", kind="finished")
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    with pytest.raises(RolloutError, match=r"found finished .* cannot follow paused"):
        log.claim(claiming, START_S)
    assert len(list(folder.iterdir())) == 3
    assert log.epoch == 0


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


class Away:
    """A store some calls of which fail, after they were carried out or before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails = {"list_with_delimiter", "get", "put"}
        self.carried_out = False
        for name in sorted(self.fails):
            call = self.through(name, getattr(obstore, name))
            monkeypatch.setattr(objects_module.obstore, name, call)

    def through(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that fails when it has to."""

        def answer(objects: ObjectStore, *args: Any, **kwargs: Any) -> Any:
            if name not in self.fails:
                return call(objects, *args, **kwargs)
            if self.carried_out:
                call(objects, *args, **kwargs)
            raise GenericError("the network")

        return answer


@pytest.mark.parametrize("call", ["list_with_delimiter", "get"])
def test_a_store_that_cannot_be_read_is_a_rollout_error(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever failed, the caller sees one type of error, and nothing is claimed."""
    written(tmp_path)
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    away = Away(monkeypatch)
    away.fails = {call}
    for ask in (log.read, lambda: log.claim(claiming, START_S)):
        with pytest.raises(RolloutError, match=r"cannot be (listed|read) \(GenericError\)"):
            ask()
    assert log.epoch == 0


def test_a_write_that_failed_is_tried_again_in_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator lives through a store that is away for a moment."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    away = Away(monkeypatch)
    with pytest.raises(RolloutError, match=r"cannot be written \(GenericError\)"):
        log.append(next_draft(log), START_S)
    away.fails = set()
    assert log.append(next_draft(log), START_S + 1).seq == 2


def test_a_write_that_failed_and_came_through_is_found_and_decided_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store had written before the connection broke: the next attempt learns of it."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    away = Away(monkeypatch)
    away.carried_out = True
    with pytest.raises(RolloutError, match="cannot be written"):
        log.append(next_draft(log), START_S)
    away.fails = set()
    taken = "paused not written, its place was taken; decide again"
    with pytest.raises(RolloutError, match=taken) as caught:
        log.append(next_draft(log), START_S + 1)
    assert not isinstance(caught.value, Fenced), "the writer still holds the log"
    assert fold(log.events).status == "paused"
    assert log.append(next_draft(log), START_S + 2).kind == "resumed"


def test_a_claim_that_failed_gives_no_right_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives none even to a coordinator that held the log before."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    away = Away(monkeypatch)
    with pytest.raises(RolloutError):
        log.claim(claiming, START_S)
    away.fails = set()
    with pytest.raises(Fenced):
        log.append(next_draft(log), START_S)


def test_a_claim_gives_up_when_its_place_is_taken_by_what_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a listing lags behind what the store holds, there is an error and no endless loop."""
    written(tmp_path)
    monkeypatch.setattr(
        objects_module.obstore, "list_with_delimiter", lambda *_, **__: {"objects": []}
    )
    with pytest.raises(RolloutError, match=r"00000001\.json is there, but is not listed"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).claim(claiming, START_S)


@pytest.mark.parametrize("state", ["http://127.0.0.1/state", "ftp://x"])
def test_a_place_that_cannot_hold_a_log_is_refused(state: str) -> None:
    """The error says what would do instead."""
    with pytest.raises(RolloutError, match="expected a folder or one of s3://"):
        open_log(state, "churn", "shop", PLAN.id)


def test_a_folder_that_cannot_be_made_is_a_rollout_error(tmp_path: Path) -> None:
    """A file may be in the way of the state, or of the rollout's folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RolloutError, match="cannot be opened"):
        open_log(str(tmp_path / "file" / "state"), "churn", "shop", PLAN.id)
    (tmp_path / "churn").write_text("")
    with pytest.raises(RolloutError, match="cannot be listed"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).claim(claiming, START_S)


def test_s3_without_an_endpoint_that_answers_is_a_rollout_error_soon(
    monkeypatch: pytest.MonkeyPatch, s3: str
) -> None:
    """Nobody listens there; the client's own patience would be three minutes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RolloutError, match="cannot be listed"):
        open_log(s3, "churn", "shop", PLAN.id).read()


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
