"""Names: of a model, and of columns that have to become names of Python."""

import difflib
import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from serve_app.contract import Features
from serve_app.models import MODELS
from training.errors import InvalidData, TrainingError

# Names that pydantic keeps for itself begin so.
PROTECTED = ("model_dump", "model_validate")
# Columns of a file in an error.
MOST_LISTED = 30
MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


def require_model_name(name: str) -> None:
    """Refuse what cannot be a module, a folder and a part of a URL. Raises TrainingError."""
    if MODEL_NAME.fullmatch(name) and not keyword.iskeyword(name):
        if name in MODELS:
            raise TrainingError(f"NAME: {name} is one of Sluice's own models; choose another name")
        return
    proposed = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    advice = f", such as {proposed}" if MODEL_NAME.fullmatch(proposed) else ""
    raise TrainingError(
        f"NAME: found {name!r}, expected small letters, digits and _, beginning with a "
        f"letter{advice}"
    )


def require_package_name(name: str) -> None:
    """Refuse what is no plain name of a Python package. Raises TrainingError."""
    is_taken = name in ("serve_app", "training", "tests", "benchmarks")
    if not name.isidentifier() or keyword.iskeyword(name) or is_taken:
        raise TrainingError(
            f"--package: found {name!r}, expected a name of Python that is not Sluice's own, such "
            "as my_models"
        )


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """A Python name for each column: its own where it is one, else made from it."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:
        name = _field_name(column)
        base = name
        number = 2
        while name in taken:
            name = f"{base}_{number}"
            number += 1
        taken.add(name)
        names[column] = name
    return names


def _field_name(column: str) -> str:
    name = unicodedata.normalize("NFKC", column)
    if not name.isidentifier():
        name = re.sub(r"\W+", "_", name).strip("_").lower()
        if not name.isidentifier():
            name = f"column_{name}".rstrip("_")
    # A field may not begin with _, nor be what a pydantic model has already.
    name = name.lstrip("_") or "column"
    if name.startswith(PROTECTED):
        return f"the_{name}"
    if keyword.iskeyword(name) or hasattr(Features, name):
        return f"{name}_"
    return name


def class_name(model: str) -> str:
    """The model's name as the beginning of a class: telco_churn → TelcoChurn."""
    return "".join(word.capitalize() for word in model.split("_"))


def title_of(model: str) -> str:
    """The model's name for people."""
    return model.replace("_", " ").capitalize()


def folder_of(config: Path, package: str) -> Path:
    """Where the user's own models stand: next to the file that names them."""
    return config.resolve().parent / package


def find_column(asked: str, columns: Sequence[str], option: str) -> str:
    """The column of a file that a person names. Raises InvalidData with the nearest names."""
    if asked in columns:
        return asked
    folded = {column.strip().casefold(): column for column in columns}
    near = difflib.get_close_matches(asked.strip().casefold(), folded, 3, 0.6)
    listed = ", ".join(columns[:MOST_LISTED])
    if len(columns) > MOST_LISTED:
        listed += " …"
    proposed = ""
    if near:
        proposed = f"did you mean {' or '.join(folded[name] for name in near)}? "
    raise InvalidData(f"{option}: found no column {asked!r}; {proposed}The file has: {listed}")
