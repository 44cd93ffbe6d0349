"""`sluice check` of a file that serves a contract of somebody's own."""

from pathlib import Path

import pytest
from checking import SHIPPED, manifest_of, report_on, store_of_manifests
from own_package import CONTRACT, FILES, importable

from serve_app.bundle.manifest import GoldenRow, Manifest, Module
from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec

OWN = SHIPPED.replace("model: churn ", "model: shop.models.loan ")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store with the shipped versions of both models."""
    return store_of_manifests(tmp_path / "store", monkeypatch, "1.0.0")


def write_loan(store: FolderStore, **changes: object) -> None:
    """A bundle of the loan, whose manifest has these changes."""
    features = list(get_spec("shop.models.loan").contract)
    row = get_spec("shop.models.loan").examples[0].row.model_dump()
    golden = [GoldenRow(row=row, score=0.5)]
    data = manifest_of("churn", "1.0.0", features=features, golden_rows=golden, **changes)
    found = Manifest.model_validate_json(data).model_copy(update={"model": "loan"})
    store.write("loan", "1.0.0", {"manifest.json": found.model_dump_json().encode()})


def test_a_module_is_a_model_and_its_bundle_lies_under_the_name_of_its_spec(
    store: FolderStore, tmp_path: Path
) -> None:
    """The file says the module, the store has the model's name."""
    with importable(tmp_path / "own"):
        write_loan(store)
        assert not report_on(tmp_path, OWN).faults


def test_a_module_that_is_not_here_is_an_error_at_its_line(
    store: FolderStore, tmp_path: Path
) -> None:
    """With the place, and what to install or set."""
    (fault,) = (f for f in report_on(tmp_path, OWN).faults if f.severity == "error")
    assert fault.where == "applications[churn].args.model"
    assert "there is no module shop here; install the package" in fault.text
    line = OWN.splitlines()[(fault.line or 0) - 1]
    assert "shop.models.loan" in line


def test_two_contracts_of_one_name_are_refused(store: FolderStore, tmp_path: Path) -> None:
    """They would read each other's bundles and rollouts."""
    text = CONTRACT.replace('name="loan"', 'name="delivery_time"')
    with importable(tmp_path / "own", {**FILES, "shop/models/loan.py": text}):
        report = report_on(tmp_path, OWN, with_store=False)
    (fault,) = (f for f in report.faults if f.severity == "error")
    assert "whose SPEC.name delivery_time is that of shop.models.loan above" in fault.text


def test_a_module_of_a_pickle_that_is_not_here_is_a_warning_with_its_name(
    store: FolderStore, tmp_path: Path
) -> None:
    """Where it serves, it may be installed."""
    with importable(tmp_path / "own"):
        write_loan(
            store,
            format=2,
            classes=[0, 1],
            positive=1,
            runtime="sklearn",
            modules={"shop.gone": Module(sha256="0" * 64)},
        )
        texts = [fault.text for fault in report_on(tmp_path, OWN).faults]
    assert any(
        "loan/1.0.0: needs the module shop.gone, found none" in text
        and text.endswith("(as seen from here)")
        for text in texts
    )
