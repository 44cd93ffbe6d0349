"""What opening a pickle needs here: libraries in their versions, and modules of somebody's own.

Nothing is imported to find a module or its source, so `sluice check` may ask too.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The manifest knows the list of runtimes.
    from serve_app.bundle.manifest import Module

# The same library under another distribution's name, such as a build without GPUs.
SAME = {"xgboost": ("xgboost-cpu",), "xgboost-cpu": ("xgboost",)}
# They only carry arrays and tables, which any release of a major version reads. What they compute
# is proven by the golden rows.
CARRIERS = frozenset({"numpy", "scipy", "pandas", "joblib"})
BOOSTERS = (
    "Use the image built with `--target boosters`, or install requirements/boosters.txt in the "
    "version that the bundle names."
)
ADVICE = {
    "scikit-learn": "Use the image built with `--target sklearn`, or install "
    "requirements/sklearn.txt.",
    "lightgbm": BOOSTERS,
    "xgboost": BOOSTERS,
    "xgboost-cpu": BOOSTERS,
    "catboost": BOOSTERS,
}
# No library: it is said in the manifest to be read by people.
PYTHON = "python"


def installed_version(library: str) -> str | None:
    """The version of a distribution that is installed here; None when it is not."""
    for name in (library, *SAME.get(library, ())):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def library_fault(library: str, expected: str) -> str | None:
    """Why a library that a pickle needs cannot serve it; None when it can."""
    found = installed_version(library)
    if found is None:
        advice = ADVICE.get(library, f"Install {library}=={expected} where it serves.")
        return f"needs {library} {expected}, found none. {advice}"
    if found == expected:
        return None
    if library in CARRIERS and found.partition(".")[0] == expected.partition(".")[0]:
        return None
    return (
        f"needs {library} {expected}, found {found}. Bundle it again with the {library} that "
        "serves it."
    )


def module_fault(name: str, module: "Module") -> str | None:
    """Why a module of somebody's own cannot serve a pickle; None when it can, as far as its source
    says.
    """
    spec = find_module(name)
    if spec is None:
        return (
            f"needs the module {name}, found none. Install the package that has it where it "
            "serves, or put its folder on PYTHONPATH"
            + (", or into the image with the build argument PACKAGES." if module.sha256 else ".")
        )
    found = source_sha256(spec)
    if module.sha256 is not None and found != module.sha256:
        return (
            f"needs the module {name} with the source of sha256 {module.sha256[:12]}…, found "
            f"{'none' if found is None else found[:12] + '…'}. Install the one that it was bundled "
            "with, or bundle it again."
        )
    return None


def import_fault(names: Iterable[str]) -> str | None:
    """Import modules; why the first one that fails does, or None."""
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            return (
                f"needs the module {name}, which imports {error.name}, found none. Install it "
                "where it serves."
            )
        except Exception as error:
            # A module of somebody's own may raise anything.
            lines = str(error).splitlines() or [""]
            return (
                f"needs the module {name}, which cannot be imported: {type(error).__name__}: "
                f"{lines[0][:200]}. Correct it, and bundle it again."
            )
    return None


def first_fault(libraries: Mapping[str, str], modules: Mapping[str, "Module"]) -> str | None:
    """The first thing that is missing here, or is another; None when all is as it was."""
    for library, expected in libraries.items():
        if library != PYTHON:
            fault = library_fault(library, expected)
            if fault:
                return fault
    for name, module in modules.items():
        fault = module_fault(name, module)
        if fault:
            return fault
    return None


def find_module(name: str) -> ModuleSpec | None:
    """Find a module by its dotted name, without importing it or the packages around it."""
    top, *words = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        # A module that was made by hand has no spec.
        return None
    path = top
    for word in words:
        if spec is None:
            return None
        path = f"{path}.{word}"
        spec = PathFinder.find_spec(path, list(spec.submodule_search_locations or ()))
    return spec


def source_sha256(spec: ModuleSpec) -> str | None:
    """The sha256 of a module's file, lines ended by \\n; None when it has no file.

    Only this one file: what it imports is proven by the golden rows.
    """
    if spec.origin is None or not spec.has_location:
        return None
    try:
        data = Path(spec.origin).read_bytes()
    except OSError:
        return None
    if spec.origin.endswith(".py"):
        data = data.replace(b"\r\n", b"\n")
    return hashlib.sha256(data).hexdigest()
