"""Whoever reads that a process of Ray has ended reads what it wrote last, too."""

import os
from pathlib import Path

import pytest

from serve_app.commands import vital
from serve_app.commands.ray_logs import MAX_LENGTH, last_lines, ray_logs
from serve_app.commands.vital import Vital


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Ray that has a temporary folder of its own."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    folder = tmp_path / "ray/session_latest/logs"
    folder.mkdir(parents=True)
    return folder


def test_the_folder_is_that_of_the_ray_that_was_started(logs: Path) -> None:
    """A path that is not there helps nobody at night."""
    assert ray_logs() == logs


def test_the_last_lines_are_told_and_nothing_that_steers_a_terminal(logs: Path) -> None:
    """The error output before the log, a few lines, each of bounded length."""
    assert last_lines("raylet") == []
    (logs / "raylet.out").write_text("\n".join(f"line {n}" for n in range(9)) + "\n\n")
    (logs / "raylet.err").write_text("\n")
    assert last_lines("raylet") == ["line 6", "line 7", "line 8"]
    (logs / "raylet.err").write_bytes(b"\x1b[31mlost the GCS\xff " + b"x" * 1_000)
    (said,) = last_lines("raylet")
    assert said.startswith(" [31mlost the GCS")
    assert len(said) == MAX_LENGTH


def test_the_sentence_about_a_process_that_has_ended_ends_with_its_own_words(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why it ended is nowhere else once the logs are gone."""
    (logs / "raylet.out").write_text("the agent failed\n")
    monkeypatch.setattr(vital, "is_alive", lambda _: False)
    said = Vital(os.getpid(), {"raylet": 1, "gcs_server": 2}).lost()
    assert said is not None
    assert f"read its logs below {logs}" in said
    assert said.endswith("they end with\n  the agent failed")
