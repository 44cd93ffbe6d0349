"""Which labels were counted: each once, in bounded memory."""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping

# 64 bits each; some 20 MB of Python, and 2 MB of text on disk.
MOST_SEEN = 200_000


class SeenLabels:
    """The ids of labels by the day of their prediction.

    With more than `most` of them the ids of the oldest day are forgotten. A label of such a day is
    still counted, and would be counted again if it were sent again.
    """

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._by_day: dict[int, set[int]] = {}
        self._n = 0

    def __len__(self) -> int:
        """How many are known."""
        return self._n

    def add(self, day: int, id_: int) -> bool:
        """Note a label; whether it is new."""
        known = self._by_day.setdefault(day, set())
        if id_ in known:
            return False
        known.add(id_)
        self._n += 1
        while self._n > self._most and len(self._by_day) > 1:
            self._n -= len(self._by_day.pop(min(self._by_day)))
        if self._n > self._most:
            # All of one day: any of them may go.
            known.pop()
            self._n -= 1
        return True

    def forget_before(self, day: int) -> None:
        """Forget what is too old to be counted at all."""
        for old in [each for each in self._by_day if each < day]:
            self._n -= len(self._by_day.pop(old))

    def to_json(self) -> dict[str, str]:
        """By day, the ids in base64."""
        return {
            str(day): b64encode(array("Q", sorted(known)).tobytes()).decode()
            for day, known in self._by_day.items()
        }

    @classmethod
    def from_json(cls, found: Mapping[str, str]) -> "SeenLabels":
        """What `to_json` gave. Raises ValueError, TypeError or AttributeError for anything else."""
        seen = cls()
        for day, text in found.items():
            ids = array("Q")
            ids.frombytes(b64decode(text, validate=True))
            seen._by_day[int(day)] = set(ids)
            seen._n += len(seen._by_day[int(day)])
        if seen._n > seen._most:
            raise ValueError(f"found {seen._n} labels that were counted, expected {seen._most}")
        return seen
