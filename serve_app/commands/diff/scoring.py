"""The same rows, scored by two versions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.predictor import Predictor, n_scores_of
from serve_app.commands.diff.csv_rows import Row
from serve_app.commands.diff.fields import Contract
from serve_app.contract import Feature
from serve_app.contract.block import Block, Layout, Scores

# (n_rows,)
Column = NDArray[Any]

# In one call: so few that a predictor finds each failing row without giving up on the rest.
N_ROWS = 64


@dataclass(frozen=True)
class Scored:
    """The scores of both versions, (n_rows,) or (n_rows, n_outputs), and columns to slice rows by.

    A score is NaN where a version does not take the row, or fails.
    """

    stable: Scores
    candidate: Scores
    columns: Mapping[Feature, Column]


def score_both(
    rows: Iterable[Row], stable: Predictor, candidate: Predictor, sliced_by: Contract = ()
) -> Scored:
    """Score plain rows with both versions. `sliced_by`: fields that every row has."""
    waiting = iter(rows)
    layout = Layout(sliced_by)
    blocks = []
    before = [_no_scores(stable, 0)]
    after = [_no_scores(candidate, 0)]
    while batch := list(islice(waiting, N_ROWS)):
        blocks.append(layout.block(batch))
        before.append(_score(stable, batch))
        after.append(_score(candidate, batch))
    return Scored(np.concatenate(before), np.concatenate(after), columns_of(sliced_by, blocks))


def score_with(predictor: Predictor, rows: Sequence[Row]) -> Scores:
    """The scores of plain rows by one version; NaN where it does not take the row, or fails."""
    steps = [rows[begin : begin + N_ROWS] for begin in range(0, len(rows), N_ROWS)]
    return np.concatenate([_no_scores(predictor, 0), *(_score(predictor, step) for step in steps)])


def columns_of(contract: Contract, blocks: list[Block]) -> dict[Feature, Column]:
    """By field, (n_rows,) its values in all blocks."""
    if not blocks:
        return {}
    block = Block.concat(blocks)
    layout = Layout(contract)
    return {feature: layout.column(block, feature.name) for feature in contract}


def _score(predictor: Predictor, rows: Sequence[Row]) -> Scores:
    contract = predictor.manifest.contract
    taken = np.array([_takes(contract, row) for row in rows])
    scores = _no_scores(predictor, len(rows))
    if taken.any():
        kept = [row for row, is_taken in zip(rows, taken, strict=True) if is_taken]
        scores[taken] = predictor.score(Layout(contract).block(kept))
    return scores


def _no_scores(predictor: Predictor, n_rows: int) -> Scores:
    n_scores = n_scores_of(predictor.manifest)
    return np.full((n_rows,) if n_scores == 1 else (n_rows, n_scores), np.nan)


def _takes(contract: Contract, row: Row) -> bool:
    """Whether a row has every field of the contract, with an allowed value; more do not matter."""
    return all(feature.name in row and feature.accepts(row[feature.name]) for feature in contract)


def golden_rows(stable: Predictor, candidate: Predictor) -> list[Row]:
    """The golden rows of both versions, each once."""
    rows = [
        dict(item.row)
        for predictor in (stable, candidate)
        for item in predictor.manifest.golden_rows
    ]
    return list({tuple(sorted(row.items())): row for row in rows}.values())
