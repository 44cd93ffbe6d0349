"""Predictions and labels of a model in this process, as a server and its coordinator have them."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from serve_app.contract import Features, ModelSpec
from serve_app.errors import NotReady, StateError
from serve_app.models import get_spec
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.labels.seal import Seal
from serve_app.monitoring.labels.sealed_ids import SealedIds
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.monitoring.quality.view import QualityView
from serve_app.serving.answer import Answered, Assignment

SECRET = bytes(range(32))
DAY_S = 86_400
# Some day of 2027.
NOW_S = 20_800 * DAY_S + 3_600
CHURN = get_spec("churn")
ROW = CHURN.examples[0].row


class Size(Features):
    """One number, for models of which only the kind matters."""

    size: Annotated[float, Field(ge=0, le=1)]


def spec_of(kind: Any, **more: Any) -> ModelSpec:
    """A small model of a kind."""
    more = {"target": "truth", **more}
    return ModelSpec(name="small", title="A small model", kind=kind, features=Size, **more)


VALUE = spec_of("regressor")
CLASSES = spec_of("classifier", classes=("low", "mid", "high"))
WHOLE_CLASSES = spec_of("classifier", classes=(1, 2, 3))
QUANTILES = spec_of("regressor", outputs=("q05", "q50", "q95"))
OUTPUTS = spec_of("regressor", target="", outputs=("grams", "metres"))
ANOMALY = spec_of("regressor", target="")


class InMemory:
    """Where a coordinator keeps its book; while `error` is set, it cannot."""

    def __init__(self) -> None:
        self.data = b""
        self.aside = b""
        self.error: StateError | None = None

    def read(self) -> bytes | None:
        """What was written last."""
        if self.error is not None:
            raise self.error
        return self.data or None

    def put_aside(self, found: bytes) -> None:
        """Noted."""
        self.aside = found

    def write(self, data: bytes) -> None:
        """Noted."""
        if self.error is not None:
            raise self.error
        self.data = data


class Unknowing:
    """A coordinator that has just started; `found` is what it knows later."""

    def __init__(self, found: QualityView | None = None) -> None:
        self.found = found

    async def view(self) -> QualityView:
        """What the route asks."""
        if self.found is None:
            raise NotReady("The coordinator has just started.")
        return self.found


class Predicting:
    """A server's ids and labels: `answer` gives the ids of an answer, `feedback` takes labels."""

    def __init__(
        self, spec: ModelSpec = CHURN, secrets: Sequence[bytes] = (SECRET,), now_s: float = NOW_S
    ) -> None:
        self.spec = spec
        self.now_s = now_s
        self.seal = Seal(secrets, spec.name)
        shaper = Shaper(spec)
        self.ids = SealedIds(shaper, lambda: self.seal, lambda: self.now_s)
        self.versions: list[str] = ["1.0.0"]
        self.feedback = Feedback(shaper, self.ids, lambda: self.versions)

    def answer(
        self,
        scores: Any,
        version: str = "1.0.0",
        key: str = "ada",
        assigned: Assignment | None = None,
        parameters: dict[str, float] | None = None,
    ) -> tuple[str, ...]:
        """The ids of a batch with these scores."""
        found = np.array(scores, dtype=np.float64)
        answered = Answered(
            [ROW] * len(found), key, assigned or Assignment(version), version=version
        )
        answered.scores = found
        answered.parameters = parameters or {}
        return self.ids.ids_of(answered, range(len(found)))
