"""Which of many allowed values a client may have meant: the nearest ones by spelling.

A list of 5,000 choices is no help in an error, and costs more than the answer. Suggestions are
taken from the contract alone: what a client sent is compared, and never shown.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from serve_app.contract.feature import LISTED, Feature

N_NEAREST = 5
# Of 100: less alike is no typing error.
LEAST_ALIKE = 50
# A comparison takes as long as both texts are.
LONGEST = 100
# Comparing a text with 5,000 choices takes a third of a millisecond of the event loop.
MOST_SUGGESTIONS = 3
MOST_COMPARED = 30_000
# For a field that is none an answer lists all names of the contract. Two thousand times that would
# be megabytes.
MOST_LISTS = 20

# The positions of the closest of these texts to a text, the closest first.
Closest = Callable[[str, Sequence[str]], list[int]]


@dataclass
class Budget:
    """What is left of the suggestions and lists that one request may cost."""

    n_lists: int = MOST_LISTS
    n_suggestions: int = MOST_SUGGESTIONS
    n_compared: int = MOST_COMPARED


class Spelling:
    """Suggests choices for the fields of a contract whose choices are too many to be listed."""

    def __init__(self, contract: Iterable[Feature]) -> None:
        self._features = {
            feature.name: feature for feature in contract if len(feature.choices or ()) > LISTED
        }
        self._choices = {
            name: [str(choice) for choice in feature.choices or ()]
            for name, feature in self._features.items()
        }
        # Upper and lower case are no difference.
        self._folded = {
            name: [choice.casefold() for choice in choices]
            for name, choices in self._choices.items()
        }
        self._closest = _closest() if self._features else None

    def nearest(self, name: str, value: Any, budget: Budget) -> str | None:
        """What the field may hold, in words that begin with the nearest choices.

        None where nothing is near, where all choices are listed anyway, or where the budget of the
        request is used up.
        """
        choices = self._choices.get(name)
        if choices is None or self._closest is None or not isinstance(value, str | int):
            return None
        text = str(value)
        if not 0 < len(text) <= LONGEST:
            return None
        if budget.n_suggestions <= 0 or budget.n_compared < len(choices):
            return None
        budget.n_suggestions -= 1
        budget.n_compared -= len(choices)
        found = [choices[i] for i in self._closest(text.casefold(), self._folded[name])]
        if not found:
            return None
        n_more = len(choices) - len(found)
        null = " or null" if self._features[name].nullable else ""
        return f"one of {', '.join(found)} (the nearest) and {n_more:,} more{null}"


def _closest() -> Closest:
    # Imported late: most contracts have no list that is so long.
    from rapidfuzz import fuzz, process

    def closest(text: str, choices: Sequence[str]) -> list[int]:
        found = process.extract(
            text,
            choices,
            scorer=fuzz.ratio,
            limit=N_NEAREST,
            score_cutoff=LEAST_ALIKE,
        )
        return [position for _, _, position in found]

    return closest
