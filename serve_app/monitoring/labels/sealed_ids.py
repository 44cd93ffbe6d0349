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
    NO_KEY,
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
from serve_app.monitoring.labels.shapes import Answer, Answers, Shaper
from serve_app.serving.answer import Answered

logger = logging.getLogger(__name__)

# Up to here one by one costs less: half where other work has filled the caches of the CPU, as it
# has in a server, and as much in a loop of nothing else.
FEW = 24


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
        run = phase = 0
        key = NO_KEY
        # Where stable stood in for a candidate, the label says nothing of either arm.
        if assigned.run and answered.version == assigned.version:
            run = run_code(assigned.run)
            phase = assigned.phase
            key = key_digest(answered.routing_key)
        version = version_code(answered.version)
        at_s = int(self._clock())
        head = head_of(self._shaper.shape, at_s, next(self._unique), version, run, phase, key)
        seal = self._seal_now()
        if positions is None:
            return (seal.seal(plain_of(head, 0, *self._few(answered)[0])),)
        if len(positions) > FEW:
            rows = np.fromiter(positions, np.int64)
            return seal.seal_many(plains_of(head, rows, *self._answers(answered)))
        each = zip(positions, self._few(answered), strict=True)
        return tuple([seal.seal(plain_of(head, row, *one)) for row, one in each])

    def _few(self, answered: Answered) -> Sequence[Answer]:
        """`_answers` row by row, without numpy where that can be: for one row it takes longest."""
        scores = answered.scores
        if scores is not None and scores.ndim == 1 and self._shaper.has_one_number:
            of_one = self._shaper.answer_of_one
            return [of_one(score, answered.parameters) for score in scores.tolist()]
        is_positive, numbers = self._answers(answered)
        return list(zip(is_positive.tolist(), numbers.tolist(), strict=True))

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
