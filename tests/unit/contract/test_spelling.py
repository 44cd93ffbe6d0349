"""The nearest choices to a value that is none: from the contract alone, and within a budget."""

from typing import Any

from serve_app.contract import Feature
from serve_app.contract.spelling import MOST_SUGGESTIONS, Budget, Spelling

CITIES = tuple(f"{name}{part}" for name in ("Bern", "Basel", "Luzern") for part in range(10))


def nearest(value: Any, budget: Budget | None = None, **changes: Any) -> str | None:
    """Return what is said of a value for a field of these choices."""
    given: dict[str, Any] = {"name": "city", "dtype": "category", "choices": CITIES}
    spelling = Spelling([Feature(**given | changes)])
    return spelling.nearest("city", value, budget or Budget())


def test_the_nearest_choices_come_first_and_the_others_are_counted() -> None:
    """Upper and lower case are no difference, and null is allowed where the field says so."""
    found = nearest("BRRN7")
    assert found is not None
    assert found.startswith("one of Bern7, ")
    assert found.endswith(" (the nearest) and 25 more")
    nullable = nearest("Bern77", nullable=True)
    assert nullable is not None
    assert nullable.endswith("and 25 more or null")


def test_choices_that_are_listed_anyway_need_no_suggestion() -> None:
    """Twenty choices fit into the sentence itself, so none is nearest."""
    assert nearest("Berm1", choices=CITIES[:20]) is None


def test_a_number_is_compared_as_it_is_written() -> None:
    """A code with a wrong digit is a typing error too."""
    found = nearest(10_128, dtype="int", choices=tuple(range(10_000, 10_120)))
    assert found is not None
    assert "10018" in found.partition(" (the nearest)")[0]


def test_what_nobody_can_have_meant_has_no_suggestion() -> None:
    """Too long, empty, of another type, or like no choice at all."""
    for value in ("?", "", "B" * 101, 1.5, None, ["Bern1"], {"a": 1}):
        assert nearest(value) is None


def test_a_request_has_a_budget() -> None:
    """The first few faults are helped; a list so long that comparing would take too long is not."""
    budget = Budget()
    found = [nearest("Bern", budget) is not None for _ in range(MOST_SUGGESTIONS + 2)]
    assert found == [True] * MOST_SUGGESTIONS + [False] * 2
    assert nearest("Bern", Budget(n_compared=len(CITIES) - 1)) is None
