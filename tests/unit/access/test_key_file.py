"""The key file on disk: followed as Kubernetes and editors change it, and written in one step."""

import asyncio
import logging
import os
import stat
import threading
from pathlib import Path

import pytest
from fakes import until
from keyring import NOW_S, entry, key_of, write_keys

from serve_app.access.key_file import (
    MAX_KB,
    FollowedKeys,
    alone_in,
    read_key_file,
    write_key_file,
)
from serve_app.access.keys import KeyFile, file_text
from serve_app.errors import SettingsError

A = entry("a", "predict")
B = entry("b", "predict")


def is_known(followed: FollowedKeys, id_: str) -> bool:
    """Whether a key is let in now."""
    return followed.keys.caller(key_of(id_).encode(), NOW_S) is not None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the key of a."""
    return write_keys(tmp_path / "keys.yaml", A)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory); expected a key file, as"),
        (b"keys: [", "line 1 is no YAML"),
        (b"keys: [{id: a}]", "entry 1 (a): secret_sha256: missing"),
        (b"keys: []\n#\xff", "expected text in UTF-8"),
        (b"#" * (MAX_KB * 1024 + 1), f"found more than {MAX_KB} KB"),
    ],
)
def test_a_first_file_that_is_broken_is_refused_with_its_path(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    """A replica that cannot ask for keys must not start, as with a first table."""
    path = tmp_path / "keys.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        FollowedKeys(path)
    assert f"{path}: {said}" in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """What Docker makes of a mount whose source is not there."""
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)"):
        FollowedKeys(tmp_path)


def test_a_key_that_is_added_or_revoked_counts_from_the_next_look_on(path: Path) -> None:
    """Without a new process, and without a word to it."""
    followed = FollowedKeys(path)
    write_keys(path, A, B)
    assert not is_known(followed, "b"), "it has not looked yet"
    followed.look()
    assert is_known(followed, "a")
    assert is_known(followed, "b")
    write_keys(path, B)
    followed.look()
    assert not is_known(followed, "a")


def test_a_secret_of_kubernetes_is_followed_through_its_link(tmp_path: Path) -> None:
    """The kubelet swaps the link `..data`; the path that is read stays a link to a link."""
    for name, one in (("1", A), ("2", B)):
        (tmp_path / name).mkdir()
        write_keys(tmp_path / name / "keys.yaml", one)
    data = tmp_path / "..data"
    data.symlink_to("1")
    (tmp_path / "keys.yaml").symlink_to("..data/keys.yaml")
    followed = FollowedKeys(tmp_path / "keys.yaml")
    assert is_known(followed, "a")
    swapped = tmp_path / "..data_tmp"
    swapped.symlink_to("2")
    swapped.replace(data)
    followed.look()
    assert not is_known(followed, "a")
    assert is_known(followed, "b")


def test_another_text_of_the_same_length_and_time_is_seen(path: Path) -> None:
    """An editor may write in place, and a copy may keep times."""
    followed = FollowedKeys(path)
    before = path.stat()
    path.write_text(file_text(KeyFile(keys=(B,))))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    followed.look()
    assert is_known(followed, "b")


def test_a_broken_file_keeps_the_old_keys_and_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and in `error`, until a good file is there; the old keys are asked meanwhile."""
    caplog.set_level(logging.INFO, "serve_app")
    followed = FollowedKeys(path)
    path.write_text("keys: [{id: b}]")
    for _ in range(3):
        followed.look()
    assert is_known(followed, "a")
    assert followed.error == f"{path}: entry 1 (b): secret_sha256: missing; expected 64 " + (
        "hexadecimal digits, as `sluice keys add` writes them"
    )
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "the last good keys stay" in record.getMessage()
    write_keys(path, B)
    followed.look()
    assert followed.error is None
    assert is_known(followed, "b")
    assert "1 keys" in caplog.records[-1].getMessage()


def test_a_file_that_goes_and_comes_back_is_well_again(path: Path) -> None:
    """The keys stay while it is away, and the same text again is no error."""
    followed = FollowedKeys(path)
    away = path.rename(path.with_name("away"))
    followed.look()
    assert followed.error is not None
    assert "No such file or directory" in followed.error
    assert is_known(followed, "a")
    away.rename(path)
    followed.look()
    assert followed.error is None


async def test_the_file_is_looked_at_again_and_again_outside_of_the_loop(path: Path) -> None:
    """A disk that hangs would otherwise hold up every answer."""
    threads: list[int] = []

    class Watched(FollowedKeys):
        def look(self) -> None:
            threads.append(threading.get_ident())
            super().look()

    followed = Watched(path)
    task = asyncio.create_task(followed.look_forever(every_s=0.001))
    write_keys(path, A, B)
    await until(lambda: is_known(followed, "b"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert threading.get_ident() not in threads


def test_a_file_is_written_for_its_owner_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    """Hashes of long random secrets tell nobody anything, but nobody else may add one."""
    path = tmp_path / "keys.yaml"
    write_key_file(path, KeyFile(keys=(A,)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path) == KeyFile(keys=(A,))
    assert [one.name for one in tmp_path.iterdir()] == ["keys.yaml"]


@pytest.mark.parametrize(("before", "after"), [(0o640, 0o640), (0o400, 0o400), (0o666, 0o664)])
def test_whoever_could_read_a_file_can_read_the_one_in_its_place(
    path: Path, before: int, after: int
) -> None:
    """A server that cannot read it any more would go on with a key that was revoked."""
    path.chmod(before)
    write_key_file(path, KeyFile(keys=(B,)))
    assert stat.S_IMODE(path.stat().st_mode) == after
    assert read_key_file(path).keys == (B,)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to others")
def test_a_file_of_the_servers_user_stays_its_own(path: Path) -> None:
    """Root revokes a key of a server that runs as somebody else."""
    os.chown(path, 10_001, 10_002)
    write_key_file(path, KeyFile(keys=(B,)))
    assert (path.stat().st_uid, path.stat().st_gid) == (10_001, 10_002)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_stay_its_owners_is_left_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that looks revoked and is not would be worse than an error."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(SettingsError, match=r"belongs to user \d+.*by that user, or by root"):
        write_key_file(path, KeyFile(keys=(B,)))
    assert read_key_file(path).keys == (A,)
    assert [one.name for one in path.parent.iterdir()] == ["keys.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file may lie on another volume, and be linked to from where servers look."""
    (tmp_path / "volume").mkdir()
    link = tmp_path / "keys.yaml"
    link.symlink_to("volume/keys.yaml")
    write_key_file(link, KeyFile(keys=(A,)))
    assert link.is_symlink()
    assert read_key_file(tmp_path / "volume/keys.yaml").keys == (A,)


def test_a_write_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk must not end with half a list of keys."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match=r"cannot be written \(No space left on device\)"):
        write_key_file(path, KeyFile(keys=(B,)))
    assert read_key_file(path).keys == (A,)
    assert [one.name for one in path.parent.iterdir()] == ["keys.yaml"]


def test_a_second_command_waits_for_the_first(tmp_path: Path) -> None:
    """Two people add a key at the same time, and both are there afterwards."""
    order: list[str] = []
    is_inside = threading.Event()

    def second() -> None:
        is_inside.wait()
        with alone_in(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with alone_in(tmp_path):
        is_inside.set()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """It is not made: the file would lie where no server looks."""
    with (
        pytest.raises(SettingsError, match="cannot be opened"),
        alone_in(tmp_path / "nowhere"),
    ):
        pass
