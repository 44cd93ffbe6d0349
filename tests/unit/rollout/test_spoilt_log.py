"""A log that somebody has touched, or that a newer Sluice wrote, is not gone on with blindly."""

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rolling import PLAN, START_S
from rolling_log import FIRST, FOLDER, FOURTH, SECOND, THIRD, claiming, next_draft, written

from serve_app.bundle import objects as objects_module
from serve_app.errors import RolloutError
from serve_app.rollout.log import open_log
from serve_app.rollout.state import fold


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
        "٠٠٠٠٠٠٠٤.json",
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


def test_a_log_of_more_events_than_a_rollout_can_have_is_not_read(tmp_path: Path) -> None:
    """A store that somebody fills takes neither the memory nor the time of a coordinator."""
    folder = written(tmp_path)
    (folder / "00010001.json").write_text("{}")
    with pytest.raises(RolloutError, match=r"found 10001 events, expected 10000 or fewer"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).read()


def test_an_event_is_no_larger_than_an_event_can_be(tmp_path: Path) -> None:
    """It is refused by its size, before it is read."""
    folder = written(tmp_path)
    os.truncate(folder / SECOND, 6_000_000_000)
    with pytest.raises(RolloutError, match=rf"{SECOND}: found 6000000000 bytes, expected 65536 or"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).read()


def test_a_long_log_is_read_whole_and_in_order(tmp_path: Path) -> None:
    """Several files are fetched at once: the order stays, and the first fault is the one said."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    for _ in range(40):
        log.append(next_draft(log), START_S)
    assert open_log(str(tmp_path), "churn", "shop", PLAN.id).read() == log.events
    (tmp_path / FOLDER / "00000020.json").unlink()
    (tmp_path / FOLDER / "00000030.json").unlink()
    with pytest.raises(RolloutError, match=r"00000020\.json: is missing"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).read()
