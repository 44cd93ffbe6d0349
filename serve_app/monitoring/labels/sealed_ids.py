"""Makes the ids of a server's predictions, and opens them again."""

import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from itertools import count
from math import nan
from secrets import randbits
from typing import Any

import numpy as np

from serve_app.errors import UnknownPrediction
from serve_app.monitoring.labels.carried import (
    Carried,
    carried_of,
    head_of,
    key_digest,
    plain_of,
    plains_of,
    run_code,
    version_code,
)
from serve_app.monitoring.labels.seal import NotSealed, Seal
from serve_app.monitoring.labels.shapes import Answers, Shaper
from serve_app.serving.answer import Answered

logger = logging.getLogger(__name__)

# Up to here one by one costs less.
FEW = 6


class SealedIds:
    """Ids that carry their predictions, for the router; `seal_now` gives the seal in force.

    `clock` gives seconds since 1970.
    """

    def __init__(
        self, shaper: Shaper, seal_now: Callable[[], Seal], clock: Callable[[], float] = time.time
    ) -> None:
        self._shaper = shaper
        self._seal_now = seal_now
        self._clock = clock
        # No two contents may be the same. Processes begin somewhere, so that hardly ever two have
        # the same number in the same second, and then all the rest would have to be the same too.
        self._unique = count(randbits(32))

    def ids_of(self, answered: Answered, positions: Sequence[int] | None) -> tuple[str, ...]:
        """One id a row."""
        assigned = answered.assigned
        # Where stable stood in for a candidate, the label says nothing of either arm.
        is_own = bool(assigned.run) and answered.version == assigned.version
        head = head_of(
            self._shaper.shape,
            int(self._clock()),
            next(self._unique),
            version_code(answered.version),
            run_code(assigned.run) if is_own else 0,
            assigned.phase if is_own else 0,
            key_digest(answered.routing_key),
        )
        rows = positions if positions is not None else range(len(answered.rows))
        is_positive, numbers = self._answers(answered)
        seal = self._seal_now()
        if len(rows) > FEW:
            return seal.seal_many(
                plains_of(head, np.fromiter(rows, np.int64), is_positive, numbers)
            )
        each = zip(rows, is_positive.tolist(), numbers.tolist(), strict=True)
        return seal.seal([plain_of(head, *row) for row in each])

    def _answers(self, answered: Answered) -> Answers:
        if answered.scores is not None:
            try:
                return self._shaper.answers(answered.scores, answered.parameters)
            except Exception:
                # Numbers that cannot be carried cost their labels, not the answer.
                logger.exception("the scores of version %s cannot be carried", answered.version)
        n_rows = len(answered.rows)
        return np.zeros(n_rows, bool), np.full((n_rows, 3), nan)

    def open(self, prediction_id: Any) -> tuple[Carried, int]:
        """What an id carries, and the 64 bits by which its label is known.

        Raises UnknownPrediction, whatever was sent.
        """
        if not isinstance(prediction_id, str):
            raise UnknownPrediction("prediction_id: expected a text.")
        try:
            plain = self._seal_now().open(prediction_id)
        except NotSealed as error:
            raise UnknownPrediction(f"prediction_id: {error}.") from None
        carried = carried_of(plain)
        if carried is None or carried.shape != self._shaper.shape:
            raise UnknownPrediction(
                "prediction_id: another kind of model or another release of Sluice made it; it "
                "cannot be joined here."
            )
        return carried, id_of(prediction_id)


def id_of(prediction_id: str) -> int:
    """64 bits of an id's seal, which is as good as random."""
    return int.from_bytes(urlsafe_b64decode(prediction_id[:12])[:8], "big")
