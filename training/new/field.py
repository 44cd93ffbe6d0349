"""What is guessed of the columns of a file: fields, what is left out, the target; each with why."""

from dataclasses import dataclass

from serve_app.contract import Kind, Label
from serve_app.contract.feature import DType


@dataclass(frozen=True)
class Reading:
    """How `map_columns` reads a column: a function of training/columns.py and its arguments."""

    function: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Field:
    """One field of the contract as it is guessed, and `why`.

    `reading` is None where the column can stay as pandas reads it.
    """

    column: str
    name: str
    dtype: DType
    why: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[int, ...] | tuple[str, ...] | None = None
    max_length: int | None = None
    is_free_text: bool = False
    reading: Reading | None = None


@dataclass(frozen=True)
class LeftOut:
    """A column that is no field, and why."""

    column: str
    why: str


@dataclass(frozen=True)
class Target:
    """The column to predict; without one it is an anomaly score, and `column` is empty."""

    column: str
    kind: Kind
    why: str
    classes: tuple[Label, ...] = ()
    positive: Label | None = None
    n_missing: int = 0
    reading: Reading | None = None
    is_text: bool = False


@dataclass(frozen=True)
class Marks:
    """What a person says of numbers and dates where a file does not: None is "not said"."""

    decimal: str | None = None
    thousands: str | None = None
    day_first: bool | None = None
