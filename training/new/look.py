"""A file looked at as a whole: which columns are fields, and what is asked of the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from serve_app.contract import Kind
from training.errors import InvalidData, InvalidPipeline
from training.new.contract_text import Guess
from training.new.field import Field, LeftOut, Marks, Target
from training.new.guess import guess_field
from training.new.leaks import leaks
from training.new.names import field_names, find_column
from training.new.source import Source
from training.new.summary import Summary, summarize
from training.new.target import guess_target
from training.new.values import Row, examples, read_fields, read_target
from training.reading import require_rows

NO_TARGET = Target("", "regressor", "no target: an anomaly score, below zero for unusual rows")


@dataclass(frozen=True)
class Wishes:
    """What a person says of the file; None and empty where nothing is said."""

    target: str | None = None
    positive: str | None = None
    kind: Kind | None = None
    keep: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    marks: Marks = field(default_factory=Marks)


def look(
    source: Source,
    model: str,
    package: str,
    wishes: Wishes,
    wanted: Sequence[str] | None = None,
) -> tuple[Guess, list[Row]]:
    """All that is guessed of a file, and the rows that become the examples.

    `wanted` are the columns that a fitted pipeline takes, none where nobody knows; without a
    pipeline it is None. Raises InvalidData or InvalidPipeline.
    """
    summaries, sample = summarize(source.chunks())
    columns = list(summaries)
    target, rest = _target(summaries, columns, wishes)
    n_rows = next(iter(summaries.values())).n_rows
    require_rows(n_rows - target.n_missing, str(source.path))

    keep = {find_column(name, columns, "--keep") for name in wishes.keep}
    leave_out = {find_column(name, columns, "--leave-out") for name in wishes.leave_out}
    left: list[LeftOut] = []
    if wanted is not None:
        # A signature of the whole frame has the target too.
        wanted = [name for name in wanted if name != target.column]
        rest = _columns_of_pipeline(wanted, rest, source)
        keep = set(rest)
    fields: list[Field] = []
    names = field_names(rest)
    for column in rest:
        if column in leave_out:
            left.append(LeftOut(column, "--leave-out says so"))
            continue
        guessed = guess_field(summaries[column], names[column], wishes.marks, column in keep)
        if isinstance(guessed, Field):
            fields.append(guessed)
        else:
            left.append(guessed)

    values = read_fields(sample, fields)
    truth = pd.Series([0.0] * len(sample))
    if target.column:
        truth = read_target(sample, target)
        asked = [field for field in fields if field.column not in keep]
        found = leaks(asked, values, target, truth)
        left += found.values()
        fields = [field for field in fields if field.column not in found]
    if not fields:
        reasons = "; ".join(f"{one.column}: {one.why}" for one in left)
        raise InvalidData(f"{source.path}: found no column to learn from ({reasons})")
    _require_one_notation(fields, summaries, source)
    guess = Guess(model, package, source, n_rows, tuple(fields), tuple(left), target)
    return guess, examples(fields, values, target, truth)


def _target(
    summaries: dict[str, Summary], columns: list[str], wishes: Wishes
) -> tuple[Target, list[str]]:
    """The target, and the columns without it."""
    if wishes.target is None:
        if wishes.positive is not None or wishes.kind is not None:
            raise InvalidData("--positive and --kind: found no --target, expected one with them")
        return NO_TARGET, columns
    column = find_column(wishes.target, columns, "--target")
    target = guess_target(summaries[column], wishes.marks, wishes.positive, wishes.kind)
    return target, [name for name in columns if name != column]


def _columns_of_pipeline(wanted: Sequence[str], columns: list[str], source: Source) -> list[str]:
    """The columns of the file that a pipeline was fitted on, in its order."""
    if not wanted:
        # Fitted on an array: it takes what is there, in the order of the file.
        return columns
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise InvalidPipeline(
            f"pipeline: it takes the columns {', '.join(wanted)}; found no "
            f"{', '.join(missing)} in {source.path}"
        )
    renamed = [column for column, name in field_names(wanted).items() if column != name]
    if renamed:
        raise InvalidPipeline(
            f"pipeline: it was fitted on columns whose names no field of a contract can have: "
            f"{', '.join(renamed)}; expected names of Python. Rename them and fit it again"
        )
    return list(wanted)


def _require_one_notation(
    fields: Sequence[Field], summaries: dict[str, Summary], source: Source
) -> None:
    """Refuse a file with decimal commas in one column and points in another: is 1.234 a thousand?

    Raises InvalidData.
    """
    commas = [f for f in fields if f.reading and dict(f.reading.arguments).get("decimal") == ","]
    numbers = [f for f in fields if f.dtype in ("int", "float") and summaries[f.column].is_number]
    points = [f for f in numbers if summaries[f.column].has_point]
    if commas and points:
        raise InvalidData(
            f"{source.path}: found decimal commas in {commas[0].column}, and points in "
            f"{points[0].column}; expected one of them in the whole file"
        )
