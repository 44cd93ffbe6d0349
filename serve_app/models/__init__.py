"""The models: every module of this folder, and any other module that is named in full.

A model is a module with a `SPEC`. `args.model` is the name of a file here (`churn`), or a dotted
module of yours (`shop.models.loan`), which is installed or lies in a folder on PYTHONPATH. The
module is imported where the model serves: it should import nothing but `serve_app.contract`.
"""

import pkgutil
import re
from importlib import import_module
from traceback import walk_tb
from types import ModuleType

from pydantic import ValidationError

from serve_app.contract import ModelSpec
from serve_app.errors import SettingsError

# A file that is put here is listed: there is no line to add.
MODELS = tuple(
    sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
)
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
# It names a folder in the store and a part of URLs.
NAME = re.compile(r"[A-Za-z_]\w{0,59}", re.ASCII)
EXAMPLE = "shop.models.loan"
MAX_CAUSE_LENGTH = 300


def is_module(model: str) -> bool:
    """Whether a model is named by a dotted module of somebody's own."""
    return DOTTED.fullmatch(model) is not None


def name_of(model: str) -> str:
    """The name of a model in stores, URLs and applications: of a dotted module its `SPEC.name`.

    Raises SettingsError for a dotted module that has none.
    """
    return get_spec(model).name if is_module(model) else model


def get_spec(model: str) -> ModelSpec:
    """The spec of a model of `MODELS`, or of a dotted module.

    Raises SettingsError in one sentence: a name that is not known, a module that is missing, cannot
    be imported, or has no usable SPEC.
    """
    if model not in MODELS and not is_module(model):
        raise SettingsError(
            f"model: found {model!r}, expected one of {', '.join(MODELS)}, or a module with SPEC "
            f"such as {EXAMPLE}"
        )
    path = f"{__name__}.{model}" if model in MODELS else model
    module = imported(path)
    spec = getattr(module, "SPEC", None)
    if not isinstance(spec, ModelSpec):
        found = "has no SPEC" if spec is None else f"has a SPEC of type {type(spec).__name__}"
        raise SettingsError(f"model: {path} {found}; expected SPEC = ModelSpec(…) in it")
    _require_usable(spec, path)
    return spec


def imported(path: str) -> ModuleType:
    """A module by its dotted name. Raises SettingsError, which says what is missing or raised."""
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        missing = error.name or path
        if path == missing or path.startswith(f"{missing}."):
            top = path.partition(".")[0]
            raise SettingsError(
                f"model: found {path!r}, but there is no module {missing} here; install the "
                f"package that has it, or put the folder that holds {top}/ on PYTHONPATH"
            ) from None
        raise SettingsError(
            f"model: {path} imports {missing}, which is not installed here{_line(error, path)}; "
            "install it"
        ) from None
    except Exception as error:
        # A module of somebody's own may raise anything.
        raise SettingsError(
            f"model: {path} cannot be imported: {_cause(error)}{_line(error, path)}"
        ) from None


def _require_usable(spec: ModelSpec, path: str) -> None:
    """Refuse what would end in a traceback later: a name or a field."""
    if not NAME.fullmatch(spec.name):
        raise SettingsError(
            f"model: {path} has the SPEC.name {spec.name!r}, expected letters, digits and _, since "
            "it names a folder and a part of URLs"
        )
    if path.startswith(f"{__name__}.") and not path.endswith(f".{spec.name}"):
        raise SettingsError(
            f"model: {path} has the SPEC.name {spec.name!r}, expected the name of its file"
        )
    try:
        # The types of the fields are looked at here for the first time.
        _ = spec.contract
    except TypeError as error:
        # Our own text: it lists the types that are known.
        raise SettingsError(f"model: {path}: {error}") from None


def _cause(error: Exception) -> str:
    """The type of an error and its first line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join((error.title, *(str(part) for part in first["loc"])))
        return f"{place}: {first['msg']}"
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:MAX_CAUSE_LENGTH]}".rstrip(": ")


def _line(error: Exception, path: str) -> str:
    """Where in the module it was raised, as far as that is known."""
    lines = [
        line
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") == path
    ]
    return f" (line {lines[-1]})" if lines else ""
