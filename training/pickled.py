"""A fitted pipeline as bytes that serving can open, and what opening them needs there."""

import importlib.metadata
import io
import json
import pickle
import pickletools
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import FunctionType
from typing import Any

import joblib

from serve_app.bundle.manifest import Module
from serve_app.bundle.runtimes.needs import PYTHON, find_module, source_sha256
from training.errors import InvalidPipeline
from training.estimators import walk

# A third of the size; opening takes no longer.
JOBLIB_COMPRESSION = 3
# The last protocol whose opcode GLOBAL holds module and name as they are; later ones take them from
# the stack.
PLAIN_PROTOCOL = 3
# What the runtime itself imports to open a pickle.
RUNTIME_LIBRARIES = ("scikit-learn", "numpy", "pandas", "joblib")
# It is where a pickle is opened, in whichever version.
OUR_PACKAGE = "serve_app"
ADVICE = (
    "put it as a named function or class into a module that is installed where it serves, import "
    "it from there, and fit again"
)


@dataclass(frozen=True)
class Needs:
    """Libraries by their distribution's name, with versions; modules of no library by name."""

    libraries: dict[str, str]
    modules: dict[str, Module]


def pickled(pipeline: Any) -> bytes:
    """`pipeline.joblib`.

    Raises InvalidPipeline, which names what a pickle cannot keep or serving could not find.
    """
    require_named(pipeline)
    buffer = io.BytesIO()
    try:
        joblib.dump(pipeline, buffer, compress=JOBLIB_COMPRESSION)
    except Exception as error:
        # What is inside may raise anything when it is asked for its state.
        cause = " ".join(str(error).split())[:200]
        raise InvalidPipeline(
            f"pipeline: cannot be pickled ({type(error).__name__}: {cause}); expected an estimator "
            "that joblib.dump can write: take out what holds open files, locks or functions made "
            f"on the spot, or {ADVICE}"
        ) from None
    return buffer.getvalue()


def needs_of(pipeline: Any) -> Needs:
    """What opening the pickle of a pipeline needs.

    Every class and function in a pickle is a name in a module: the pickle is read for these names,
    and nothing is imported for that. Raises InvalidPipeline for a module that has no file.
    """
    owners = _distributions()
    libraries = {name: importlib.metadata.version(name) for name in RUNTIME_LIBRARIES}
    modules = {}
    for module, name in sorted(global_names(pipeline)):
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top == OUR_PACKAGE:
            continue
        owner = _owner(module, owners)
        if owner is not None:
            libraries[owner] = importlib.metadata.version(owner)
        elif module not in modules:
            modules[module] = _own_module(module, name)
    return Needs({PYTHON: platform.python_version(), **libraries}, modules)


def global_names(pipeline: Any) -> set[tuple[str, str]]:
    """(module, name) of every class and function in the pickle of a pipeline."""
    data = pickle.dumps(pipeline, PLAIN_PROTOCOL)
    found = set()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            found.add((module, name))
    return found


@cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions of each package that is installed; takes a second."""
    return importlib.metadata.packages_distributions()


def _owner(module: str, owners: Mapping[str, Sequence[str]]) -> str | None:
    """The distribution of a module, whose version tells its source; None where there is none."""
    names = sorted(set(owners.get(module.partition(".")[0], ())))
    if len(names) > 1:
        # A namespace that several share.
        path = module.replace(".", "/")
        names = [name for name in names if _has_file(name, path)] or names
    if not names or _is_editable(names[0]):
        return None
    return names[0]


def _has_file(distribution: str, path: str) -> bool:
    files = importlib.metadata.files(distribution) or ()
    return any(str(file).startswith((f"{path}.", f"{path}/")) for file in files)


def _is_editable(distribution: str) -> bool:
    """Whether it is a folder that somebody works in: then its version says nothing."""
    text = importlib.metadata.distribution(distribution).read_text("direct_url.json")
    return bool(text and json.loads(text).get("dir_info", {}).get("editable"))


def _own_module(module: str, name: str) -> Module:
    if module == "__main__":
        raise _cannot_be_imported(name, module, "the script that fitted it")
    spec = find_module(module)
    if spec is not None:
        sha256 = source_sha256(spec)
        if sha256 is not None:
            return Module(sha256=sha256)
    raise _cannot_be_imported(name, module, "which has no file")


def _cannot_be_imported(name: str, module: str, why: str) -> InvalidPipeline:
    return InvalidPipeline(
        f"pipeline: found {name} of the module {module}, {why}: serving could not import it; "
        f"{ADVICE}"
    )


def require_named(pipeline: Any) -> None:
    """Refuse functions and classes that a pickle keeps as a name that serving cannot find.

    Raises InvalidPipeline: what it is, and in which part of the pipeline.
    """
    for part in walk(pipeline):
        owner = type(part).__name__
        fault = _unnamed(type(part))
        if fault:
            raise InvalidPipeline(f"pipeline: found {fault}: serving could not find it; {ADVICE}")
        for name, value in _values(part):
            fault = _unnamed(value)
            if fault:
                raise InvalidPipeline(
                    f"pipeline: found {fault} in {owner} ({name}): pickle cannot keep it; {ADVICE}"
                )


def _values(part: Any) -> Iterator[tuple[str, Any]]:
    """Functions and classes that an estimator holds, also in lists and dictionaries."""
    for name, value in vars(part).items():
        values = [value]
        if isinstance(value, dict):
            values = list(value.values())
        elif isinstance(value, list | tuple):
            values = [item for entry in value for item in _entries(entry)]
        for item in values:
            if isinstance(item, partial):
                item = item.func
            if isinstance(item, FunctionType | type):
                yield name, item


def _entries(entry: Any) -> Sequence[Any]:
    return entry if isinstance(entry, tuple) else (entry,)


def _unnamed(value: Any) -> str | None:
    """Why a function or class has no name that can be imported elsewhere; None when it has."""
    kind = "class" if isinstance(value, type) else "function"
    name = getattr(value, "__qualname__", "")
    if name.endswith("<lambda>"):
        return "a lambda"
    if "<locals>" in name:
        return f"the {kind} {name.rpartition('.')[2]}, defined inside a function,"
    if getattr(value, "__module__", None) == "__main__":
        return f"the {kind} {name} of __main__, the script that fitted it,"
    return None
