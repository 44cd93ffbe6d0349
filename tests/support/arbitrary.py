"""What parsers are tried on: any value, and valid documents in which one place is not."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# Values that have broken parsers somewhere.
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        0.0,
        -0.0,
        0.5,
        1e-320,
        1e308,
        2**31,
        2**53 + 1,
        -(2**63),
        2**64,
    ),
    *(10**400, float("nan"), float("inf"), -float("inf")),
    *("", " ", "0", "1.0.0", "1.0.0\n", "01.0.0", "../../etc/passwd", "a\0b", "\x1b[31m", "\u202e"),
    *("é" * 300, "x" * 5_000, "null", "NaN", "{}", "__class__", "2026-11-28T18:30:00Z", "shadow"),
    *([], {}, [None], [[]], {"": None}, {"a": {"a": {"a": []}}}),
)
_leaves = (
    st.sampled_from(ODD).map(copy.deepcopy) | st.integers() | st.floats() | st.text(max_size=9)
)
# Two levels by hand: `st.recursive` costs ten times as much.
json_values = (
    _leaves
    | st.lists(_leaves, max_size=3)
    | st.dictionaries(st.text(max_size=9), _leaves | st.lists(_leaves, max_size=2), max_size=3)
)


@st.composite
def mutated(draw: st.DrawFn, document: Any, most: int = 2) -> Any:
    """A copy of a JSON document in which one or some places are changed, gone, new or doubled."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(changed))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["set", "set", "remove", "rename", "repeat"])):
            case "set":
                holder[key] = draw(json_values)
            case "remove":
                del holder[key]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.text(max_size=12))] = holder.pop(key)
            case _ if isinstance(holder, list):
                holder.insert(0, copy.deepcopy(holder[key]))
            case _:
                holder[draw(st.text(max_size=12))] = draw(json_values)
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document, as what holds it and its key there."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])
