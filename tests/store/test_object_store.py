"""Bundles in a real S3 server: fetched once a node, verified, whole or not at all, and usable while
it is away.
"""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from s3 import overwrite

from benchmarks.chaos.store import StoreProxy, Way
from serve_app.bundle import object_store, objects
from serve_app.bundle.cache import NodeCache, cache_folder
from serve_app.bundle.loading import load
from serve_app.bundle.manifest import COMPILED, MANIFEST
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.push import push
from serve_app.bundle.store import FolderStore
from serve_app.bundle.stores import open_store
from serve_app.contract.block import Layout
from serve_app.errors import BundleError, BundleUnavailable, StoreAway
from serve_app.models import get_spec

CHURN = get_spec("churn")


@pytest.fixture
def pushed(proxy: StoreProxy, uri: str, trained_store: FolderStore) -> str:
    """The URI of a store that has churn 1.0.0; what was asked until then is forgotten."""
    push(trained_store, open_store(uri), "churn", "1.0.0")
    proxy.asked.clear()
    return uri


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a node of this test's own."""
    monkeypatch.setenv("CACHE_PATH", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load_here(uri: str) -> Predictor:
    """As a replica does."""
    return load(open_store(uri, cached=True), CHURN, "1.0.0")


def prefix(uri: str) -> str:
    """What stands before the keys of a store in its bucket."""
    return uri.split("/", 3)[3]


def kept(node: Path) -> list[Path]:
    """The files of bundles that this node has, drafts too."""
    return [path for path in node.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_version_from_s3_scores_as_the_one_on_disk(
    pushed: str, trained_store: FolderStore
) -> None:
    """A version travels there and back without a change of its scores."""
    here, there = load(trained_store, CHURN, "1.0.0"), load_here(pushed)
    block = Layout(here.manifest.contract).block([item.row for item in here.manifest.golden_rows])
    assert np.ptp(here.score(block)) > 0.5
    assert (here.score(block) == there.score(block)).all()
    assert there.manifest_sha256 == here.manifest_sha256


def test_the_second_replica_of_a_node_asks_the_store_nothing(
    pushed: str, proxy: StoreProxy
) -> None:
    """A bundle is fetched once a node, not once a replica."""
    load_here(pushed)
    assert sum(COMPILED in line for line in proxy.asked) == 1
    n_asked = len(proxy.asked)
    load_here(pushed)
    assert len(proxy.asked) == n_asked


def test_replicas_that_start_together_fetch_once(pushed: str, proxy: StoreProxy) -> None:
    """Eight replicas, one download; all get the model."""
    found: list[Predictor] = []
    threads = [threading.Thread(target=lambda: found.append(load_here(pushed))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert sum(COMPILED in line for line in proxy.asked) == 1


WAYS: dict[Way, str] = {
    "cut": r"away, slow or cuts off|truncated|corrupt|not valid|Invalid JSON",
    "alter": r"corrupt or replaced|truncated|expected a manifest",
    "away": "the store gives no whole answer",
    "forbid": "no permission",
    "silent": "the store gives no whole answer",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_store_does_wrong_is_said_and_leaves_nothing_here(
    pushed: str, proxy: StoreProxy, node: Path, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    """Cut connections, wrong bytes, no permission, no answer: it is said, and leaves no half model.

    Asked again, the bundle comes.
    """
    proxy.way = way
    with monkeypatch.context() as impatient:
        impatient.setattr(object_store, "TIMEOUT_S", 1.0)
        impatient.setattr(objects, "MAX_RETRIES", 0)
        with pytest.raises(BundleError, match=WAYS[way]) as error:
            load_here(pushed)
    assert isinstance(error.value, BundleUnavailable), "it may pass, so it is asked again"
    assert kept(node) == []
    proxy.way = "pass"
    assert load_here(pushed).manifest.version == "1.0.0"


def test_bytes_that_were_altered_on_the_way_are_found_by_their_hash(
    pushed: str, proxy: StoreProxy, node: Path
) -> None:
    """The manifest is whole, the model is not: nothing of it is opened or kept."""
    store = open_store(pushed, cached=True)
    key = f"{prefix(pushed)}/churn/1.0.0/{COMPILED}"
    data = open_store(pushed).read("churn", "1.0.0", COMPILED)
    overwrite(proxy, key, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleUnavailable, match="corrupt or replaced"):
        store.read("churn", "1.0.0", MANIFEST)
    overwrite(proxy, key, data[:1000])
    with pytest.raises(
        BundleUnavailable, match=f"expected {len(data)} bytes, found 1000: truncated"
    ):
        store.read("churn", "1.0.0", MANIFEST)
    assert kept(node) == []
    overwrite(proxy, key, data)
    assert load_here(pushed).manifest.version == "1.0.0"


def test_a_node_that_has_a_bundle_starts_replicas_while_the_store_is_away(
    pushed: str, proxy: StoreProxy
) -> None:
    """What is verified and immutable need not be asked for again."""
    load_here(pushed)
    proxy.way = "away"
    assert load_here(pushed).manifest.version == "1.0.0"
    with pytest.raises(StoreAway):
        open_store(pushed, cached=True).read("churn", "1.1.0", MANIFEST)


def test_a_file_that_was_damaged_on_the_node_is_fetched_again(
    pushed: str, proxy: StoreProxy, node: Path
) -> None:
    """Disks fail too; without the store the damage is said, and never opened."""
    load_here(pushed)
    (path,) = node.rglob(COMPILED)
    path.write_bytes(path.read_bytes()[:500])
    proxy.way = "away"
    with pytest.raises(StoreAway):
        load_here(pushed)
    proxy.way = "pass"
    assert load_here(pushed).manifest.version == "1.0.0"
    assert path.stat().st_size > 500


def test_a_cache_folder_that_cannot_be_written_is_said_with_the_setting(
    pushed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CACHE_PATH", str(tmp_path / "file"))
    with pytest.raises(StoreAway, match=r"cannot be used as cache .*CACHE_PATH"):
        load_here(pushed)


def test_the_cache_is_for_its_owner_s_eyes(pushed: str, node: Path) -> None:
    """Below a folder that everybody may write to, as /tmp, nobody else must put bundles into it."""
    load_here(pushed)
    (model,) = node.glob("*/churn")
    assert model.stat().st_mode & 0o077 == 0
    assert cache_folder() == node


def test_a_missing_version_says_how_to_make_it(pushed: str) -> None:
    """The same words come as for a folder."""
    with pytest.raises(
        BundleUnavailable,
        match=r"churn/1\.1\.0/manifest\.json: not found.*python -m training churn",
    ):
        open_store(pushed, cached=True).read("churn", "1.1.0", MANIFEST)


def test_pushing_the_same_version_again_changes_nothing(
    pushed: str, trained_store: FolderStore, proxy: StoreProxy
) -> None:
    """A second run of a pipeline is no fault."""
    done = push(trained_store, open_store(pushed), "churn", "1.0.0")
    assert done.was_there
    assert not [line for line in proxy.asked if line.startswith("PUT")]


def test_other_bytes_under_a_version_that_is_there_are_refused(
    pushed: str, trained_store: FolderStore, tmp_path: Path
) -> None:
    """Versions are immutable: the store keeps the first."""
    other = FolderStore(tmp_path / "other")
    files = {
        path.name: path.read_bytes() for path in (trained_store.root / "churn" / "1.0.0").iterdir()
    }
    manifest = json.loads(files[MANIFEST]) | {"created_at": "2001-01-01T00:00:00+00:00"}
    other.write("churn", "1.0.0", files | {MANIFEST: json.dumps(manifest).encode()})
    before = open_store(pushed).read("churn", "1.0.0", MANIFEST)
    with pytest.raises(BundleError, match=r"is there with other bytes .* immutable"):
        push(other, open_store(pushed), "churn", "1.0.0")
    assert open_store(pushed).read("churn", "1.0.0", MANIFEST) == before


def test_a_push_that_was_cut_off_is_finished_by_the_next(
    proxy: StoreProxy, uri: str, trained_store: FolderStore
) -> None:
    """Without its manifest a version does not exist; the files that came through are taken as they
    are.
    """
    data = trained_store.read("churn", "1.0.0", COMPILED)
    overwrite(proxy, f"{prefix(uri)}/churn/1.0.0/{COMPILED}", data)
    assert open_store(uri).versions("churn") == []
    assert not push(trained_store, open_store(uri), "churn", "1.0.0").was_there
    assert load_here(uri).manifest.version == "1.0.0"


def test_files_of_another_push_under_the_same_version_are_not_mixed_with_ours(
    proxy: StoreProxy, uri: str, trained_store: FolderStore
) -> None:
    """Two people, one version number: whoever comes second is refused before the manifest is
    written.
    """
    overwrite(proxy, f"{prefix(uri)}/churn/1.0.0/{COMPILED}", b"of somebody else")
    with pytest.raises(BundleError, match="immutable"):
        push(trained_store, open_store(uri), "churn", "1.0.0")
    assert open_store(uri).versions("churn") == []


def test_a_bundle_under_another_version_s_name_is_never_kept(
    proxy: StoreProxy, uri: str, trained_store: FolderStore, node: Path
) -> None:
    """Renaming a folder in the bucket makes no version."""
    for path in (trained_store.root / "churn" / "1.0.0").iterdir():
        overwrite(proxy, f"{prefix(uri)}/churn/2.0.0/{path.name}", path.read_bytes())
    with pytest.raises(BundleError, match=r"expected churn 2\.0\.0, found churn 1\.0\.0"):
        load(open_store(uri, cached=True), CHURN, "2.0.0")
    assert kept(node) == []


def test_writing_goes_through_the_cache_to_the_store(
    pushed: str, trained_store: FolderStore
) -> None:
    """The cache is a store like any other."""
    cache = open_store(pushed, cached=True)
    assert isinstance(cache, NodeCache)
    push(trained_store, cache, "delivery_time", "1.0.0")
    assert (
        open_store(pushed).versions("delivery_time") == cache.versions("delivery_time") == ["1.0.0"]
    )
