"""The contract of a guessed model as a Python module that a person reads and corrects."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from training.new.field import Field, LeftOut, Target
from training.new.names import class_name, title_of
from training.new.python_text import Call, Expression, choice, literal, number, written
from training.new.source import Source
from training.new.values import Row

TYPES = {"bool": "bool", "date": "Date", "datetime": "DateTime"}


@dataclass(frozen=True)
class Guess:
    """All that was guessed of a file: what becomes the files of a model."""

    model: str
    package: str
    source: Source
    n_rows: int
    fields: tuple[Field, ...]
    left_out: tuple[LeftOut, ...]
    target: Target

    @property
    def module(self) -> str:
        """What `args.model` names: the module with SPEC."""
        return f"{self.package}.{self.model}"

    @property
    def features_class(self) -> str:
        """The class of the rows."""
        return f"{class_name(self.model)}Features"


def contract_text(guess: Guess, examples: Sequence[Row]) -> str:
    """The whole module, which ends with SPEC."""
    fields = "\n".join(_field_text(field) for field in guess.fields)
    spec = _spec(guess, examples)
    parts = [_head(guess), _imports(guess.fields), "", "", _class(guess, fields), "", "", spec, ""]
    return "\n".join(parts)


def _head(guess: Guess) -> str:
    what = f"predicts {guess.target.column}" if guess.target.column else "says what is unusual"
    file = guess.source.path.name
    lines = [
        f"{title_of(guess.model)}: {what}. Guessed from {file} ({guess.n_rows:,} rows).",
        "",
        "The comment above a field says what was found. Correct what is wrong, then train the next",
        "version:",
        "",
        f"    python -m training {guess.module} --version 1.1.0 --data {file}",
    ]
    if guess.left_out:
        lines += ["", "Columns of the file that are no fields:", ""]
        for left in guess.left_out:
            lines += wrapped(f"{left.column}: {left.why}", "    ", "        ")
    return docstring(lines)


def _imports(fields: Sequence[Field]) -> str:
    """The imports that the fields need."""
    texts = [_flat_annotation(field) for field in fields]
    names = {"Example", "Features", "ModelSpec"}
    words = " ".join(texts)
    names |= {name for name in ("Choice(", "Text(") if name in words}
    names = {name.rstrip("(") for name in names}
    names |= {TYPES[field.dtype] for field in fields if field.dtype in ("date", "datetime")}
    typing = [name for name in ("Annotated", "Literal") if f"{name}[" in words]
    lines = []
    if typing:
        lines += [f"from typing import {', '.join(typing)}", ""]
    if "Field(" in words:
        lines += ["from pydantic import Field", ""]
    lines.append(f"from serve_app.contract import {', '.join(sorted(names))}")
    return "\n".join(lines)


def _class(guess: Guess, fields: str) -> str:
    return (
        f"class {guess.features_class}(Features):\n"
        f'    """One row, as clients send it."""\n\n{fields}'
    )


def _field_text(field: Field) -> str:
    why = field.why[:1].upper() + field.why[1:] + "."
    comment = "\n".join(wrapped(why, "    # ", "    # "))
    suffix = " | None" if field.nullable else ""
    return f"{comment}\n{written(f'{field.name}: ', _annotation(field), suffix, 1)}"


def _flat_annotation(field: Field) -> str:
    return written("", _annotation(field))


def _annotation(field: Field) -> Expression:
    """The type of a field; the file's own name of the column is its description."""
    about: list[Expression] = []
    if field.column != field.name:
        about.append(f"description={literal(field.column)}")
    if field.minimum is not None and field.maximum is not None:
        bounds = [f"ge={number(field.minimum)}", f"le={number(field.maximum)}"]
        return Call("Annotated", [field.dtype, Call("Field", [*bounds, *about])], "[]")
    parts = _unbounded(field)
    if about:
        parts.append(Call("Field", about))
    if len(parts) == 1:
        return parts[0]
    return Call("Annotated", parts, "[]")


def _unbounded(field: Field) -> list[Expression]:
    """The type of a field without bounds, and what narrows it."""
    if field.dtype == "category":
        return [choice(field.choices or (), "Literal", "[]")]
    if field.dtype == "text":
        return ["str", f"Text({field.max_length})"]
    if field.choices is not None:
        return ["int", Call("Choice", [choice(field.choices)])]
    return [TYPES[field.dtype]]


def _spec(guess: Guess, examples: Sequence[Row]) -> str:
    target = guess.target
    parts: list[Expression] = [
        f"name={literal(guess.model)}",
        f"title={literal(title_of(guess.model))}",
        f"kind={literal(target.kind)}",
        f"target={literal(target.column)}",
    ]
    if target.classes:
        parts.append(Call("classes=", [literal(label) for label in target.classes]))
    if target.positive is not None:
        parts.append(f"positive={literal(target.positive)}")
    parts.append(f"features={guess.features_class}")
    parts.append(Call("examples=", [_example(guess, row) for row in examples]))
    comment = "\n".join(wrapped(f"{target.why[:1].upper()}{target.why[1:]}.", "# ", "# "))
    return f"{comment}\n{written('SPEC = ', Call('ModelSpec', parts))}"


def _example(guess: Guess, row: Row) -> Call:
    values = [f"{name}={literal(value)}" for name, value in row.values.items()]
    features = Call(guess.features_class, values)
    return Call("Example", [literal(row.name), literal(row.summary), features])


def docstring(lines: Sequence[str]) -> str:
    """Lines as the docstring of a module; nothing in them ends it."""
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n"""\n'


def wrapped(text: str, first: str, later: str) -> list[str]:
    """A text in lines of 100 columns."""
    return textwrap.wrap(
        " ".join(text.split()),
        100,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
