"""The router of a server: picks the version, asks it, and lets stable answer where a candidate cannot."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from time import monotonic

from serve_app.contract import Features, ModelSpec, Prediction
from serve_app.contract.block import Block, Layout, Scores
from serve_app.errors import HttpError, NotReady, RequestError, UnknownVersion
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.shadow import Shadow
from serve_app.serving import status
from serve_app.serving.assignment import assign
from serve_app.serving.status import Description, Health, Readiness
from serve_app.serving.versions import Opened, Versions
from serve_app.settings import Limits, Table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """The answers of one version to one request; None where the model failed on a row."""

    version: str
    predictions: list[Prediction | None]
    block: Block | None = field(default=None, repr=False)
    scores: Scores | None = field(default=None, repr=False)  # (n_rows,)
    ids: tuple[str, ...] = ()

    @property
    def n_failed(self) -> int:
        """Rows without an answer."""
        return sum(
            prediction is None for prediction in self.predictions
        )  # list.count compares whole models


class Router:
    """What the HTTP routes ask; knows neither HTTP nor Ray.

    `counts` holds (event, version) → number since the start: rows, fallbacks, failed rows. The edge exports them.
    `course` is what the table's rollout gives the candidate now; without one stable answers everybody.
    """

    def __init__(self, spec: ModelSpec, versions: Versions) -> None:
        self._spec = spec
        self._versions = versions
        self._layout = Layout(spec.contract)
        self.rows_under_way = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        self.course: ActiveRollout | None = None
        self._shadow = Shadow()

    @property
    def limits(self) -> Limits:
        """What this replica accepts now."""
        return self._versions.table.limits if self._versions.table else Limits()

    @property
    def answers_at_once(self) -> bool:
        """Whether every version is held in this process and scored on the spot."""
        return self._versions.table is not None and all(
            member.opened is None or member.opened.at_once
            for member in self._versions.members().values()
        )

    @property
    def candidate_percent(self) -> float:
        """What a rollout gives its candidate now."""
        return self.course.orders.percent if self.course else 0.0

    async def predict(
        self,
        rows: Sequence[Features],
        routing_key: str,
        forced: str | None,
        positions: Sequence[int] | None = None,
    ) -> Answered:
        """All rows answered by one version. Raises an HttpError when not even stable can answer."""
        table = self._table()
        course = self._course(table) if forced is None else None
        version = (
            course.assign(routing_key) if course else self._assigned(table, routing_key, forced)
        )
        self.rows_under_way += len(rows)
        begin_s = monotonic()
        try:
            answered = await self._answered(table, version, rows, begin_s)
        except Exception as error:  # a client that left is none of these, and a 4xx is the client's
            if course and not isinstance(error, RequestError):
                course.note(routing_key, version, monotonic() - begin_s, None)
            raise
        finally:
            self.rows_under_way -= len(rows)
        if course:
            self._note(course, routing_key, version, monotonic() - begin_s, answered)
        request_id = token_hex(16)
        ids = (request_id,) if positions is None else tuple(f"{request_id}-{i}" for i in positions)
        return Answered(
            answered.version, answered.predictions, answered.block, answered.scores, ids
        )

    async def _answered(
        self, table: Table, version: str, rows: Sequence[Features], begin_s: float
    ) -> Answered:
        deadline_s = table.limits.deadline_ms / 1000
        if version != table.stable:
            if answered := await self._ask_candidate(table, version, rows):
                return answered
            deadline_s -= monotonic() - begin_s
        return await self._ask(table.stable, rows, deadline_s)

    def _note(
        self, course: ActiveRollout, key: str, version: str, seconds: float, answered: Answered
    ) -> None:
        """Count an answer for the judge, and let the candidate score the same rows when it is in shadow."""
        block, scores = answered.block, answered.scores
        is_good = answered.version == version and not answered.n_failed and scores is not None
        course.note(
            key, version, seconds, float(scores[0]) if is_good and scores is not None else None
        )
        if course.orders.shadow and block is not None and scores is not None:
            candidate = self._versions.ready(course.candidate)
            if candidate and course.wants_pairs:
                deadline_s = course.table.limits.candidate_deadline_ms / 1000
                self._shadow.offer(course, candidate.scorer, key, block, scores, deadline_s)
            else:
                course.drop(len(block))

    def _course(self, table: Table) -> ActiveRollout | None:
        """The course of this table. A table that changed otherwise goes on with the orders that were in force."""
        course = self.course
        if course is None or course.table is table:
            return course
        if (
            table.rollout is None
            or course.table.rollout is None
            or table.rollout.id != course.table.rollout.id
        ):
            return None
        stable = self._versions.ready(table.stable)
        self.course = course.follow(table, course.orders, stable.manifest) if stable else None
        return self.course

    def _table(self) -> Table:
        if self._versions.table is None:
            raise NotReady("This server has no table yet: user_config with `stable` is expected.")
        return self._versions.table

    def _assigned(self, table: Table, routing_key: str, forced: str | None) -> str:
        if forced is None:
            return assign(
                f"{self._spec.name}/{table.stable}", routing_key, table.stable, table.weights
            )
        if forced not in table.names:
            raise UnknownVersion(f"X-Model-Version: expected one of {', '.join(table.names)}.")
        return forced

    async def _ask_candidate(
        self, table: Table, version: str, rows: Sequence[Features]
    ) -> Answered | None:
        """A candidate's answers if all of them are valid and in time; else None, charged to the candidate."""
        try:
            answered = await self._ask(version, rows, table.limits.candidate_deadline_ms / 1000)
            if not answered.n_failed:
                return answered
        except HttpError:
            pass
        except Exception:  # whatever a candidate breaks, a client must not see it
            logger.exception("version %s failed, stable answers", version)
        self.counts["fallbacks", version] += 1
        return None

    async def _ask(self, version: str, rows: Sequence[Features], deadline_s: float) -> Answered:
        opened = self._versions.ready(version)
        if opened is None:
            raise NotReady(f"Version {version} is not ready.")
        block = self._layout.block([row.__dict__ for row in rows])
        scores = await opened.scorer.score(block, deadline_s)
        answered = Answered(version, self._predictions(opened, scores), block, scores)
        self.counts["rows", version] += len(rows)
        if answered.n_failed:
            self.counts["failed_rows", version] += answered.n_failed
            logger.warning(
                "version %s failed on %d of %d rows", version, answered.n_failed, len(rows)
            )
        return answered

    def _predictions(self, opened: Opened, scores: Scores) -> list[Prediction | None]:
        """Scores to answers; a NaN, or a score that makes no valid answer, is None."""
        parameters = opened.manifest.parameters
        predictions: list[Prediction | None] = []
        for score in scores.tolist():
            try:
                predictions.append(self._spec.answer(score, parameters) if score == score else None)
            except (
                Exception
            ) as error:  # one row's answer, whatever is wrong with it, must not hurt the others
                logger.warning(
                    "version %s: no answer from a score: %s",
                    opened.manifest.version,
                    type(error).__name__,
                )
                predictions.append(None)
        return predictions

    def health(self) -> Health:
        """Alive."""
        return status.health(self._versions)

    async def readiness(self) -> Readiness:
        """Whether stable answers now."""
        return await status.readiness(self._versions, self.candidate_percent)

    def description(self) -> Description:
        """Contract, versions, metrics, hashes."""
        return status.description(self._spec, self._versions, self.candidate_percent)
