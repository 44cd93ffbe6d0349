"""Rows as two matrices: the one form in which they reach a model, and cross a process."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature

# How a missing text travels. A bundle says what its pipeline wants to see in its place.
MISSING_CATEGORY = ""

# One number for each row, (n_rows,): a probability or a value. Or one for each class or output,
# (n_rows, n_outputs). NaN says that this row failed.
Scores = NDArray[np.float64]

EPOCH = datetime(1970, 1, 1)
EPOCH_DAY = date(1970, 1, 1).toordinal()
MICROSECOND = timedelta(microseconds=1)
US_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as two matrices.

    `numbers` is (n_rows, n_numbers) float64 with NaN for missing: truth values are 0 and 1, dates
    are microseconds since 1970. `categories` is (n_rows, n_texts) of str, of closed and of open
    lists.
    """

    numbers: NDArray[np.float64]
    categories: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Block":
        return Block(self.numbers[rows], self.categories[rows])

    @staticmethod
    def concat(blocks: "Sequence[Block]") -> "Block":
        """One block with the rows of all, in order."""
        if len(blocks) == 1:
            return blocks[0]
        return Block(
            np.concatenate([block.numbers for block in blocks]),
            np.concatenate([block.categories for block in blocks]),
        )


class Layout:
    """Which field goes to which column; made once from a contract."""

    def __init__(self, contract: Iterable[Feature]) -> None:
        features = tuple(contract)
        numbers = tuple(feature for feature in features if not feature.is_text)
        self.number_names = tuple(feature.name for feature in numbers)
        self.category_names = tuple(feature.name for feature in features if feature.is_text)
        self._has_gaps = any(feature.nullable for feature in numbers)
        self._dates: dict[int, Callable[[Any], float]] = {
            i: _us_of_date if feature.dtype == "date" else _us_of_datetime
            for i, feature in enumerate(numbers)
            if feature.dtype in ("date", "datetime")
        }

    def block(self, rows: Sequence[Mapping[str, Any]]) -> Block:
        """Rows as mappings of plain values (None where missing) to a block.

        Dates are Python's own, or ISO texts.
        """
        shape = (len(rows), len(self.number_names))
        values = [[row[name] for name in self.number_names] for row in rows]
        for i, microseconds in self._dates.items():
            for row in values:
                row[i] = None if row[i] is None else microseconds(row[i])
        if self._has_gaps:
            numbers = np.array(values, dtype=np.float64)
        else:
            # Half the time, but it cannot read None.
            numbers = np.fromiter(chain.from_iterable(values), np.float64, shape[0] * shape[1])
        texts = [[row[name] or MISSING_CATEGORY for name in self.category_names] for row in rows]
        categories = np.array(texts, dtype=object).reshape(len(rows), len(self.category_names))
        return Block(numbers.reshape(shape), categories)

    def column(self, block: Block, name: str) -> NDArray[Any]:
        """(n_rows,) one field as it stands in the block, whose memory it shares."""
        if name in self.category_names:
            return block.categories[:, self.category_names.index(name)]
        return block.numbers[:, self.number_names.index(name)]


def _us_of_date(value: date | str) -> float:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    return float((day.toordinal() - EPOCH_DAY) * US_PER_DAY)


def _us_of_datetime(value: datetime | str) -> float:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return float((time - EPOCH) // MICROSECOND)


def has_failed(scores: Scores) -> NDArray[np.bool_]:
    """(n_rows,) whether a row has no score; one missing number of several is no score."""
    missing: NDArray[np.bool_] = np.isnan(scores)
    return missing if scores.ndim == 1 else np.asarray(missing.any(axis=1))


def principal_score(score: float | Sequence[float]) -> float:
    """The one number of a row's scores that is looked at where only one can be.

    It is the score itself, or the first of several outputs or classes.
    """
    return score[0] if isinstance(score, Sequence) else score
