"""A manifest says how large its files are, and a stranger may have written it: there has to be room
for them before they are read.
"""

from pathlib import Path

import pytest
from checking import manifest_of

from serve_app.bundle.cache import NodeCache
from serve_app.bundle.loading import open_version
from serve_app.bundle.manifest import MANIFEST, File
from serve_app.bundle.room import free_memory_bytes
from serve_app.bundle.store import MOST_UNLISTED_BYTES, FolderStore
from serve_app.bundle.verified import read_manifest
from serve_app.errors import NoRoom
from serve_app.models import get_spec

CHURN = get_spec("churn")
FREE_BYTES = 100_000_000
SMALL = File(sha256="0" * 64, size_bytes=1)
GREEDY = File(sha256="0" * 64, size_bytes=1_000_000_000)


class Noting(FolderStore):
    """Notes what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.files: list[str] = []

    def read(
        self, model: str, version: str, file: str, most_bytes: int = MOST_UNLISTED_BYTES
    ) -> bytes:
        """The bytes of one file."""
        self.files.append(file)
        return super().read(model, version, file, most_bytes)


def store_with(folder: Path, files: dict[str, File]) -> Noting:
    """A store with a version that says it has these files."""
    store = Noting(folder)
    store.write("churn", "1.0.0", {MANIFEST: manifest_of("churn", "1.0.0", files=files)})
    return store


@pytest.mark.parametrize(
    "files",
    [{"model.onnx": GREEDY}, {"model.onnx": SMALL, "report.html": GREEDY}],
    ids=["the model", "another file"],
)
def test_files_for_which_there_is_no_memory_are_not_read(
    tmp_path: Path, files: dict[str, File]
) -> None:
    """Neither by a server that would open them, nor by the cache of its node. It may pass."""
    store = store_with(tmp_path / "store", files)
    manifest, digest = read_manifest(store, "churn", "1.0.0")
    said = r"take 1000 MB, found 100 MB of memory free; expected 2500 MB"
    with pytest.raises(NoRoom, match=said):
        open_version(store, CHURN, manifest, digest, is_pinned=True, free_bytes=lambda: FREE_BYTES)
    cache = NodeCache(store, tmp_path / "cache", free_bytes=lambda: FREE_BYTES)
    with pytest.raises(NoRoom, match=said):
        cache.read("churn", "1.0.0", MANIFEST)
    assert set(store.files) == {MANIFEST}
    assert list((tmp_path / "cache").rglob(MANIFEST)) == []


def test_a_machine_without_a_bound_on_its_groups_has_one_of_its_own(tmp_path: Path) -> None:
    """`memory.max` says `max` on a laptop: then what the machine has left is what counts."""
    store = store_with(tmp_path / "store", {"model.onnx": GREEDY})
    manifest, digest = read_manifest(store, "churn", "1.0.0")
    own = tmp_path / "own"
    own.write_text("0::/\n")
    (tmp_path / "memory.max").write_text("max\n")
    machine = tmp_path / "meminfo"
    machine.write_text("MemAvailable:     100000 kB\n")

    def free_bytes() -> int | None:
        return free_memory_bytes(tmp_path, own, machine)

    with pytest.raises(NoRoom, match="found 102 MB of memory free"):
        open_version(store, CHURN, manifest, digest, is_pinned=True, free_bytes=free_bytes)
    assert set(store.files) == {MANIFEST}


def test_the_files_of_a_cache_that_is_filled_count_together(tmp_path: Path) -> None:
    """All of them are held until they are written."""
    half = File(sha256="0" * 64, size_bytes=30_000_000)
    store = store_with(tmp_path / "store", {"model.onnx": half, "pipeline.joblib": half})
    cache = NodeCache(store, tmp_path / "cache", free_bytes=lambda: FREE_BYTES)
    with pytest.raises(NoRoom, match="take 60 MB, found 100 MB"):
        cache.read("churn", "1.0.0", MANIFEST)
    assert set(store.files) == {MANIFEST}
