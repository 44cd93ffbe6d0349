"""Stores: which URIs are none, and what is left in a folder when a version could not be written."""

import errno
from pathlib import Path

import pytest

from serve_app.bundle.manifest import MANIFEST
from serve_app.bundle.store import FolderStore
from serve_app.bundle.stores import open_store
from serve_app.errors import BundleError


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
