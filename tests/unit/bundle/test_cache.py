"""The cache of a node trusts no folder that another user can change."""

import errno
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checking import manifest_of

from serve_app.bundle.cache import NodeCache
from serve_app.bundle.manifest import MANIFEST, File, sha256_of
from serve_app.bundle.ownership import levels
from serve_app.bundle.store import FolderStore
from serve_app.errors import BundleUnavailable, NoRoom

OWN = 1_000
STRANGER = 2_000
ROOT = 0
MODEL = b"a model"
FILES = {"model.onnx": File(sha256=sha256_of(MODEL), size_bytes=len(MODEL))}
BUNDLE = {MANIFEST: manifest_of("churn", "1.0.0", files=FILES), "model.onnx": MODEL}

Owners = dict[str, tuple[int, int]]


def found_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owners: Owners) -> None:
    """Let levels below `tmp_path` have these users and modes, by their names.

    All others there are this user's own, for its eyes alone; those above are root's.
    """
    real = Path.lstat

    def lstat(path: Path) -> Any:
        found = real(path)
        if path.name in owners:
            owner, mode = owners[path.name]
        elif tmp_path in path.parents:
            owner, mode = OWN, 0o700
        else:
            owner, mode = ROOT, 0o755
        return SimpleNamespace(
            st_uid=owner, st_gid=owner, st_mode=stat.S_IFMT(found.st_mode) | mode
        )

    monkeypatch.setattr("os.getuid", lambda: OWN)
    monkeypatch.setattr(Path, "lstat", lstat)


def cache_in(tmp_path: Path, folder: str = "around/cache") -> NodeCache:
    """A cache in this folder, before a store that has a version."""
    remote = FolderStore(tmp_path / "store")
    remote.write("churn", "1.0.0", BUNDLE)
    return NodeCache(remote, tmp_path / folder)


def place_of(tmp_path: Path) -> str:
    """The name of the store's folder in a cache, as the first use of one makes it."""
    cache_in(tmp_path).read("churn", "1.0.0", MANIFEST)
    [place] = (tmp_path / "around/cache").iterdir()
    for path in place.rglob(MANIFEST):
        path.unlink()
    (tmp_path / "store").rename(tmp_path / "store before")
    return place.name


@pytest.mark.parametrize("level", ["around", "cache", "place", "churn"])
@pytest.mark.parametrize(
    ("owner", "mode", "why"),
    [
        (STRANGER, 0o700, "belongs to user 2000"),
        (OWN, 0o702, "others may write there .mode 0702"),
        (OWN, 0o770, "others may write there .mode 0770"),
    ],
)
def test_a_level_of_the_way_that_others_can_change_makes_it_no_cache(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    owner: int,
    mode: int,
    why: str,
) -> None:
    """Who may write in a folder can put another in the place of what lies in it.

    The bundle is not to blame, so that no rollout ends by it.
    """
    place = place_of(tmp_path)
    name = place if level == "place" else level
    found_as(monkeypatch, tmp_path, {name: (owner, mode)})
    if mode == 0o770:
        # The group of the user's own number is the user; this one is another.
        lstat = Path.lstat

        def in_a_group(path: Path) -> Any:
            found = lstat(path)
            return SimpleNamespace(**{**vars(found), "st_gid": STRANGER})

        monkeypatch.setattr(Path, "lstat", in_a_group)
    with pytest.raises(BundleUnavailable, match=f"{name}: {why}.*CACHE_PATH"):
        cache_in(tmp_path).read("churn", "1.0.0", MANIFEST)
    assert not list((tmp_path / "around").rglob(MANIFEST))


def test_nothing_is_made_behind_a_link_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of root would write where another user has led it."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to("theirs")
    found_as(monkeypatch, tmp_path, {"link": (STRANGER, 0o777)})
    with pytest.raises(BundleUnavailable, match="link: belongs to user 2000"):
        cache_in(tmp_path, "link/cache").read("churn", "1.0.0", MANIFEST)
    assert not list((tmp_path / "theirs").iterdir())


def test_a_link_of_one_s_own_into_the_folder_of_another_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a link leads to is looked at like any other level."""
    (tmp_path / "theirs" / "cache").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    found_as(monkeypatch, tmp_path, {"theirs": (STRANGER, 0o755)})
    with pytest.raises(BundleUnavailable, match="theirs: belongs to user 2000"):
        cache_in(tmp_path, "link/cache").read("churn", "1.0.0", MANIFEST)
    assert not list((tmp_path / "theirs" / "cache").iterdir())


def test_the_place_of_a_store_in_the_cache_is_no_link(tmp_path: Path) -> None:
    """Nobody but a replica makes this folder, and that makes no links."""
    place = tmp_path / "around/cache" / place_of(tmp_path)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleUnavailable, match="is a link; expected the folder"):
        cache_in(tmp_path).read("churn", "1.0.0", MANIFEST)


@pytest.mark.parametrize(
    ("owners", "is_mounted"),
    [
        ({}, False),
        ({"cache": (ROOT, 0o755)}, False),
        ({"around": (ROOT, 0o1777)}, False),
        ({"around": (ROOT, 0o2777)}, True),
    ],
)
def test_a_folder_that_root_has_given_is_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owners: Owners, is_mounted: bool
) -> None:
    """As /tmp is, or a volume: that of an `emptyDir` may be written by all who see it."""
    found_as(monkeypatch, tmp_path, owners)
    monkeypatch.setattr(Path, "is_mount", lambda path: is_mounted and path.name == "around")
    assert cache_in(tmp_path).read("churn", "1.0.0", "model.onnx") == MODEL


def test_a_folder_of_root_that_is_no_volume_is_no_cache_when_all_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the sticky bit anybody may rename what lies in it."""
    (tmp_path / "around").mkdir()
    found_as(monkeypatch, tmp_path, {"around": (ROOT, 0o777)})
    with pytest.raises(BundleUnavailable, match=r"around: others may write there .mode 0777"):
        cache_in(tmp_path).read("churn", "1.0.0", MANIFEST)


def test_the_levels_of_a_way_are_those_that_the_system_passes(tmp_path: Path) -> None:
    """Behind a link the way goes on where it leads, upwards too; a circle has no end."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "back").symlink_to("../a/b")
    passed = [path for path in levels(tmp_path / "a/back/c") if tmp_path in path.parents]
    names = [str(path.relative_to(tmp_path)) for path in passed]
    assert names == ["a", "a/back", "a", "a/b", "a/b/c"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        list(levels(tmp_path / "round"))


def test_a_full_disk_of_the_node_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and the same cache has the version when there is room again."""
    cache = cache_in(tmp_path)

    def write_bytes(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", write_bytes)
        with pytest.raises(NoRoom, match="No space left on device"):
            cache.read("churn", "1.0.0", MANIFEST)
    assert cache.read("churn", "1.0.0", "model.onnx") == MODEL
