"""The part `quality` of the report: a server tells labels and scores, the coordinator sums them."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from serve_app.contract import ModelSpec
from serve_app.contract.labels import name_of_label
from serve_app.errors import NotReady, StateError
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.labels.shapes import Label, Shape, Shaper
from serve_app.monitoring.quality.book import Book, book_of
from serve_app.monitoring.quality.kept import Kept
from serve_app.monitoring.quality.score_counter import ScoreCounter
from serve_app.monitoring.quality.sums import Sums
from serve_app.monitoring.quality.unjudged import of_rollout
from serve_app.monitoring.quality.view import QualityView, view_of
from serve_app.serving.versions import Versions
from serve_app.statistics.loss_test import LabelEvidence

logger = logging.getLogger(__name__)

KEEP_EVERY_S = 10.0
# Reports that are kept until the book has been read. Scores of more are lost, and labels too.
MOST_WAITING = 1_000
BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class QualityReport:
    """A server's part: labels and sums of scores since the last, and metrics of its versions."""

    labels: tuple[Label, ...]
    scores: Mapping[str, Sums]
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class QualityReply:
    """The coordinator's part: the versions that labels may be of."""

    versions: tuple[str, ...]


class QualityReporter:
    """The part's end in a server."""

    name = "quality"

    def __init__(self, feedback: Feedback, scores: ScoreCounter, versions: Versions) -> None:
        self._feedback = feedback
        self._scores = scores
        self._versions = versions

    def take(self) -> QualityReport:
        """What came since."""
        metrics = {
            version: {name: metric.value for name, metric in member.opened.manifest.metrics.items()}
            for version, member in self._versions.members().items()
            if member.opened is not None
        }
        return QualityReport(self._feedback.take(), self._scores.take(), metrics)

    def follow(self, told: QualityReply) -> None:
        """Know the versions that the coordinator knows."""
        self._feedback.learn(told.versions)

    async def alone(self, seconds: float) -> None:
        """Labels wait here; when there are too many, more are refused."""


class Quality:
    """The part's end in the coordinator: the book of a model, read and kept by `kept`.

    What comes before the book has been read waits for it: a label that the book has counted must
    not count again. `clock` gives seconds since 1970; `label_delay_days` are those of `args`.
    """

    name = "quality"

    def __init__(
        self,
        spec: ModelSpec,
        kept: Kept,
        clock: Callable[[], float] = time.time,
        *,
        label_delay_days: float | None = None,
    ) -> None:
        shaper = Shaper(spec)
        self._spec = spec
        self._shape = shaper.shape
        self._outputs = shaper.outputs if shaper.shape is Shape.OUTPUTS else ()
        self._kept = kept
        self._clock = clock
        self._label_delay_days = label_delay_days
        self._book: Book | None = None
        self._waiting: list[QualityReport] = []
        self._is_changed = False
        self._keeping = asyncio.Lock()
        self.trouble = ""

    def hear(self, server: str, taken: QualityReport, *, is_new: bool) -> None:
        """Add what a server tells, once."""
        if not is_new:
            return
        if self._book is not None:
            self._add(self._book, taken)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(taken)
        else:
            logger.error("labels of a report are lost: %s", self.trouble)

    def tell(self, server: str) -> QualityReply:
        """The versions that are known here."""
        book = self._book
        return QualityReply(() if book is None else tuple(book.days | book.metrics))

    def _add(self, book: Book, taken: QualityReport) -> None:
        now_s = self._clock()
        book.know(taken.metrics)
        book.add_labels(taken.labels, now_s)
        book.add_scores(taken.scores, now_s)
        if taken.labels or taken.scores:
            self._is_changed = True

    def labelled(
        self, run: str, stable: str, candidate: str, max_ratio: float
    ) -> LabelEvidence | None:
        """What labels say of a rollout's candidate, for its judge; None while nothing is known."""
        if self._book is None:
            return None
        found = self._book.follow_run(run, stable, candidate, max_ratio)
        unjudged = of_rollout(found.classes, self._classes, self._label_delay_days)
        return replace(found.test.evidence, unjudged=unjudged)

    @property
    def _classes(self) -> list[str]:
        """Names of the classes, by the place that labels have; of a binary one positive is last."""
        classes = [name_of_label(label) for label in self._spec.classes]
        if self._shape is Shape.BINARY:
            positive = name_of_label(self._spec.positive)
            classes = [*(name for name in classes if name != positive), positive]
        return classes

    def view(self) -> QualityView:
        """What labels and scores say. Raises NotReady."""
        if self._book is None:
            raise NotReady(self.trouble or "The coordinator has just started.")
        return view_of(
            self._book,
            self._spec.name,
            self._classes,
            self._clock(),
            trouble=self.trouble,
            label_delay_days=self._label_delay_days,
        )

    async def keep_forever(self, every_s: float = KEEP_EVERY_S) -> None:
        """Read the book, then keep it every few seconds until cancelled."""
        while True:
            await self.keep()
            await asyncio.sleep(every_s if self._book is not None else 1.0)

    async def keep(self) -> None:
        """Read the book if it has not been read, and write it if it has changed. Never raises."""
        async with self._keeping:
            await self._keep()

    async def _keep(self) -> None:
        try:
            if self._book is None:
                self._begin(await asyncio.to_thread(self._read))
            if self._is_changed and self._book is not None:
                self._is_changed = False
                self._book.forget(self._clock())
                text = json.dumps(self._book.to_json(), separators=(",", ":"))
                await asyncio.to_thread(self._kept.write, text)
            self.trouble = ""
        except Exception as error:
            # It is tried again; nothing is forgotten meanwhile.
            self._is_changed = self._book is not None
            said = str(error) if isinstance(error, StateError) else type(error).__name__
            if said != self.trouble:
                logger.error("the labels are not kept: %s", said)
            self.trouble = said

    def _read(self) -> Book:
        found = self._kept.read()
        if found is None:
            return Book(self._shape, self._outputs)
        try:
            return book_of(found, self._shape, self._outputs)
        except BROKEN as error:
            # Of another kind of model, or of a newer release: put aside, since we write over it.
            logger.error("what was kept of labels cannot be used, it begins again: %s", error)
            self._kept.put_aside(json.dumps(found).encode())
            return Book(self._shape, self._outputs)

    def _begin(self, book: Book) -> None:
        for taken in self._waiting:
            self._add(book, taken)
        self._waiting.clear()
        self._book = book
