"""Steady load in a thread of its own, every answer compared with what the pipeline says."""

import json
import threading
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.chaos.outcome import Outcome, count, failures, longest_gap_s, recovery_s
from benchmarks.contender import SLUICE
from benchmarks.errors import WrongAnswers
from benchmarks.open_loop import send_all
from benchmarks.question import Question
from benchmarks.steady import Shot, Stream

# A closed loop that is fast enough for any server here.
FASTEST = 20_000.0
USERS = 32


def capacity(url: str, question: Question, seconds: float) -> float:
    """Requests a second that the server answers when 32 clients ask as fast as they can."""
    stream = _stream(url, question, FASTEST)
    stream.users = lambda _: USERS
    send_all([stream], seconds)
    return sum(shot.status == 200 for shot in stream.shots) / seconds


def _stream(url: str, question: Question, rate: float) -> Stream:
    bodies = [SLUICE.body(rows) for rows in question.ask(1)]
    return Stream(url + SLUICE.path(1), bodies, lambda _: rate, keep_bodies=True)


@dataclass
class Load:
    """Single rows at a fixed rate until `stop`; the thread runs in a `with` block."""

    url: str
    question: Question
    rate: float
    seconds: float

    def __enter__(self) -> "Load":
        self._stream = _stream(self.url, self.question, self.rate)
        self._thread = threading.Thread(target=send_all, args=([self._stream], self.seconds))
        self._begin_s = time.perf_counter()
        self._fault_s = 0.0
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.ended = True
        self._thread.join()

    @property
    def at_s(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self._begin_s

    def note_fault(self) -> None:
        """The fault begins now."""
        self._fault_s = self.at_s

    @property
    def since_fault_s(self) -> float:
        """Seconds since the fault began."""
        return self.at_s - self._fault_s

    def is_right(self, shot: Shot) -> bool:
        """Whether an answer says what the pipeline says."""
        try:
            self.question.check("sluice", 1, shot.index, SLUICE.answers(shot.body))
        except (WrongAnswers, ValueError, KeyError, json.JSONDecodeError):
            return False
        return True

    def outcome(self, p99_ms: float | None = None, **known: object) -> Outcome:
        """What came of it, with what else is known; only after the `with` block.

        `p99_ms` is that of this load's good answers, unless it is said.
        """
        shots = self._stream.shots
        failed = failures(shots, self.is_right)
        good = {id(shot) for shot in shots} - {id(shot) for shot, _ in failed}
        if p99_ms is None:
            latencies = [shot.latency_ms for shot in shots if id(shot) in good]
            p99_ms = float(np.percentile(latencies or [0.0], 99))
        return Outcome(
            requests=len(shots),
            failed=count(failed),
            longest_gap_s=longest_gap_s(shots, failed),
            recovery_s=recovery_s(failed, self._fault_s),
            p99_ms=p99_ms,
            **known,  # type: ignore[arg-type]
        )
