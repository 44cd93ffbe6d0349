"""Signed bundles, and the commands that handle bundles in a store."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.chaos.store import StoreProxy
from serve_app.bundle.loading import load
from serve_app.bundle.manifest import MANIFEST, SIGNATURE
from serve_app.bundle.store import FolderStore
from serve_app.bundle.stores import open_store
from serve_app.commands.main import app
from serve_app.errors import BundleError
from serve_app.models import get_spec

CHURN = get_spec("churn")


@pytest.fixture
def copied(
    tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> FolderStore:
    """A store with churn 1.0.0 that a test may change."""
    monkeypatch.delenv("MODEL_PATH", raising=False)
    shutil.copytree(trained_store.root / "churn" / "1.0.0", tmp_path / "store" / "churn" / "1.0.0")
    return FolderStore(tmp_path / "store")


def run(*words: object, code: int = 0) -> str:
    """What `sluice …` prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output + done.stderr
    return done.output


def new_key(path: Path) -> str:
    """Make a key pair; the public one as it is written into the file."""
    (public,) = re.findall(r'public_keys: \["(.+)"\]', run("keygen", path))
    return str(public)


def test_a_deployment_with_keys_takes_signed_bundles_alone(
    copied: FolderStore, tmp_path: Path
) -> None:
    """Unsigned: refused with the command; signed by another: refused; signed by one of the keys:
    loaded.
    """
    mine, other = new_key(tmp_path / "mine"), new_key(tmp_path / "other")
    with pytest.raises(BundleError, match=r"is not signed.*sluice sign churn 1\.0\.0"):
        load(copied, CHURN, "1.0.0", public_keys=[mine])
    run("sign", "churn", "1.0.0", "--key", tmp_path / "other", "--store", copied.uri)
    with pytest.raises(BundleError, match="expected a signature by one of public_keys, found none"):
        load(copied, CHURN, "1.0.0", public_keys=[mine])
    run("sign", "churn", "1.0.0", "--key", tmp_path / "mine", "--store", copied.uri)
    for keys in ([mine], [other], [mine, other]):  # the first signature is still there
        assert load(copied, CHURN, "1.0.0", public_keys=keys).manifest.version == "1.0.0"


def test_a_manifest_that_was_changed_after_signing_is_refused(
    copied: FolderStore, tmp_path: Path
) -> None:
    """The signature is over every byte of it, and it has the hash of every other file."""
    mine = new_key(tmp_path / "mine")
    run("sign", "churn", "1.0.0", "--key", tmp_path / "mine", "--store", copied.uri)
    path = copied.root / "churn" / "1.0.0" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(BundleError, match="expected a signature by one of public_keys"):
        load(copied, CHURN, "1.0.0", public_keys=[mine])


@pytest.mark.parametrize("text", ["", "nonsense", "AAAA\n", "é" * 30])
def test_a_signature_file_of_anything_else_is_no_signature(
    copied: FolderStore, tmp_path: Path, text: str
) -> None:
    """It is refused, and the text says what was found."""
    mine = new_key(tmp_path / "mine")
    (copied.root / "churn" / "1.0.0" / SIGNATURE).write_text(text)
    with pytest.raises(BundleError, match="public_keys"):
        load(copied, CHURN, "1.0.0", public_keys=[mine])


def test_a_signature_travels_with_a_push_and_can_come_later(
    proxy: StoreProxy,
    uri: str,
    copied: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that cached the bundle before it was signed finds the signature all the same."""
    monkeypatch.setenv("CACHE_PATH", str(tmp_path / "cache"))
    mine, later = new_key(tmp_path / "mine"), new_key(tmp_path / "later")
    run("push", "churn", "1.0.0", "--store", uri, "--from", copied.uri)
    cached = open_store(uri, cached=True)
    with pytest.raises(BundleError, match="is not signed"):
        load(cached, CHURN, "1.0.0", public_keys=[mine])
    run("sign", "churn", "1.0.0", "--key", tmp_path / "mine", "--store", copied.uri)
    run("push", "churn", "1.0.0", "--store", uri, "--from", copied.uri)
    assert load(cached, CHURN, "1.0.0", public_keys=[mine]).manifest.version == "1.0.0"
    run("sign", "churn", "1.0.0", "--key", tmp_path / "later", "--store", uri)
    assert load(cached, CHURN, "1.0.0", public_keys=[later]).manifest.version == "1.0.0"
    proxy.way = "away"
    assert load(cached, CHURN, "1.0.0", public_keys=[later]).manifest.version == "1.0.0"


def test_a_private_key_is_its_owner_s_alone_and_never_overwritten(tmp_path: Path) -> None:
    """Mode 600, and a second keygen on the same file is refused."""
    new_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "key").read_bytes()
    run("keygen", tmp_path / "key", code=1)
    assert (tmp_path / "key").read_bytes() == before


def test_signing_with_what_is_no_key_is_refused_in_words(
    copied: FolderStore, tmp_path: Path
) -> None:
    """A missing file, and a file of something else."""
    (tmp_path / "text").write_text("hello")
    for name in ("missing", "text"):
        run("sign", "churn", "1.0.0", "--key", tmp_path / name, "--store", copied.uri, code=1)
    assert not (copied.root / "churn" / "1.0.0" / SIGNATURE).exists()


def test_versions_lists_what_a_store_has(proxy: StoreProxy, uri: str, copied: FolderStore) -> None:
    """Number, runtime, headline, and the hash that a table may pin; an empty store says so."""
    assert "no version of churn" in run("versions", "churn", "--store", uri)
    pushed = run("push", "churn", "1.0.0", "--store", uri, "--from", copied.uri)
    digest = pushed.split("manifest_sha256: ")[1].strip()
    listed = run("versions", "churn", "--store", uri)
    assert digest in listed
    assert re.search(r"1\.0\.0 .* onnx .* auc 0\.\d+ .* no ", listed)


def test_versions_come_in_the_order_of_their_numbers(copied: FolderStore) -> None:
    """1.10.0 is after 1.9.0, and a pre-release before its release."""
    folder = copied.root / "churn"
    names = ["1.0.0", "1.9.0", "1.10.0-rc.1", "1.10.0"]
    for name in names[1:]:
        shutil.copytree(folder / "1.0.0", folder / name)
        path = folder / name / MANIFEST
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": name}))
    listed = run("versions", "churn", "--store", copied.uri)
    assert re.findall(r"^\S+", listed, re.MULTILINE)[1:] == names


def test_a_push_of_a_damaged_bundle_is_refused_before_anything_is_written(
    proxy: StoreProxy, uri: str, copied: FolderStore
) -> None:
    """It is verified on the way out."""
    (copied.root / "churn" / "1.0.0" / "model.onnx").write_bytes(b"nonsense")
    run("push", "churn", "1.0.0", "--store", uri, "--from", copied.uri, code=1)
    assert not [line for line in proxy.asked if line.startswith("PUT")]


def test_a_commands_own_option_comes_before_the_variable_and_that_before_the_default(
    copied: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container MODEL_PATH is always set: a push must still come from and go to where it
    says.
    """
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "empty"))
    run("push", "churn", "1.0.0", "--from", copied.uri, "--store", tmp_path / "target")
    assert "1.0.0" in run("versions", "churn", "--store", tmp_path / "target")
    assert "no version of churn" in run("versions", "churn")
    monkeypatch.setenv("MODEL_PATH", copied.uri)
    assert "1.0.0" in run("versions", "churn")
