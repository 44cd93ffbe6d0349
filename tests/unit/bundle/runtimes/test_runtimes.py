"""Runtimes are records: a third one needs its record and nothing else, and what has no record is
refused everywhere.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import SHIPPED, TABLE, manifest_of, report_on
from fakes import Direct, table
from toy_runtime import MODEL_FILE, expected_scores, toy, write_toy

from serve_app.bundle.loading import load, open_version
from serve_app.bundle.manifest import Manifest, parse
from serve_app.bundle.runtimes.record import RuntimeRecord
from serve_app.bundle.runtimes.registry import RUNTIMES, record_of
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Block, Layout
from serve_app.errors import BundleError, NoRoom
from serve_app.models import get_spec
from serve_app.serving import status
from serve_app.serving.opening import Opening
from serve_app.serving.versions import Versions

CHURN = get_spec("churn")
KNOWN = "expected one of onnx, sklearn"


class Elsewhere(FolderStore):
    """A store that is trusted as little as one in the cloud."""

    def doubt(self, model: str, version: str) -> str:
        """Anybody may have put it there."""
        return "an object store"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store, which `sluice check` looks into too."""
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "store"))
    return FolderStore(tmp_path / "store")


def listed(monkeypatch: pytest.MonkeyPatch, record: RuntimeRecord) -> None:
    """As if the record stood in the list."""
    monkeypatch.setitem(RUNTIMES, record.name, record)


def block_of(*active_days: int) -> Block:
    """Rows with these active days."""
    row = CHURN.examples[0].row.model_dump()
    return Layout(CHURN.contract).block([row | {"monthly_active_days": n} for n in active_days])


async def test_a_runtime_that_is_listed_serves(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified, opened, proven, placed, asked; and the status names it."""
    listed(monkeypatch, toy())
    write_toy(store)
    opening = Opening(
        CHURN, lambda version, pin: load(store, CHURN, version, pin), Direct, application=Any
    )
    versions = Versions(opening.open)
    await versions.start(table())
    opened = versions.ready("1.0.0")
    assert opened is not None
    scores = await opened.scorer.score(block_of(3, 28), 1)
    assert scores.tolist() == expected_scores(3, 28)
    described = status.description(CHURN, versions).versions["1.0.0"]
    assert described.runtime == "toy"
    assert list(described.files) == [MODEL_FILE]


def test_a_runtime_that_runs_code_needs_a_pin_away_from_home(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says so, and nothing else: the same bundle needs none when its record runs no
    code.
    """
    elsewhere = Elsewhere(store.root)
    listed(monkeypatch, toy(runs_code=True))
    pin = write_toy(store)
    with pytest.raises(BundleError, match=f"opening {MODEL_FILE} runs the code .* pin {pin}"):
        load(elsewhere, CHURN, "1.0.0")
    scores = load(elsewhere, CHURN, "1.0.0", pin).score(block_of(10))
    assert scores.tolist() == expected_scores(10)
    listed(monkeypatch, toy())
    assert np.isfinite(load(elsewhere, CHURN, "1.0.0").score(block_of(10))).all()


def test_a_folder_that_others_may_write_runs_no_code_without_a_pin(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writable store would run whatever the next one puts there; compiled versions run none."""
    listed(monkeypatch, toy(runs_code=True))
    pin = write_toy(store)
    assert load(store, CHURN, "1.0.0").manifest_sha256 == pin
    (store.root / "churn").chmod(0o777)
    with pytest.raises(
        BundleError, match=r"from a folder that others can change .*churn: others may write .* pin "
    ):
        load(store, CHURN, "1.0.0")
    assert load(store, CHURN, "1.0.0", pin).manifest_sha256 == pin
    listed(monkeypatch, toy())
    assert load(store, CHURN, "1.0.0").manifest_sha256 == pin


@pytest.mark.parametrize(
    ("error", "is_wrong"),
    [
        (MemoryError(), False),
        (OSError(28, "No space left on device"), False),
        (RuntimeError("can't start new thread"), False),
        (RuntimeError("onnxruntime: bad allocation"), False),
        (ValueError("no model"), True),
    ],
)
def test_a_machine_without_room_is_not_taken_for_a_wrong_bundle(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, error: Exception, is_wrong: bool
) -> None:
    """It is tried again; a bundle that is wrong ends the rollout of its version everywhere."""

    def fail(data: bytes, manifest: Manifest) -> Any:
        raise error

    listed(monkeypatch, toy(open=fail))
    write_toy(store)
    with pytest.raises(BundleError) as caught:
        load(store, CHURN, "1.0.0")
    assert isinstance(caught.value, NoRoom) is not is_wrong


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        ("numpy", r"needs numpy 0\.1, found .* Bundle it again"),
        ("tarot", "needs tarot none, found none. Ask"),
    ],
)
def test_a_runtime_whose_library_is_another_is_refused(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, library: str, reason: str
) -> None:
    """Its files are only defined for the version that the manifest names; the record says where to
    get it.
    """
    listed(monkeypatch, toy(libraries={library: "Ask the one who wrote it."}))
    write_toy(store, libraries={"numpy": "0.1"})
    with pytest.raises(BundleError, match=reason):
        load(store, CHURN, "1.0.0")


def test_check_reads_the_record(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to say of a compiled toy; one that runs code belongs in an application of its own,
    and needs its pin.
    """
    write_toy(store)
    store.write("delivery_time", "1.0.0", {"manifest.json": manifest_of("delivery_time", "1.0.0")})
    listed(monkeypatch, toy())
    assert not report_on(tmp_path, SHIPPED).faults
    monkeypatch.setattr(FolderStore, "doubt", lambda *_: "an object store")
    listed(monkeypatch, toy(runs_code=True, libraries={"tarot": "Ask."}))
    said = [(fault.severity, fault.text) for fault in report_on(tmp_path, SHIPPED).faults]
    assert [severity for severity, _ in said] == ["warning", "error", "warning"]
    assert "needs tarot none, found none. Ask. (as seen from here)" in said[0][1]
    assert f"opening {MODEL_FILE} runs the code inside" in said[1][1]
    assert "expected placement: isolated" in said[2][1]


def test_a_runtime_that_is_not_listed_is_refused_everywhere(
    store: FolderStore, tmp_path: Path
) -> None:
    """By the manifest's parser, by opening, and by `sluice check`: never is it opened as something
    else.
    """
    write_toy(store)
    data = store.read("churn", "1.0.0", "manifest.json")
    with pytest.raises(BundleError, match=f"store/manifest.json: runtime: found 'toy', {KNOWN}"):
        parse(data, "store")
    with pytest.raises(BundleError, match=f"runtime: found 'toy', {KNOWN}"):
        load(store, CHURN, "1.0.0")
    known = Manifest.model_validate_json(manifest_of("churn", "1.0.0"))
    unknown = known.model_copy(update={"runtime": "toy"})
    for is_pinned in (True, False):
        with pytest.raises(BundleError, match=f"runtime: found 'toy', {KNOWN}"):
            open_version(store, CHURN, unknown, "0" * 64, is_pinned=is_pinned)
    store.write("delivery_time", "1.0.0", {"manifest.json": manifest_of("delivery_time", "1.0.0")})
    (fault,) = report_on(tmp_path, SHIPPED).faults
    assert fault.severity == "error"
    assert fault.where.startswith(TABLE)
    assert f"runtime: found 'toy', {KNOWN}" in fault.text


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_record_is_listed_under_its_own_name(name: str) -> None:
    """Else a manifest would be opened by the record of another."""
    record = record_of(name)
    assert record.name == name
    assert [other.file for other in RUNTIMES.values()].count(record.file) == 1
