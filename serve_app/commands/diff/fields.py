"""What became of the fields.

Clients send the fields of stable, so a candidate must take every row that stable takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from serve_app.contract import Feature

Contract = tuple[Feature, ...]
Kind = Literal["removed", "added", "retyped", "narrowed", "unit", "moved", "widened"]

# Why clients of stable notice, or that they do not. A field cannot be optional: nobody sends an
# added one.
REASONS: dict[Kind, str] = {
    "removed": "clients send it, and an unknown field is refused",
    "added": "clients do not send it, and every field is required",
    "retyped": "what clients send is of another type",
    "narrowed": "values that clients may send are refused",
    "unit": "the same number means something else",
    "moved": "columns reach a model by their position",
    "widened": "breaks nothing",
}


@dataclass(frozen=True)
class Change:
    """One field that is not as it was.

    `before` and `after` say what it may contain, its unit or its position.
    """

    field: str
    kind: Kind
    before: str
    after: str

    @property
    def breaks(self) -> bool:
        """True when a row that stable takes would be refused or misread."""
        return self.kind != "widened"

    @property
    def reason(self) -> str:
        """Why clients of stable notice, or that they do not."""
        return REASONS[self.kind]


def changes(stable: Contract, candidate: Contract) -> tuple[Change, ...]:
    """Find every difference, in the order of stable's fields; the candidate's own come last."""
    after = {feature.name: feature for feature in candidate}
    before = {feature.name for feature in stable}
    found = [change for old in stable for change in _field(old, after.get(old.name))]
    found += [
        Change(new.name, "added", "", new.allowed) for new in candidate if new.name not in before
    ]
    return (*found, *_moved(stable, candidate))


def _field(old: Feature, new: Feature | None) -> Iterator[Change]:
    if new is None:
        yield Change(old.name, "removed", old.allowed, "")
        return
    if not new.accepts_all_of(old):
        kind: Kind = "narrowed" if old.dtype == new.dtype else "retyped"
        yield Change(old.name, kind, old.allowed, new.allowed)
    elif not old.accepts_all_of(new):
        yield Change(old.name, "widened", old.allowed, new.allowed)
    # A unit that is only written down now says nothing new.
    if old.unit and new.unit and old.unit != new.unit:
        yield Change(old.name, "unit", old.unit, new.unit)


def _moved(stable: Contract, candidate: Contract) -> Iterator[Change]:
    """The first field that both have in different positions, counted among those that both have."""
    both = {feature.name for feature in stable} & {feature.name for feature in candidate}
    before = [feature.name for feature in stable if feature.name in both]
    after = [feature.name for feature in candidate if feature.name in both]
    for position, name in enumerate(before):
        if after[position] != name:
            yield Change(name, "moved", f"field {position + 1}", f"field {after.index(name) + 1}")
            return
