"""Cells of a column to values, a whole column at a time, in place of a row at a time.

A column is read only when every cell is plainly what the contract takes. What is not plain is left
to the reader of rows, which is the server's own: it has the last word and the reason.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Literal, get_args, get_origin

import annotated_types
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from serve_app.commands.diff.csv_rows import TRUTHS
from serve_app.contract import Choice, Feature, Features, ModelSpec
from serve_app.contract.block import Layout
from serve_app.contract.feature import is_iso
from serve_app.contract.fields import Text

Column = NDArray[Any]
# Reads all cells of a column, (n_rows,). Raises ValueError when one of them is not plain.
ReadColumn = Callable[[Sequence[str]], Column]

# `float()` also reads 1_000, nan and the digits of other scripts, which are no numbers in a file.
NO_NUMBER = re.compile(r"[^0-9+\-.eE \t\n\r\f\v;]")
# What an author may write on a field so that the contract says all about it.
PLAIN = (
    annotated_types.Ge,
    annotated_types.Gt,
    annotated_types.Le,
    annotated_types.MaxLen,
    Choice,
    Text,
)
TYPES = {int, float, str, bool, date, datetime, type(None)}
# Our own types of fields (`contract/fields.py`), whose rules are the contract's.
OURS = ("_Iso", "_Unbounded")


class NotPlain(ValueError):
    """A cell of a column may be refused, or is written in an unusual way."""


def column_reader(feature: Feature) -> ReadColumn:
    """How the cells of a field are read."""
    if feature.dtype in ("int", "float"):
        return _numbers(feature)
    if feature.dtype == "bool":
        return _looked_up(feature, lambda cell: TRUTHS.get(cell.strip().lower()))
    if feature.dtype in ("date", "datetime"):
        return _looked_up(feature, _moment(feature))
    return _texts(feature)


def has_plain_rules(spec: ModelSpec) -> bool:
    """Whether a row is accepted exactly when the contract accepts each of its values.

    It is not where the author of the contract wrote validators of his own, or another setting.
    """
    type_ = spec.features
    decorators = type_.__pydantic_decorators__
    has_validators = (
        decorators.validators
        or decorators.field_validators
        or decorators.root_validators
        or decorators.model_validators
    )
    is_changed = type_.model_post_init is not BaseModel.model_post_init
    if has_validators or is_changed or type_.model_config != Features.model_config:
        return False
    return all(_is_plain(field) for field in type_.model_fields.values())


def _is_plain(field: FieldInfo) -> bool:
    types, rules = _parts(field.annotation)
    rules += field.metadata
    kinds = [type(rule).__name__ for rule in rules]
    if len(set(kinds)) < len(kinds):
        # Of two rules of one kind the contract would know the last one only.
        return False
    has_dates = bool(types & {date, datetime})
    return (
        types <= TYPES and has_dates == ("_Iso" in kinds) and all(_is_known(rule) for rule in rules)
    )


def _is_known(rule: Any) -> bool:
    if isinstance(rule, annotated_types.MinLen):
        return rule.min_length == 1
    return isinstance(rule, PLAIN) or type(rule).__name__ in OURS


def _parts(annotation: Any) -> tuple[set[Any], list[Any]]:
    """The types of an annotation, and the rules inside, as in `Annotated[int, Field(ge=0)] | None`.

    A list of texts has the type `str`.
    """
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}, []
    if hasattr(annotation, "__metadata__"):
        types, rules = _parts(annotation.__origin__)
        for rule in annotation.__metadata__:
            rules += rule.metadata if isinstance(rule, FieldInfo) else [rule]
        return types, rules
    if not get_args(annotation):
        return {annotation}, []
    parts = [_parts(part) for part in get_args(annotation)]
    return set().union(*(types for types, _ in parts)), [
        rule for _, rules in parts for rule in rules
    ]


def _numbers(feature: Feature) -> ReadColumn:
    is_int = feature.dtype == "int"

    def read(cells: Sequence[str]) -> Column:
        # One search through all cells at once costs a fifth of one in each.
        if NO_NUMBER.search("".join(cells)):
            raise NotPlain
        if feature.nullable:
            missing = float("nan")
            values = np.array([float(cell) if cell else missing for cell in cells])
            found = values[~np.isnan(values)]
        else:
            found = values = np.fromiter(map(float, cells), np.float64, len(cells))
        if not _are_allowed(found, feature, is_int=is_int):
            raise NotPlain
        # A whole number has no -0.
        return values + 0.0 if is_int else values

    return read


def _are_allowed(values: Column, feature: Feature, *, is_int: bool) -> bool:
    if is_int and not (np.floor(values) == values).all():
        return False
    if feature.choices is not None:
        return bool(np.isin(values, np.array(feature.choices, dtype=np.float64)).all())
    low, above, high = feature.minimum, feature.exclusive_minimum, feature.maximum
    is_inside = np.isfinite(values)
    if low is not None:
        is_inside &= values >= low
    if above is not None:
        is_inside &= values > above
    if high is not None:
        is_inside &= values <= high
    return bool(is_inside.all())


def _looked_up(feature: Feature, value_of: Callable[[str], float | None]) -> ReadColumn:
    """Columns with few different cells: each of them is read once."""

    def read(cells: Sequence[str]) -> Column:
        known = {cell: value_of(cell) for cell in set(cells)}
        if feature.nullable:
            known[""] = float("nan")
        if None in known.values():
            raise NotPlain
        return np.array([known[cell] for cell in cells], dtype=np.float64)

    return read


def _moment(feature: Feature) -> Callable[[str], float | None]:
    layout = Layout([feature])

    def value_of(cell: str) -> float | None:
        if not is_iso(feature.dtype, cell):
            return None
        return float(layout.block([{feature.name: cell}]).numbers[0, 0])

    return value_of


def _texts(feature: Feature) -> ReadColumn:
    choices = {str(choice) for choice in feature.choices or ()}
    most = feature.max_length or 0

    def read(cells: Sequence[str]) -> Column:
        found = set(cells)
        if feature.nullable:
            found.discard("")
        if feature.dtype == "category":
            is_plain = found <= choices
        else:
            is_plain = all(0 < len(cell) <= most for cell in found)
        if not is_plain:
            raise NotPlain
        values = np.empty(len(cells), dtype=object)
        values[:] = cells
        return values

    return read
