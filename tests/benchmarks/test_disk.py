"""What grew between two looks at a folder, and an idle server that hardly writes."""

import os
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import disk
from benchmarks.disk import Growth, Look, grown, markdown, sizes


def test_bytes_that_were_added_are_told_by_file_and_for_an_hour(tmp_path: Path) -> None:
    """New files count whole; a link to a log counts once."""
    logs = tmp_path / "session" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_bytes(b"x" * 1_000)
    (logs / "quiet.log").write_bytes(b"x" * 500)
    (tmp_path / "session_latest").symlink_to(tmp_path / "session")
    os.mkfifo(tmp_path / "socket")
    first = sizes(tmp_path)
    (logs / "raylet.out").write_bytes(b"x" * 4_000)
    (logs / "new.log").write_bytes(b"x" * 10_000)
    last = sizes(tmp_path)
    assert grown(first, last) == {"session/logs/new.log": 10_000, "session/logs/raylet.out": 3_000}
    looks = (Look(0.0, sum(first.values())), Look(360.0, sum(last.values())))
    found = Growth(looks, grown(first, last), last)
    assert found.n_bytes == 13_000
    assert found.bytes_an_hour == pytest.approx(130_000)
    text = markdown(found)
    assert "13.0 KB more, which makes 0.13 MB an hour" in text
    assert text.index("new.log") < text.index("raylet.out")


def test_a_log_that_is_rotated_away_takes_no_room(tmp_path: Path) -> None:
    """What counts is the room, and not what was written meanwhile."""
    (tmp_path / "a.log").write_bytes(b"x" * 900)
    first = sizes(tmp_path)
    (tmp_path / "a.log").write_bytes(b"x" * 100)
    looks = (Look(0.0, 900), Look(60.0, sum(sizes(tmp_path).values())))
    found = Growth(looks, grown(first, sizes(tmp_path)), sizes(tmp_path))
    assert found.n_bytes == -800
    assert found.files == {}


def test_sockets_of_haproxy_fit_below_the_folder_for_temporary_files() -> None:
    """With a longer path HAProxy does not start, and nothing is measured."""
    with disk.short_folder() as folder:
        # As `tempfile` names the folder of `sluice up`, and Ray a node.
        socket = folder / "sluice-12345678" / ("0" * 56) / "metrics.sock"
        assert len(str(socket)) <= 97
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "file").write_text("x")
        found = disk.all_sizes({"tmp": folder})
    assert found == {"tmp/file": 1}
    assert not folder.exists()


@pytest.mark.real_time
def test_an_idle_server_hardly_writes(tmp_path: Path, trained_store: object) -> None:
    """A minute and a half: with Ray's statistics of its event loops it is 200 KB and more."""
    found = disk.run(tmp_path, Console(quiet=True), disk.SHORT)
    assert found.n_bytes < 100_000, (tmp_path / "disk.md").read_text()
    # Of Ray, of HAProxy, and of `sluice up`: what is looked at is all that there is.
    names = {path.rpartition("/")[2] for path in found.there}
    assert {"raylet.out", "haproxy.cfg", "serve_config.yaml"} <= names
    assert any(path.startswith("tmp/sluice-") for path in found.there)
