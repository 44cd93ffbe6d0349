"""What a pickle needs where it is opened: libraries and modules, compared without importing any."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from checking import manifest_of
from own_package import FILES, importable, write_package
from toy_runtime import toy, write_toy

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import Manifest, Module
from serve_app.bundle.runtimes.needs import (
    find_module,
    first_fault,
    import_fault,
    library_fault,
    source_sha256,
)
from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.errors import BundleError
from serve_app.models import get_spec

NUMPY = importlib.metadata.version("numpy")


def module_of(name: str) -> Module:
    """A module as bundling notes it."""
    spec = find_module(name)
    assert spec is not None
    return Module(sha256=source_sha256(spec))


def test_a_library_that_is_missing_is_named_with_its_version_and_the_way_to_get_it() -> None:
    """Boosters have an image of their own; anything else is installed by its name."""
    assert library_fault("tarot", "1.2.3") == (
        "needs tarot 1.2.3, found none. Install tarot==1.2.3 where it serves."
    )
    if importlib.util.find_spec("lightgbm") is None:
        assert "needs lightgbm 4.7.0, found none" in str(library_fault("lightgbm", "4.7.0"))
        assert "--target boosters" in str(library_fault("lightgbm", "4.7.0"))


def test_a_library_must_have_its_version_and_a_carrier_of_arrays_its_major_version() -> None:
    """A pickle of a library's classes is defined for one version of it; arrays are not so."""
    found = importlib.metadata.version("pydantic")
    assert library_fault("pydantic", found) is None
    assert library_fault("pydantic", "0.1") == (
        f"needs pydantic 0.1, found {found}. Bundle it again with the pydantic that serves it."
    )
    assert library_fault("numpy", NUMPY.partition(".")[0] + ".0.1") is None
    assert f"needs numpy 1.26.4, found {NUMPY}" in str(library_fault("numpy", "1.26.4"))


def test_a_build_of_a_library_under_another_name_is_the_same_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """XGBoost without GPUs is called xgboost-cpu and has the same classes."""

    def version(name: str) -> str:
        if name == "xgboost-cpu":
            return "3.2.0"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert library_fault("xgboost", "3.2.0") is None
    assert "needs xgboost 3.1.0, found 3.2.0" in str(library_fault("xgboost", "3.1.0"))


def test_a_module_is_found_and_compared_without_being_imported(tmp_path: Path) -> None:
    """`sluice check` may look at a bundle that nobody trusts yet."""
    with importable(tmp_path):
        needed = {"shop.transforms": module_of("shop.transforms")}
        assert first_fault({}, needed) is None
        assert "shop" not in sys.modules
        assert import_fault(needed) is None
        assert "shop.transforms" in sys.modules


def test_a_module_that_is_missing_or_another_is_named_with_what_to_do(tmp_path: Path) -> None:
    """A changed source may compute something else: the one of the bundle is wanted."""
    with importable(tmp_path):
        needed = {"shop.transforms": module_of("shop.transforms")}
        path = tmp_path / "shop" / "transforms.py"
        path.write_text(path.read_text().replace("sqrt", "log1p"))
        changed = str(first_fault({}, needed))
        assert "needs the module shop.transforms with the source of sha256" in changed
        assert "Install the one that it was bundled with, or bundle it again." in changed
        path.unlink()
        gone = str(first_fault({}, needed))
        assert "needs the module shop.transforms, found none" in gone
        assert "PYTHONPATH" in gone
    assert "needs the module shop.transforms, found none" in str(first_fault({}, needed))


def test_ends_of_lines_are_no_difference(tmp_path: Path) -> None:
    """A checkout on Windows has the same source."""
    with importable(tmp_path):
        needed = {"shop.transforms": module_of("shop.transforms")}
        path = tmp_path / "shop" / "transforms.py"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert first_fault({}, needed) is None


def test_a_module_that_cannot_be_imported_says_which_import_fails(tmp_path: Path) -> None:
    """Its source is there, and what it imports is not."""
    files = {"shop/one.py": "import no_such_library", "shop/two.py": "1 / 0"}
    with importable(tmp_path, files):
        assert import_fault(["shop.one"]) == (
            "needs the module shop.one, which imports no_such_library, found none. Install it "
            "where it serves."
        )
        assert "shop.two, which cannot be imported: ZeroDivisionError" in str(
            import_fault(["shop.two"])
        )


def test_opening_names_what_is_missing_and_imports_modules_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence in the error that readiness shows; a compiled model needs nothing of this."""
    store = FolderStore(tmp_path / "store")
    write_package(tmp_path / "own", FILES)
    with importable(tmp_path / "own"):
        modules = {"shop.transforms": module_of("shop.transforms")}
        monkeypatch.setitem(RUNTIMES, "toy", toy(runs_code=True))
        write_toy(store, format=2, modules=modules, tolerance=1e-6, classes=[0, 1], positive=1)
        assert load(store, get_spec("churn"), "1.0.0").manifest.modules == modules
        assert "shop.transforms" in sys.modules
    with pytest.raises(BundleError, match=r"churn/1\.0\.0: needs the module shop\.transforms"):
        load(store, get_spec("churn"), "1.0.0")
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    assert load(store, get_spec("churn"), "1.0.0").manifest.modules == modules


def test_a_bundle_of_the_first_format_is_opened_without_the_libraries_of_its_training() -> None:
    """It names skl2onnx too, which no server has, and no module of its pickle."""
    data = manifest_of("churn", "1.0.0", runtime="sklearn")
    old = Manifest.model_validate_json(data)
    known = {**old.libraries, "no-such-converter": "1.0"}
    assert RUNTIMES["sklearn"].needs_fault(old.model_copy(update={"libraries": known})) is None
    new = old.model_copy(update={"libraries": known, "format": 2})
    assert "needs no-such-converter 1.0" in str(RUNTIMES["sklearn"].needs_fault(new))
