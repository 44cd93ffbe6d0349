"""A prediction log in a folder, with answers put into it as a router tells them."""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.monitoring.log.heard import HeardAnswers
from serve_app.monitoring.log.keeper import Keeper
from serve_app.monitoring.log.line import Line, LineWriter, Origin, Pseudonyms
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged
from serve_app.monitoring.log.writer import PredictionLog
from serve_app.serving.answer import Answered, Assignment
from serve_app.settings import LogOptions

NOW_S = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
MANIFEST = "a" * 64


def answered(
    spec: ModelSpec,
    rows: Sequence[Mapping[str, Any]],
    scores: Any,
    *,
    ids: Sequence[str] = (),
    key: str = "customer-7",
    assigned: str = "1.0.0",
    version: str = "1.0.0",
) -> Answered:
    """What a router tells of rows (plain values) with these scores."""
    found = np.array(scores, dtype=np.float64)
    failed = np.isnan(found if found.ndim == 1 else found.sum(axis=1))
    return Answered(
        rows=(),
        routing_key=key,
        assigned=Assignment(assigned),
        seconds=0.0015,
        version=version,
        ids=tuple(ids) or tuple(f"id-{i}" for i in range(len(rows))),
        predictions=[None if one else object() for one in failed],  # type: ignore[misc]
        block=Layout(spec.contract).block(rows),
        scores=found,
        n_failed=int(failed.sum()),
    )


class Disk(NamedTuple):
    """A disk of a terabyte that is empty, however full the test's own is."""

    total: int = 10**12
    free: int = 10**12


class LoggingServer:
    """One server that logs into a folder; its clock is the caller's, and it has no threads."""

    _numbers = itertools.count(1)

    def __init__(
        self,
        spec: ModelSpec,
        folder: Path | str,
        most_waiting_bytes: int = 2**62,
        disk: Disk | None = None,
        manifest: str = MANIFEST,
        application: str = "app",
        **options: Any,
    ) -> None:
        self.spec = spec
        self.place = LogPlace(str(folder))
        self.options: LogOptions | None = LogOptions(**options)
        self.answers = HeardAnswers(spec.name)
        self.name = f"{next(self._numbers):016x}"
        self.keeper = Keeper(
            self.place,
            spec.name,
            application,
            lambda: self.options.keep_days if self.options else None,
        )
        self.log = PredictionLog(
            self.answers,
            LineWriter(
                Origin(spec.name, application, self.name),
                Layout(spec.contract),
                Pseudonyms("secret"),
                lambda version: manifest,
            ),
            self.keeper,
            self.name,
            lambda: self.options,
            most_waiting_bytes,
            lambda spool: disk or Disk(),
        )
        if self.options is not None:
            self.answers.options = self.options

    def __del__(self) -> None:
        """Close its file."""
        with suppress(OSError):
            self.log.finish_part()

    @property
    def spool(self) -> Path:
        """Where its parts grow."""
        return self.keeper.spool

    def write(self, *heard: Answered, now_s: float = NOW_S) -> None:
        """Hear, and write what was heard."""
        for one in heard:
            self.answers.heard(one)
        self.log.write(now_s)

    def finish(self) -> None:
        """End the part and put it to its place."""
        self.log.finish_part()
        self.keeper.put_finished()

    def lines(self, **which: Any) -> list[Line]:
        """What a reader finds now."""
        return list(logged(self.place, self.spec.name, **which))

    def ids(self) -> list[str]:
        """The ids that a reader finds now."""
        return [name for line in self.lines() for name in line.ids]
