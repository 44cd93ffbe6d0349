"""`sluice versions --remove`: what is still named stays, and what goes is gone in one step."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from serve_app.bundle.manifest import MANIFEST
from serve_app.bundle.object_store import ObjectStoreStore
from serve_app.bundle.objects import open_objects
from serve_app.bundle.store import FolderStore, Store
from serve_app.commands.main import app
from serve_app.errors import BundleError, BundleUnavailable

FILES = {MANIFEST: b"{}", "model.onnx": b"m", "report.html": b"r"}
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")


@pytest.fixture(params=["folder", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both kinds of store, with four versions of churn."""
    root = tmp_path / "store"
    found: Store
    if request.param == "folder":
        found = FolderStore(root)
    else:
        objects = open_objects(str(root), retry_s=1, timeout_s=1)
        found = ObjectStoreStore("s3://bucket", objects)
    for version in VERSIONS:
        found.write("churn", version, FILES)
    return found


def test_a_version_is_gone_and_the_others_are_whole(store: Store) -> None:
    """Its signature goes with it, and its name is free again."""
    store.put("churn", "1.1.0", "manifest.sig", b"signed")
    store.remove("churn", "1.1.0")
    assert store.versions("churn") == ["1.0.0", "1.2.0", "1.3.0"]
    for file in (*FILES, "manifest.sig"):
        with pytest.raises(BundleUnavailable):
            store.read("churn", "1.1.0", file)
    assert store.read("churn", "1.2.0", "model.onnx") == b"m"
    store.write("churn", "1.1.0", FILES | {"model.onnx": b"other"})


def test_what_is_not_there_cannot_be_removed(store: Store) -> None:
    """A mistyped version is told, and takes nothing with it."""
    with pytest.raises(BundleUnavailable, match=r"9\.9\.9: not found"):
        store.remove("churn", "9.9.9")
    assert store.versions("churn") == list(VERSIONS)


def test_a_removal_that_is_cut_off_leaves_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is renamed before a file of it goes."""
    store = FolderStore(tmp_path)
    store.write("churn", "1.0.0", FILES)

    def cut_off(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "rmtree", cut_off)
    with pytest.raises(BundleError, match="cannot be removed"):
        store.remove("churn", "1.0.0")
    assert store.versions("churn") == []
    assert not (tmp_path / "churn" / "1.0.0").exists()


def test_in_an_object_store_the_manifest_goes_first_and_the_rest_can_be_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a manifest there is no version; a second call takes what is left."""
    objects = open_objects(str(tmp_path), retry_s=1, timeout_s=1)
    store = ObjectStoreStore("s3://bucket", objects)
    store.write("churn", "1.0.0", FILES)
    delete = objects.delete
    deleted: list[str] = []

    def cut_off(key: str) -> None:
        if deleted:
            raise ConnectionError
        deleted.append(key)
        delete(key)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "delete", cut_off)
        with pytest.raises(ConnectionError):
            store.remove("churn", "1.0.0")
    assert deleted == [f"churn/1.0.0/{MANIFEST}"]
    assert store.versions("churn") == []
    store.remove("churn", "1.0.0")
    assert objects.below("churn/") == []


SERVER = {
    "name": "churn",
    "import_path": "serve_app.app:server",
    "args": {"model": "churn"},
    "deployments": [
        {
            "name": "Server",
            "user_config": {"stable": "1.0.0", "versions": {"1.1.0": {"weight_percent": 0}}},
        }
    ],
}
ISOLATED = {
    "name": "churn-1.2.0",
    "import_path": "serve_app.app:version",
    "args": {"model": "churn", "version": "1.2.0"},
}
CONFIG: dict[str, Any] = {"applications": [SERVER, ISOLATED]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A folder with serve_config.yaml and a store next to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODEL_PATH", raising=False)
    Path("serve_config.yaml").write_text(yaml.safe_dump(CONFIG))
    store = FolderStore(Path("model_store"))
    for version in VERSIONS:
        store.write("churn", version, FILES)
    return store


def remove(*words: str) -> Any:
    """The command; its result."""
    return CliRunner().invoke(app, ["versions", "--remove", *words])


@pytest.mark.parametrize(
    ("version", "where"),
    [
        ("1.0.0", "application churn: stable"),
        ("1.1.0", "application churn: versions.1.1.0"),
        ("1.2.0", "application churn-1.2.0: args.version"),
    ],
)
def test_what_the_file_names_is_refused_with_the_place(
    here: FolderStore, version: str, where: str
) -> None:
    """A weight of nothing counts too: a server loads it."""
    found = remove("churn", version)
    assert found.exit_code == 1
    assert f"serve_config.yaml: {where} still names churn {version}" in found.output
    assert here.versions("churn") == list(VERSIONS)


def test_what_no_file_names_is_removed(here: FolderStore) -> None:
    """It says which files it has looked at."""
    found = remove("churn", "1.3.0")
    assert found.exit_code == 0, found.output
    assert "removed; serve_config.yaml did not name it" in found.output
    assert here.versions("churn") == ["1.0.0", "1.1.0", "1.2.0"]


def test_every_file_that_is_given_counts_also_a_rayservice(here: FolderStore) -> None:
    """What Kubernetes serves stands inside its manifest."""
    table = {"rollout": {"stable": "1.0.0", "candidate": "1.3.0"}}
    inside = SERVER | {"deployments": [{"name": "Server", "user_config": table}]}
    manifest = {
        "kind": "RayService",
        "spec": {"serveConfigV2": json.dumps({"applications": [inside]})},
    }
    Path("rayservice.yaml").write_text(yaml.safe_dump(manifest))
    words = ("--config", "serve_config.yaml", "--config", "rayservice.yaml")
    found = remove("churn", "1.3.0", *words)
    assert found.exit_code == 1
    assert "rayservice.yaml: application churn: rollout.candidate still names" in found.output
    assert here.versions("churn") == list(VERSIONS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("churn",), "found only one of --remove and a version"),
        (("churn", "1.3.0", "--config", "none.yaml"), "none.yaml: cannot be read"),
        (("churn", ".."), "found '..', expected a version such as 1.0.0"),
        (("churn", "9.9.9"), "not found"),
    ],
)
def test_what_cannot_be_removed_is_a_sentence(
    here: FolderStore, words: tuple[str, ...], said: str
) -> None:
    """A file that cannot be read may name it: nothing is removed."""
    found = remove(*words)
    assert found.exit_code == 1, found.output
    assert said in found.output.replace("\n", " ")
    assert here.versions("churn") == list(VERSIONS)


def test_the_model_may_be_an_option_or_left_out(here: FolderStore) -> None:
    """The file serves one model; which one it was is said."""
    assert remove("1.3.0", "--model", "churn").exit_code == 0
    assert here.versions("churn") == ["1.0.0", "1.1.0", "1.2.0"]
    found = CliRunner().invoke(app, ["push", "9.9.9", "--to", "x"])
    assert found.exit_code == 2
    found = CliRunner().invoke(app, ["push", "9.9.9", "--store", "other"])
    assert found.exit_code == 1
    assert "model: churn (of serve_config.yaml" in found.output
    assert "churn/9.9.9/manifest.json: not found" in found.output.replace("\n", " ")


def test_a_version_without_remove_is_no_listing(here: FolderStore) -> None:
    """Somebody may have forgotten the option."""
    found = CliRunner().invoke(app, ["versions", "churn", "1.3.0"])
    assert found.exit_code == 1
    assert "found only one of --remove and a version" in found.output
