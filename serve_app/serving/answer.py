"""What one request was answered, and who hears of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from serve_app.contract import Features, Prediction
from serve_app.contract.block import Block, Scores

# Assignment and Answered are made for each request, and never changed. They are not frozen: that
# would cost a microsecond and a half, which is one per cent of a request.


@dataclass(slots=True)
class Assignment:
    """The version that should answer a request, and who chose it.

    `run` and `phase` name the stretch of a rollout that chose. `run` is empty where the weights of
    the table chose, or the caller did by `X-Model-Version`.
    """

    version: str
    run: str = ""
    phase: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A version that was asked and did not answer every row.

    `error` is what it raised. It is None when the version did answer, but `n_failed_rows` of the
    rows got no valid answer.
    """

    version: str
    error: Exception | None = None
    n_failed_rows: int = 0


@dataclass(slots=True)
class Answered:
    """One request with its outcome.

    `version` is the one that answered; it is empty, and `ids` and `predictions` too, when not even
    stable could. A prediction is None where the model failed on that row, as for `n_failed` of
    them. `block` and `scores`, (n_rows,) or (n_rows, n_outputs), are those of the version that
    answered, and `parameters` those of its bundle. `seconds` is how long the answer took.
    `is_abandoned`: the client left before, after so many seconds; nobody answered, and nobody knows
    what would have been.
    """

    rows: Sequence[Features]
    routing_key: str
    assigned: Assignment
    seconds: float = 0.0
    version: str = ""
    ids: tuple[str, ...] = ()
    predictions: Sequence[Prediction | None] = ()
    block: Block | None = None
    scores: Scores | None = None
    n_failed: int = 0
    failures: tuple[Failure, ...] = ()
    is_abandoned: bool = False
    parameters: Mapping[str, float] = field(default_factory=dict)


class Observer(Protocol):
    """Hears of each answered request once, right after it.

    It takes microseconds, and waits for nothing.

    A request that is refused before a version is asked is not told.
    """

    def heard(self, answered: Answered) -> None:
        """A request was answered or abandoned, or every version that was asked failed."""
