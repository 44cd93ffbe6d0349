"""A server's end of labels: what came true is joined with its prediction, and waits to be told."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from serve_app.errors import HttpError, Overloaded, UnknownPrediction
from serve_app.monitoring.labels.carried import Carried, version_code, version_of
from serve_app.monitoring.labels.sealed_ids import SealedIds
from serve_app.monitoring.labels.shapes import Label, Shaper

# Until the coordinator has answered: what is told a second, and what may wait here.
MOST_TOLD = 10_000
MOST_WAITING = 50_000
# As what is counted of an id names its version that cannot be read.
UNKNOWN = "unknown"


class Feedback:
    """Joins labels with the predictions that their ids carry; no state but what is not told yet.

    `versions_now` gives the versions of this server's table, by which names that an id carries as a
    digest are known; `learn` adds those that the coordinator knows. `counts` has the labels since
    the start by version and outcome: `joined`, or the code of their error.
    """

    def __init__(
        self, shaper: Shaper, ids: SealedIds, versions_now: Callable[[], Iterable[str]]
    ) -> None:
        self._shaper = shaper
        self._ids = ids
        self._versions_now = versions_now
        self._told: dict[int, str] = {}
        self._waiting: list[Label] = []
        self._n_under_way = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    def learn(self, versions: Iterable[str]) -> None:
        """Know these versions too: those of old labels may be in no table any more."""
        self._told = {version_code(version): version for version in versions}

    @property
    def n_waiting(self) -> int:
        """Labels that were taken, and of which no coordinator has said that it heard them."""
        return len(self._waiting) + self._n_under_way

    def require_room(self, n_labels: int) -> None:
        """Refuse what could not be told. Raises Overloaded."""
        if len(self._waiting) + n_labels > MOST_WAITING:
            raise Overloaded(
                f"{len(self._waiting)} labels wait for the coordinator; try again later.",
                retry_after_s=5,
            )

    def add(self, prediction_id: Any, actual: Any) -> None:
        """Join one label. Raises UnknownPrediction or InvalidLabel; nothing else, whatever comes.

        That it was sent before is not known here: the coordinator counts it once.
        """
        try:
            label = self._joined(prediction_id, actual)
        except HttpError as error:
            self.counts[UNKNOWN, error.code] += 1
            raise
        self.counts[label.version, "joined"] += 1
        self._waiting.append(label)

    def _joined(self, prediction_id: Any, actual: Any) -> Label:
        carried, id_ = self._ids.open(prediction_id)
        truth = self._shaper.truth_of(actual)
        version = version_of(carried.version, self._known())
        if version is None:
            raise UnknownPrediction(
                "prediction_id: its version is in no table any more, and nothing is known of it."
            )
        return _label(carried, id_, version, truth)

    def _known(self) -> Mapping[int, str]:
        return self._told | {version_code(version): version for version in self._versions_now()}

    def take(self) -> tuple[Label, ...]:
        """The labels that came since, the oldest first; a second's worth of them.

        Those that were taken before were heard by then.
        """
        taken = tuple(self._waiting[:MOST_TOLD])
        del self._waiting[:MOST_TOLD]
        self._n_under_way = len(taken)
        return taken

    def told(self) -> None:
        """Note that the coordinator heard what was taken last."""
        self._n_under_way = 0


def _label(carried: Carried, id_: int, version: str, truth: tuple[float, ...]) -> Label:
    return Label(
        id_,
        version,
        carried.at_s,
        carried.is_positive,
        carried.numbers,
        truth,
        carried.run,
        carried.phase,
        carried.key,
    )
