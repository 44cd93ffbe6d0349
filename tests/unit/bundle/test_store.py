"""Stores: which URIs are none, and what is left in a folder when a version could not be written."""

import errno
import os
from pathlib import Path

import pytest
from checking import manifest_of

from serve_app.bundle.manifest import MANIFEST, SIGNATURE, File, sha256_of
from serve_app.bundle.store import FolderStore
from serve_app.bundle.stores import open_store
from serve_app.bundle.verified import read_manifest, read_verified
from serve_app.errors import BundleError, BundleUnavailable


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From now on folders can be made, and files cannot be written."""

    def write_bytes(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    return monkeypatch


def test_a_full_disk_leaves_nothing_of_a_model_s_first_version(
    tmp_path: Path, full_disk: pytest.MonkeyPatch
) -> None:
    """Neither half a bundle nor an empty folder that looks like a model; afterwards the same
    version can be written.
    """
    store = FolderStore(tmp_path)
    with pytest.raises(
        BundleError, match=r"churn/1\.0\.0: cannot be written \(No space left on device\)"
    ):
        store.write("churn", "1.0.0", {MANIFEST: b"{}"})
    assert list(tmp_path.iterdir()) == []
    full_disk.undo()
    store.write("churn", "1.0.0", {MANIFEST: b"{}"})
    assert store.versions("churn") == ["1.0.0"]


def test_a_full_disk_takes_nothing_that_was_there(
    tmp_path: Path, full_disk: pytest.MonkeyPatch
) -> None:
    """A folder that somebody else made stays, with or without versions in it."""
    store = FolderStore(tmp_path)
    (tmp_path / "churn" / "1.0.0").mkdir(parents=True)
    (tmp_path / "delivery_time").mkdir()
    for model in ("churn", "delivery_time"):
        with pytest.raises(BundleError, match="No space left on device"):
            store.write(model, "1.1.0", {MANIFEST: b"{}"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["churn", "delivery_time"]
    assert [path.name for path in (tmp_path / "churn").iterdir()] == ["1.0.0"]


def test_a_manifest_of_more_than_8_mb_is_refused_and_not_read(tmp_path: Path) -> None:
    """To parse it would hold up a server; one of two thousand fields has room."""
    store = FolderStore(tmp_path)
    long = manifest_of("churn", "1.0.0", notes=["n"] * 2_500_000)
    store.write("churn", "1.0.0", {MANIFEST: long})
    with pytest.raises(BundleError, match=f"expected 8388608 bytes or fewer, found {len(long)}"):
        read_manifest(store, "churn", "1.0.0")


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("s3://", "cannot be used .Generic URL error"),
        ("s3:// /", "cannot be used .invalid domain character"),
        ("ftp://host/store", "expected a folder or one of s3://, gs://, az://"),
    ],
)
def test_a_uri_that_is_no_store_is_refused(
    monkeypatch: pytest.MonkeyPatch, uri: str, hint: str
) -> None:
    """One kind of error, whatever the client of an object store raises."""
    monkeypatch.delenv("MODEL_PATH", raising=False)
    with pytest.raises(BundleError, match=f"^store: .*{hint}"):
        open_store(uri)


@pytest.mark.parametrize("level", ["around", "store", "churn", "1.0.0", MANIFEST])
def test_a_folder_store_that_others_can_change_is_told_from_one_that_they_cannot(
    tmp_path: Path, level: str
) -> None:
    """Whoever may write there decides what runs, whichever level it is."""
    store = FolderStore(tmp_path / "around" / "store")
    store.write("churn", "1.0.0", {MANIFEST: b"{}"})
    assert store.doubt("churn", "1.0.0") == ""
    [path] = [found for found in tmp_path.rglob("*") if found.name == level]
    path.chmod(path.stat().st_mode | 0o002)
    said = store.doubt("churn", "1.0.0")
    assert f"{path}: others may write there" in said
    path.chmod(path.stat().st_mode & ~0o002)
    if os.getuid() == 0:
        os.chown(path, 12_345, -1)
        assert f"{path}: belongs to user 12345" in store.doubt("churn", "1.0.0")


def test_a_version_that_cannot_be_looked_at_is_not_taken_for_one_s_own(tmp_path: Path) -> None:
    """A version may go while it is looked at."""
    assert "cannot be looked at" in FolderStore(tmp_path).doubt("churn", "1.0.0")


MODEL = b"a model"
SPARSE_BYTES = 6_000_000_000


def store_of_one(folder: Path) -> FolderStore:
    """A store with a version whose model has seven bytes."""
    files = {"model.onnx": File(sha256=sha256_of(MODEL), size_bytes=len(MODEL))}
    store = FolderStore(folder)
    manifest = manifest_of("churn", "1.0.0", files=files)
    store.write("churn", "1.0.0", {MANIFEST: manifest, "model.onnx": MODEL})
    return store


@pytest.mark.parametrize("file", [MANIFEST, "model.onnx", SIGNATURE])
def test_a_file_of_six_gigabytes_is_refused_by_its_size(tmp_path: Path, file: str) -> None:
    """It takes no room on a disk where it is sparse, and all of the memory when it is read."""
    store = store_of_one(tmp_path)
    manifest, _ = read_manifest(store, "churn", "1.0.0")
    path = tmp_path / "churn" / "1.0.0" / file
    path.touch()
    os.truncate(path, SPARSE_BYTES)
    with pytest.raises(
        BundleError, match=rf"{file}: expected \d+ bytes or fewer, found {SPARSE_BYTES}: replaced"
    ):
        if file == "model.onnx":
            read_verified(store, manifest, file)
        else:
            read_manifest(store, "churn", "1.0.0", public_keys=["any"])


def test_a_machine_without_memory_for_a_model_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is not to blame: it is asked for again."""
    store = store_of_one(tmp_path)
    manifest, _ = read_manifest(store, "churn", "1.0.0")

    def read(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(FolderStore, "read", read)
    with pytest.raises(BundleUnavailable, match=r"model\.onnx: no memory for its 7 bytes"):
        read_verified(store, manifest, "model.onnx")
