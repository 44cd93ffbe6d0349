"""The router of a server: it picks a version, asks it, and lets stable answer where it cannot."""

import logging
import math
from asyncio import CancelledError
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple, Protocol

from serve_app.contract import Features, ModelSpec, Prediction
from serve_app.contract.block import Block, Layout, Scores, has_failed
from serve_app.errors import HttpError, NotReady, Overloaded, UnknownVersion
from serve_app.serving import status
from serve_app.serving.answer import Answered, Assignment, Failure, Observer
from serve_app.serving.assignment import assign
from serve_app.serving.member import Opened
from serve_app.serving.prediction_id import IdMaker, RandomIds
from serve_app.serving.status import Description, Health, Readiness
from serve_app.serving.versions import Versions
from serve_app.settings import Limits, Table

logger = logging.getLogger(__name__)


class _Scored(NamedTuple):
    block: Block
    scores: Scores
    predictions: list[Prediction | None]
    n_failed: int
    parameters: Mapping[str, float]


class Assigner(Protocol):
    """What may choose the version in place of the table's weights: a rollout."""

    @property
    def percent(self) -> float:
        """The share of the routing keys that it gives the candidate now."""

    def assign(self, table: Table, routing_key: str) -> Assignment | None:
        """The version for a routing key; None when the table's weights decide."""


class Router:
    """What the HTTP routes ask; knows neither HTTP nor Ray.

    Every answer is told to the `observers`, in their order. `rows_under_way` are those of requests
    that have come in and are not answered yet.
    """

    def __init__(
        self,
        spec: ModelSpec,
        versions: Versions,
        observers: Iterable[Observer] = (),
        assigner: Assigner | None = None,
        ids: IdMaker | None = None,
    ) -> None:
        self._spec = spec
        self._versions = versions
        self._observers = tuple(observers)
        self._assigner = assigner
        self._ids = ids or RandomIds()
        self._layout = Layout(spec.contract)
        self.rows_under_way = 0

    @property
    def limits(self) -> Limits:
        """What this replica accepts now."""
        return self._versions.limits

    @property
    def answers_at_once(self) -> bool:
        """Whether every version is in this process and scored on the spot."""
        return self._versions.table is not None and all(
            member.opened is None or member.opened.at_once
            for member in self._versions.members().values()
        )

    @property
    def candidate_percent(self) -> float:
        """What a rollout gives its candidate now."""
        return self._assigner.percent if self._assigner else 0.0

    async def predict(
        self,
        rows: Sequence[Features],
        routing_key: str,
        forced: str | None,
        positions: Sequence[int] | None = None,
    ) -> Answered:
        """All rows answered by one version, and told to the observers.

        Prediction ids are made here, one for each row; `positions` are the places of the rows in
        the request, None for a single row. Raises an HttpError when not even stable can answer.
        """
        table = self._table()
        assigned = self._assigned(table, routing_key, forced)
        failures: list[Failure] = []
        begin_s = monotonic()
        self.rows_under_way += len(rows)
        try:
            version, scored = await self._answer(table, assigned.version, rows, begin_s, failures)
        except (Exception, CancelledError) as error:
            told = Answered(rows, routing_key, assigned, monotonic() - begin_s)
            told.failures = tuple(failures)
            # The client left.
            told.is_abandoned = isinstance(error, CancelledError)
            self._tell(told)
            raise
        finally:
            self.rows_under_way -= len(rows)
        answered = Answered(
            rows,
            routing_key,
            assigned,
            monotonic() - begin_s,
            version,
            (),
            scored.predictions,
            scored.block,
            scored.scores,
            scored.n_failed,
            tuple(failures),
            parameters=scored.parameters,
        )
        answered.ids = self._ids.ids_of(answered, positions)
        self._tell(answered)
        return answered

    def _tell(self, answered: Answered) -> None:
        for observer in self._observers:
            try:
                observer.heard(answered)
            except Exception:
                # The answer is right all the same, and the other observers must hear of it.
                logger.exception("%s did not take an answer", type(observer).__name__)

    def _table(self) -> Table:
        if self._versions.table is None:
            raise NotReady("This server has no table yet: user_config with `stable` is expected.")
        return self._versions.table

    def _assigned(self, table: Table, routing_key: str, forced: str | None) -> Assignment:
        if forced is not None:
            if forced not in table.names:
                raise UnknownVersion(f"X-Model-Version: expected one of {', '.join(table.names)}.")
            return Assignment(forced)
        if self._assigner is not None:
            chosen = self._assigner.assign(table, routing_key)
            if chosen is not None:
                return chosen
        salt = f"{self._spec.name}/{table.stable}"
        return Assignment(assign(salt, routing_key, table.stable, table.weights))

    async def _answer(
        self,
        table: Table,
        version: str,
        rows: Sequence[Features],
        begin_s: float,
        failures: list[Failure],
    ) -> tuple[str, _Scored]:
        """The answers of `version`, or of stable where it cannot give all of them in time.

        That is the stable of this table, also when another table takes over meanwhile; the stable
        of that one answers when this one has gone. Notes in `failures` what went wrong. Raises what
        stable raises.
        """
        ends_s = begin_s + table.limits.deadline_ms / 1000
        # Looked up before anything is awaited: later it may be in the table no more.
        stable = self._versions.ready(table.stable)
        if version != table.stable:
            candidate_deadline_s = table.limits.candidate_deadline_ms / 1000
            try:
                candidate = self._versions.ready(version)
                scored = await self._ask(version, candidate, rows, candidate_deadline_s)
                if not scored.n_failed:
                    return version, scored
                failures.append(Failure(version, None, scored.n_failed))
            except HttpError as error:
                failures.append(Failure(version, error))
            except Exception as error:
                # Whatever a candidate breaks, a client must not see it.
                logger.exception(
                    "version %s failed, stable answers",
                    version,
                    extra={"version": version, "n_rows": len(rows)},
                )
                failures.append(Failure(version, error))
        try:
            scored = await self._ask(table.stable, stable, rows, ends_s - monotonic())
            return table.stable, scored
        except Exception as error:
            failures.append(Failure(table.stable, error))
            newer = self._table().stable
            if newer == table.stable or monotonic() >= ends_s:
                raise
        return newer, await self._ask_newer(newer, rows, ends_s - monotonic(), failures)

    async def _ask_newer(
        self, version: str, rows: Sequence[Features], deadline_s: float, failures: list[Failure]
    ) -> _Scored:
        """The answers of the stable that took over meanwhile."""
        try:
            return await self._ask(version, self._versions.ready(version), rows, deadline_s)
        except Exception as error:
            failures.append(Failure(version, error))
            raise

    async def _ask(
        self, version: str, opened: Opened | None, rows: Sequence[Features], deadline_s: float
    ) -> _Scored:
        if opened is None:
            raise NotReady(f"Version {version} is not ready.")
        self._require_room(version, opened, len(rows))
        block = self._layout.block([row.__dict__ for row in rows])
        scores = await opened.scorer.score(block, deadline_s)
        return self._scored(opened, block, scores)

    def _require_room(self, version: str, opened: Opened, n_rows: int) -> None:
        """Refuse at once what would wait too long, since those behind would wait for longer still.

        Raises Overloaded.
        """
        limits = self.limits
        if opened.scorer.wait_s(n_rows) * 1000 > limits.max_wait_ms:
            raise Overloaded(
                f"More than {limits.max_wait_ms} ms of work wait for version {version}; "
                "try again later.",
                retry_after_s=limits.retry_after_s,
            )

    def _scored(self, opened: Opened, block: Block, scores: Scores) -> _Scored:
        """Scores to answers; a row with a NaN, or without a valid answer, is None."""
        parameters = opened.manifest.parameters
        predictions: list[Prediction | None] = []
        n_failed = 0
        for score in scores.tolist() if scores.ndim == 1 else _by_row(scores):
            prediction = None
            # NaN is the one number that is not equal to itself.
            if score == score:
                try:
                    prediction = self._spec.answer(score, parameters)
                except Exception as error:
                    # One row's answer, whatever is wrong with it, must not hurt the others.
                    version, kind = opened.manifest.version, type(error).__name__
                    logger.warning(
                        "version %s: no answer from a score: %s",
                        version,
                        kind,
                        extra={"version": version},
                    )
            n_failed += prediction is None
            predictions.append(prediction)
        if n_failed:
            version, n_rows = opened.manifest.version, len(predictions)
            logger.warning(
                "version %s failed on %d of %d rows",
                version,
                n_failed,
                n_rows,
                extra={"version": version, "n_rows": n_rows, "n_failed": n_failed},
            )
        return _Scored(block, scores, predictions, n_failed, parameters)

    def health(self) -> Health:
        """Say that the server is alive."""
        return status.health(self._versions)

    async def readiness(self) -> Readiness:
        """Whether stable answers now."""
        return await status.readiness(self._versions, self.candidate_percent)

    def description(self) -> Description:
        """Contract, versions, metrics, hashes."""
        return status.description(self._spec, self._versions, self.candidate_percent)


def _by_row(scores: Scores) -> list[Any]:
    """The scores (n_rows, n_outputs) as a list for each row; NaN for a row that failed."""
    failed = has_failed(scores).tolist()
    return [
        math.nan if is_failed else row
        for row, is_failed in zip(scores.tolist(), failed, strict=True)
    ]
