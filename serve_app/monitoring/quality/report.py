"""The part `quality` of the report: a server tells labels and scores, the coordinator sums them."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic_core import from_json

from serve_app.contract import ModelSpec
from serve_app.contract.labels import name_of_label
from serve_app.errors import NotReady, StateError
from serve_app.monitoring.file_turns import FileTurns
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.labels.shapes import Label, Shape, Shaper
from serve_app.monitoring.quality.additions import Additions
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
        """Know the versions that the coordinator knows, and that it heard the labels."""
        self._feedback.told()
        self._feedback.learn(told.versions)

    async def alone(self, seconds: float) -> None:
        """Labels wait here; when there are too many, more are refused."""


class Quality:
    """The part's end in the coordinator: the book of a model, read and kept by `kept`.

    What comes before the book has been read waits for it: a label that the book has counted must
    not count again. What another coordinator wrote meanwhile is gone on from (`FileTurns`).
    `clock` gives seconds since 1970; `label_delay_days` are those of `args`.
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
        self._turns = FileTurns(Additions)
        self._keeping = asyncio.Lock()
        self.trouble = ""

    def hear(self, server: str, taken: QualityReport, *, is_new: bool) -> None:
        """Add what a server tells, once."""
        if not is_new:
            return
        now_s = self._clock()
        n_over = self._turns.since.add(taken.labels, taken.scores, taken.metrics, now_s)
        if self._book is not None:
            self._book.know(taken.metrics)
            self._book.add_labels(taken.labels, now_s)
            self._book.add_scores(taken.scores, now_s)
        elif n_over:
            logger.error("%d labels of a report are lost: %s", n_over, self.trouble)

    def tell(self, server: str) -> QualityReply:
        """The versions that are known here."""
        book = self._book
        return QualityReply(() if book is None else tuple(book.days | book.metrics))

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
        """Read the book, and write it if there is something new. Never raises."""
        async with self._keeping:
            await self._keep()

    async def _keep(self) -> None:
        try:
            await self._read_and_write()
            self.trouble = ""
        except Exception as error:
            # It is tried again; nothing is forgotten meanwhile.
            said = str(error) if isinstance(error, StateError) else type(error).__name__
            if said != self.trouble:
                logger.error("the labels are not kept: %s", said)
            self.trouble = said

    async def _read_and_write(self) -> None:
        stored = await asyncio.to_thread(self._kept.read)
        is_news = self._turns.is_news(stored)
        found = None
        if stored is not None and is_news:
            found = await asyncio.to_thread(self._usable, stored)
            self._turns.took(stored)
        if found is not None or self._book is None:
            self._go_on(found or Book(self._shape, self._outputs))
        if self._turns.has_more and self._book is not None:
            self._book.forget(self._clock())
            data = json.dumps(self._book.to_json(), separators=(",", ":")).encode()
            self._turns.take()
            self._turns.sending(data)
            await asyncio.to_thread(self._kept.write, data)
            self._turns.arrived()

    def _usable(self, stored: bytes) -> Book | None:
        try:
            # Unlike `json`, it says of what is nested too deep that it is no JSON.
            return book_of(from_json(stored), self._shape, self._outputs)
        except BROKEN as error:
            # Of another kind of model, or of a newer release: put aside, since we write over it.
            logger.error("what was kept of labels cannot be used: %s", error)
            self._kept.put_aside(stored)
            return None

    def _go_on(self, book: Book) -> None:
        """Know a book, and what was heard since that no file has."""
        if self._book is not None:
            book.know_runs(self._book.runs)
        self._turns.since.tell(book, self._clock())
        self._book = book
