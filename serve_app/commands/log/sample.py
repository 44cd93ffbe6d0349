"""An even sample of logged rows in bounded memory, from as long a log as there is."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores
from serve_app.monitoring.log.line import Line
from serve_app.monitoring.log.reading import fields_of, rows_of

SEED = 20_261_128


@dataclass(frozen=True)
class LoggedRow:
    """A row as it was sent, without what the log does not have, and its scores as answered."""

    version: str
    row: dict[str, Any]
    score: Any


@dataclass
class Sample:
    """Some of the rows, each with the same chance, and how many each version answered in all.

    `n_partial` of those lack a field that was asked for, and are not among `rows`; `lacking` says
    which fields. Both by version, as `n_answered`.
    """

    rows: list[LoggedRow] = field(default_factory=list)
    n_answered: Counter[str] = field(default_factory=Counter)
    n_partial: Counter[str] = field(default_factory=Counter)
    lacking: dict[str, set[str]] = field(default_factory=dict)

    def of(self, version: str) -> list[LoggedRow]:
        """Those that a version answered."""
        return [row for row in self.rows if row.version == version]


def draw(
    lines: Iterable[Line],
    spec: ModelSpec,
    since: datetime | None,
    most_rows: int,
    answered_by: str | None = None,
    fields: Collection[str] = (),
) -> Sample:
    """Draw at most `most_rows` of the rows since then; twice as many are held at most.

    With `answered_by` only rows of that version are drawn, and only those with values of all
    `fields`; others are counted. Each row gets a number by chance, and those with the lowest
    numbers stay. The same log gives the same rows.
    """
    rng = np.random.default_rng(SEED)
    since_us = 0 if since is None else int(since.timestamp() * 1e6)
    sample = Sample()
    held: list[tuple[float, LoggedRow]] = []
    limit = 1.0
    for line in lines:
        is_new = np.array(line.at_us) >= since_us
        n_new = int(is_new.sum())
        sample.n_answered[line.version] += n_new
        chances = rng.random(len(line))
        if not n_new or answered_by not in (None, line.version):
            continue
        absent = set(fields).difference(feature.name for feature in fields_of(line, spec.contract))
        if absent:
            sample.n_partial[line.version] += n_new
            sample.lacking.setdefault(line.version, set()).update(absent)
            continue
        wanted = np.flatnonzero(is_new & (chances < limit))
        if not len(wanted):
            continue
        rows = rows_of(line, spec.contract)
        held += [
            (float(chances[i]), LoggedRow(line.version, rows[i], line.scores[i])) for i in wanted
        ]
        if len(held) > 2 * most_rows:
            limit = _cut(held, most_rows)
    if len(held) > most_rows:
        _cut(held, most_rows)
    sample.rows = [row for _, row in held]
    return sample


def scores_of(rows: Iterable[LoggedRow], n_scores: int) -> Scores:
    """(n_rows,) or (n_rows, n_outputs), as they were answered."""
    shape = (-1,) if n_scores == 1 else (-1, n_scores)
    return np.array([row.score for row in rows], dtype=np.float64).reshape(shape)


def _cut(held: list[tuple[float, LoggedRow]], most_rows: int) -> float:
    """Keep the lowest; the number below which another one has to be."""
    held.sort(key=lambda one: one[0])
    del held[most_rows:]
    return held[-1][0]
