"""Python expressions as text, on one line where there is room, else a part on each line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LINE = 100
INDENT = "    "
# Arguments whose value is a tuple.
TUPLES = ("classes=", "examples=")


@dataclass(frozen=True)
class Call:
    """`head` with `parts` in brackets: a call, a subscription, a tuple or a dictionary."""

    head: str
    parts: Sequence["Expression"]
    brackets: str = "()"


Expression = str | Call


def literal(value: Any) -> str:
    """A plain value as Python writes it, texts in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def number(value: float) -> str:
    """A number without a needless `.0`."""
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(value)


def choice(values: Sequence[Any], head: str = "", brackets: str = "()") -> Call:
    """Plain values in brackets."""
    return Call(head, [literal(value) for value in values], brackets)


def dictionary(pairs: Sequence[tuple[str, str]]) -> Call:
    """A dictionary of texts."""
    return Call("", [f"{literal(key)}: {literal(value)}" for key, value in pairs], "{}")


def written(prefix: str, expression: Expression, suffix: str = "", depth: int = 0) -> str:
    """Write `prefix`, the expression and `suffix`, indented by `depth` levels."""
    indent = INDENT * depth
    one_line = f"{indent}{prefix}{_flat(expression)}{suffix}"
    if isinstance(expression, str) or len(one_line) <= LINE:
        return one_line
    lines = [f"{indent}{prefix}{expression.head}{expression.brackets[0]}"]
    lines += [written("", part, ",", depth + 1) for part in expression.parts]
    lines.append(f"{indent}{expression.brackets[1]}{suffix}")
    return "\n".join(lines)


def _flat(expression: Expression) -> str:
    if isinstance(expression, str):
        return expression
    inner = ", ".join(_flat(part) for part in expression.parts)
    # A tuple of one needs its comma.
    is_tuple = expression.brackets == "()" and expression.head in ("", *TUPLES)
    comma = "," if is_tuple and len(expression.parts) == 1 else ""
    return f"{expression.head}{expression.brackets[0]}{inner}{comma}{expression.brackets[1]}"
