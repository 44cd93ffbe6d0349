"""The cache of a node trusts no folder that another user can change."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checking import manifest_of

from serve_app.bundle.cache import NodeCache
from serve_app.bundle.manifest import MANIFEST, File, sha256_of
from serve_app.bundle.store import FolderStore
from serve_app.errors import BundleUnavailable

OWN = 1_000
STRANGER = 2_000
MODEL = b"a model"
FILES = {"model.onnx": File(sha256=sha256_of(MODEL), size_bytes=len(MODEL))}
BUNDLE = {MANIFEST: manifest_of("churn", "1.0.0", files=FILES), "model.onnx": MODEL}


def cache_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: int, inside: int
) -> NodeCache:
    """A cache whose folders belong to these users, as this user finds them."""
    remote = FolderStore(tmp_path / "store")
    remote.write("churn", "1.0.0", BUNDLE)
    folder = tmp_path / "cache"

    def lstat(path: Path) -> Any:
        return SimpleNamespace(st_uid=around if path == folder else inside)

    monkeypatch.setattr("os.getuid", lambda: OWN)
    monkeypatch.setattr(Path, "lstat", lstat)
    return NodeCache(remote, folder)


@pytest.mark.parametrize(("around", "inside"), [(STRANGER, OWN), (OWN, STRANGER), (OWN, 0)])
def test_a_folder_of_another_user_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: int, inside: int
) -> None:
    """Who owns the folder around can put another in its place: below /tmp anybody was there first.

    The bundle is not to blame, so that no rollout ends by it.
    """
    with pytest.raises(BundleUnavailable, match=r"belongs to user \d+; .*CACHE_PATH"):
        cache_of(tmp_path, monkeypatch, around, inside).read("churn", "1.0.0", MANIFEST)
    assert not list((tmp_path / "cache").rglob(MANIFEST))


@pytest.mark.parametrize("around", [OWN, 0])
def test_a_volume_that_is_mounted_for_this_user_is_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: int
) -> None:
    """Its folder is root's, and what is in it one's own."""
    cache = cache_of(tmp_path, monkeypatch, around, OWN)
    assert cache.read("churn", "1.0.0", "model.onnx") == MODEL
