"""Answers as the cells of a table: the fields of the model's answer, who gave it, and what failed.

A column whose name the file has already is called `answer_<name>`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from serve_app.contract import ModelSpec

VERSION = "model_version"
ERROR = "error"
MODEL_FAILED = "the model gave no valid answer for this row"
NUMBERS = (float, int)

# The cells of one row after those of the file: the answer's fields, the version, the error.
Tail = list[Any]


class AnswerColumns:
    """The columns that are added to a file with `header`.

    `types` has the type of each by its name there: float, int, bool or str. In a text file
    (`as_text`) a truth value is written as `true` or `false`. What is none of these four types,
    such as probabilities by class, is JSON.
    """

    def __init__(self, spec: ModelSpec, header: Sequence[str], *, as_text: bool) -> None:
        fields = spec.prediction.model_fields
        self._fields = tuple(fields)
        found = {name: _types_of(field.annotation) for name, field in fields.items()}
        self.types: dict[str, type] = {}
        for name, types in (found | {VERSION: {str}, ERROR: {str}}).items():
            shown = name
            while shown in header or shown in self.types:
                shown = f"answer_{shown}"
            self.types[shown] = _one_of(types)
        as_they_are = ({str}, {float}, {int}, {int, float}) + (() if as_text else ({bool},))
        self._in_json = [i for i, name in enumerate(self._fields) if found[name] not in as_they_are]
        self._n_empty = len(fields) + 1

    def good(self, answer: Mapping[str, Any], version: str) -> Tail:
        """The cells of a row with an answer."""
        tail = [answer[name] for name in self._fields]
        for i in self._in_json:
            value = tail[i]
            if value is not None and not isinstance(value, str):
                tail[i] = json.dumps(value, ensure_ascii=False)
        tail += (version, None)
        return tail

    def bad(self, reason: str) -> Tail:
        """The cells of a row without an answer."""
        return [None] * self._n_empty + [reason]


def _one_of(types: set[type]) -> type:
    """The type of a column that has values of these."""
    if types == {int, float}:
        return float
    return next(iter(types)) if len(types) == 1 and types <= {float, int, bool} else str


def _types_of(annotation: Any) -> set[type]:
    """The types that a field's values may have, but for None."""
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)} - {type(None)}
    if hasattr(annotation, "__metadata__"):
        return _types_of(annotation.__origin__)
    if get_origin(annotation) in (dict, list, tuple):
        return {get_origin(annotation)}
    if get_args(annotation):
        return set().union(*(_types_of(part) for part in get_args(annotation)))
    return {annotation} - {type(None)}
