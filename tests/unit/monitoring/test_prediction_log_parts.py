"""Parts: what is written when, what a kill loses, what is dropped, and what is forgotten."""

import gzip
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from logging_server import NOW_S, Disk, LoggingServer, answered

from serve_app.errors import PredictionLogError
from serve_app.models import get_spec
from serve_app.monitoring.log.heard import HeardAnswers
from serve_app.monitoring.log.part import LEAST_AGE_S, lines_of, recover
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.writer import MOST_BYTES, WRITE_EVERY_S
from serve_app.settings import LogOptions

SPEC = get_spec("churn")
ROW = SPEC.examples[0].row.model_dump(mode="json")
DAY_S = 86_400


def one(name: str, **more: Any) -> Any:
    """An answer to one row."""
    return answered(SPEC, [ROW], [0.5], ids=[name], **more)


def test_what_is_written_is_read_at_once_though_its_part_still_grows(tmp_path: Path) -> None:
    """Who tries it on a laptop asks after three predictions, not after five minutes."""
    server = LoggingServer(SPEC, tmp_path)
    server.write(one("a"), one("b"))
    assert server.ids() == ["a", "b"]
    server.write(one("c"))
    assert server.ids() == ["a", "b", "c"]
    server.finish()
    assert server.ids() == ["a", "b", "c"]
    [part] = server.place.parts("churn")
    assert part.key.startswith("churn/app/2026-11-28/20261128T120000Z-")
    # Any program reads it.
    assert gzip.decompress((tmp_path / part.key).read_bytes()).count(b"\n") == 2


def test_rows_in_a_folder_are_for_the_servers_user_alone(tmp_path: Path) -> None:
    """Whatever the umask is: while a part grows, at its day, and where it was left behind."""
    before = os.umask(0o022)
    try:
        log = tmp_path / "log"
        server = LoggingServer(SPEC, log)
        server.write(one("a"))
        assert modes(log) == {0o700, 0o600}
        server.finish()
        server.write(one("b"))
        [draft] = log.rglob("*.open")
        left = draft.with_name(draft.name.replace("000002", "000009"))
        left.write_bytes(draft.read_bytes())
        assert recover(left, time.time() + LEAST_AGE_S + 1)
        left.with_name(left.name.removesuffix(".open")).rename(log / "recovered")
        server.finish()
    finally:
        os.umask(before)
    assert server.ids() == ["a", "b"]
    assert modes(log) == {0o700, 0o600}


def modes(folder: Path) -> set[int]:
    """Those of a folder and of everything below it."""
    return {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_a_part_ends_when_it_is_old_and_the_next_row_begins_another(tmp_path: Path) -> None:
    """So that in an object store nothing is missing for longer."""
    server = LoggingServer(SPEC, tmp_path, part_s=60)
    server.write(one("a"))
    server.write(one("b"), now_s=NOW_S + 59)
    assert len(list(server.place.parts("churn"))) == 1
    server.write(now_s=NOW_S + 60)
    server.write(one("c"), now_s=NOW_S + 61)
    server.finish()
    assert len(list(server.place.parts("churn"))) == 2
    assert server.ids() == ["a", "b", "c"]


def test_a_part_ends_when_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is answered, a part is read into memory by who reads it."""
    assert MOST_BYTES == 16 * 1024**2
    monkeypatch.setattr("serve_app.monitoring.log.writer.MOST_BYTES", 1_000)
    server = LoggingServer(SPEC, tmp_path)
    for i in range(40):
        server.write(one(os.urandom(16).hex() + str(i)))
    server.finish()
    assert len(list(server.place.parts("churn"))) > 1
    assert len(server.ids()) == 40


def test_nothing_is_written_and_no_file_is_there_while_nobody_asks(tmp_path: Path) -> None:
    """An idle server makes no parts."""
    server = LoggingServer(SPEC, tmp_path)
    for second in range(1_000):
        server.write(now_s=NOW_S + second)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_nobody_answered_is_no_row_of_the_log(tmp_path: Path) -> None:
    """It has no id, and the server's log has the reason."""
    server = LoggingServer(SPEC, tmp_path)
    failed = one("a")
    failed.ids = ()
    failed.block = None
    server.write(failed)
    assert server.ids() == []


def test_a_queue_that_is_full_drops_and_counts_and_takes_again_when_it_is_read() -> None:
    """Memory is bounded by rows: a disk that hangs costs rows of the log, and no request."""
    answers = HeardAnswers("churn", most_rows=100)
    for i in range(1_000):
        answers.heard(answered(SPEC, [ROW, ROW], [0.5, 0.5], ids=[f"{i}-0", f"{i}-1"]))
    assert answers.n_dropped == 2_000 - 100
    assert sum(len(entry.ids) for entry in answers.taken()) == 100
    answers.heard(one("again"))
    assert [entry.ids for entry in answers.taken()] == [("again",)]
    assert answers.n_heard == 101


GIB = 1024**3


@pytest.mark.parametrize(
    "disk", [Disk(total=100 * GIB, free=GIB - 1), Disk(total=512 * 1024**2, free=127 * 1024**2)]
)
def test_a_full_disk_costs_rows_of_the_log_which_are_counted(tmp_path: Path, disk: Disk) -> None:
    """The log leaves a gigabyte to others, or a quarter of a disk that is small itself."""
    server = LoggingServer(SPEC, tmp_path, disk=disk)
    server.write(one("a"), one("b"))
    assert server.log.n_dropped == 2
    assert server.log.n_written == 0
    assert server.ids() == []


@pytest.mark.parametrize(
    "disk", [Disk(total=100 * GIB, free=GIB), Disk(total=512 * 1024**2, free=500 * 1024**2)]
)
def test_a_disk_that_is_small_but_not_full_keeps_rows(tmp_path: Path, disk: Disk) -> None:
    """The documented container has /tmp of 512 MB, which never has a gigabyte free."""
    server = LoggingServer(SPEC, tmp_path, disk=disk)
    server.write(one("a"), one("b"))
    assert server.ids() == ["a", "b"]
    assert server.log.n_dropped == 0


def test_a_folder_that_cannot_be_written_costs_rows_and_no_answer(tmp_path: Path) -> None:
    """The file in its place is told in the server's log."""
    (tmp_path / "churn").write_text("not a folder")
    server = LoggingServer(SPEC, tmp_path)
    server.write(one("a"))
    assert (server.log.n_written, server.log.n_dropped) == (0, 1)
    (tmp_path / "churn").unlink()
    server.write(one("b"))
    assert server.ids() == ["b"]


def test_days_that_are_too_old_are_forgotten_and_others_stay(tmp_path: Path) -> None:
    """By the day in UTC, of one application alone."""
    server = LoggingServer(SPEC, tmp_path, keep_days=3)
    for days in range(6):
        server.write(one(f"day {days}"), now_s=NOW_S + days * DAY_S)
        server.finish()
    server.keeper.look(NOW_S + 5 * DAY_S)
    assert server.ids() == ["day 2", "day 3", "day 4", "day 5"]
    other = LoggingServer(SPEC, tmp_path / "other", keep_days=3)
    other.write(one("kept"))
    other.finish()
    server.keeper.look(NOW_S + 5 * DAY_S)
    assert other.ids() == ["kept"]


def test_rows_of_an_application_that_is_gone_stay_until_a_person_deletes_its_folder(
    tmp_path: Path,
) -> None:
    """Another one of the same model leaves them alone, however old they are."""
    gone = LoggingServer(SPEC, tmp_path, application="old name", keep_days=1)
    gone.write(one("old"))
    gone.finish()
    renamed = LoggingServer(SPEC, tmp_path, application="new name", keep_days=1)
    renamed.write(one("new"))
    renamed.finish()
    renamed.keeper.look(NOW_S + 10 * DAY_S)
    assert renamed.ids() == ["old"]
    shutil.rmtree(tmp_path / "churn" / "old name")
    assert renamed.ids() == []


def test_with_a_share_of_nothing_old_days_still_end(tmp_path: Path) -> None:
    """Which taking the log away would not do."""
    server = LoggingServer(SPEC, tmp_path, keep_days=3)
    server.write(one("old"))
    server.finish()
    server.options = LogOptions(keep_days=3, sample_percent=0)
    server.write(one("not kept"), now_s=NOW_S + 5 * DAY_S)
    server.keeper.look(NOW_S + 5 * DAY_S)
    assert server.ids() == []


def test_a_place_that_is_none_is_refused_and_one_that_is_away_is_not(tmp_path: Path) -> None:
    """A typing error is told at the start; a disk that is read-only must not keep a server down."""
    with pytest.raises(PredictionLogError, match="expected a folder or one of s3://"):
        LogPlace("ftp://here")
    (tmp_path / "file").write_text("")
    place = LogPlace(str(tmp_path / "file"))
    with pytest.raises(PredictionLogError, match="file"):
        list(place.parts("churn"))


def test_to_look_for_a_log_that_is_not_there_makes_none(tmp_path: Path) -> None:
    """A typing error in a command leaves no folder behind."""
    assert list(LogPlace(str(tmp_path / "typo")).parts("churn")) == []
    assert list(tmp_path.iterdir()) == []


def test_of_a_part_that_ends_anywhere_all_whole_lines_are_read(tmp_path: Path) -> None:
    """Wherever a process was killed, and whatever the disk made of the end."""
    server = LoggingServer(SPEC, tmp_path)
    sizes = []
    for i in range(5):
        server.write(one(str(i)))
        [draft] = server.spool.iterdir()
        sizes.append(draft.stat().st_size)
    data = draft.read_bytes()
    for end in range(len(data) + 1):
        n_whole = sum(size <= end for size in sizes)
        n_read = len(list(lines_of(data[:end])))
        # The last few bytes of a write only mark its end.
        assert n_whole <= n_read <= n_whole + 1
    whole = list(lines_of(data))
    damaged = list(lines_of(data + b"\0" * 1_000))
    assert damaged == whole[: len(damaged)]


def test_a_line_that_is_larger_than_a_step_is_read_whole() -> None:
    """What is unpacked a step at a time is put together again."""
    lines = [b"a" * 1_000_000, b"b" * 3, b"", b"c" * 200_000]
    data = gzip.compress(b"".join(line + b"\n" for line in lines), 1)
    assert list(lines_of(data)) == lines


def test_a_kill_loses_at_most_the_rows_of_the_last_second(tmp_path: Path) -> None:
    """Every row is written within a second, and what is written a kill cannot take away.

    A process that is killed in the middle leaves a part, which the next server finishes.
    """
    assert WRITE_EVERY_S < 1
    support = Path(__file__).parents[2] / "support"
    paths = os.pathsep.join([str(support), str(support.parents[1])])
    after = LoggingServer(SPEC, tmp_path)
    with subprocess.Popen(
        [sys.executable, str(support / "logs_until_killed.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout is not None
        try:
            n_written = 0
            # In the middle of a part that has been written to more than once.
            while n_written < 300:
                n_written = int(process.stdout.readline().split()[1])
        finally:
            process.send_signal(signal.SIGKILL)
        told = [line.split() for line in process.stdout.read().splitlines()]
    n_written = max([n_written, *(int(words[1]) for words in told if len(words) == 2)])
    found = [int(name) for name in after.ids()]
    assert len(found) >= n_written
    assert found == list(range(len(found))), "no row is missing in between, and none stands twice"
    [draft] = after.spool.iterdir()
    after.keeper.look(time.time())
    assert draft.exists(), "one that was just written may have a process that has not locked it"
    after.keeper.look(time.time() + LEAST_AGE_S + 1)
    assert not draft.exists()
    [part] = after.place.parts("churn")
    assert not part.is_open
    assert [int(name) for name in after.ids()] == found


def test_a_part_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    """However long it was silent: its lock is what says that it lives."""
    writing = LoggingServer(SPEC, tmp_path)
    writing.write(one("a"))
    other = LoggingServer(SPEC, tmp_path)
    other.keeper.look(time.time() + 10 * DAY_S)
    [draft] = writing.spool.iterdir()
    writing.write(one("b"))
    assert draft.exists()
    writing.finish()
    assert writing.ids() == ["a", "b"]


def test_what_waits_is_written_and_put_to_its_place_when_a_server_ends(tmp_path: Path) -> None:
    """A replica that goes leaves nothing behind but whole parts."""
    server = LoggingServer(SPEC, tmp_path)
    server.log.start()
    for i in range(10):
        server.answers.heard(one(str(i)))
    server.log.close()
    assert server.ids() == [str(i) for i in range(10)]
    assert [part.is_open for part in server.place.parts("churn")] == [False]
    assert list(server.spool.iterdir()) == []


def test_without_a_table_nothing_is_written_since_nobody_knows_what_is_left_out(
    tmp_path: Path,
) -> None:
    """What was heard waits until a table says so."""
    server = LoggingServer(SPEC, tmp_path, leave_out=["nps_score"])
    options = server.options
    server.options = None
    server.write(one("a"))
    assert server.ids() == []
    server.options = options
    server.write()
    [line] = server.lines()
    assert "nps_score" not in line.features
