"""The observer: answers wait here, in the order in which they were given, until they are written.

It is on the path of every request, so it only takes references: what is written costs its own
thread.
"""

from collections import deque
from time import time
from typing import NamedTuple

from serve_app.contract.block import Block, Scores
from serve_app.serving.answer import Answered
from serve_app.serving.assignment import position_percent
from serve_app.settings import LogOptions

# About four seconds of what a server answers at most, and 40 MB of a model with 200 fields.
MOST_WAITING_ROWS = 20_000


class Kept(NamedTuple):
    """One request as it is kept: its rows, and what they were answered.

    `at_s` is seconds since 1970 at the answer, `seconds` how long it took. `failed` says for each
    row whether it got no valid answer; it is None where all did.
    """

    at_s: float
    ids: tuple[str, ...]
    assigned: str
    version: str
    routing_key: str
    seconds: float
    block: Block
    scores: Scores
    failed: tuple[bool, ...] | None


class HeardAnswers:
    """Hears of each answer, and keeps it until `taken`. Beyond `most_rows` that wait, it drops.

    `n_heard` and `n_dropped` count rows since the start. One thread hears, and one takes.
    """

    def __init__(self, model: str, most_rows: int = MOST_WAITING_ROWS) -> None:
        self.options = LogOptions()
        self.n_heard = 0
        self.n_dropped = 0
        self._n_taken = 0
        self._salt = f"log/{model}"
        self._most_rows = most_rows
        self._waiting: deque[Kept] = deque()

    def heard(self, answered: Answered) -> None:
        """Keep what was answered; what nobody answered has no id to be asked for."""
        block = answered.block
        scores = answered.scores
        if block is None or scores is None or not answered.ids:
            return
        if self.options.sample_percent < 100 and not self._is_sampled(answered.routing_key):
            return
        n_rows = len(answered.ids)
        if self.n_heard - self._n_taken + n_rows > self._most_rows:
            self.n_dropped += n_rows
            return
        failed = None
        if answered.n_failed:
            failed = tuple(prediction is None for prediction in answered.predictions)
        self.n_heard += n_rows
        self._waiting.append(
            Kept(
                time(),
                answered.ids,
                answered.assigned.version,
                answered.version,
                answered.routing_key,
                answered.seconds,
                block,
                scores,
                failed,
            )
        )

    def taken(self) -> list[Kept]:
        """Everything that waits, which waits no more.

        Without what `options` leave out now: it may have been heard before they were known.
        """
        # Appending and popping are one step each, so that the two threads need no lock.
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._n_taken += sum(len(entry.ids) for entry in entries)
        if self.options.sample_percent >= 100:
            return entries
        return [entry for entry in entries if self._is_sampled(entry.routing_key)]

    def _is_sampled(self, routing_key: str) -> bool:
        """By the key, so that all rows of a customer are kept or none; also in every server."""
        return position_percent(self._salt, routing_key) < self.options.sample_percent
