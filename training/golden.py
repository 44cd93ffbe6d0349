"""The rows that a bundle must reproduce before it may serve."""

import numpy as np

from serve_app.bundle.manifest import GoldenRow
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout, Scores
from training.table import Table

N_GOLDEN = 32


def example_block(spec: ModelSpec) -> Block:
    """Put the spec's examples into a block."""
    return Layout(spec.contract).block([example.row.model_dump() for example in spec.examples])


def golden_rows(holdout: Table, scores: Scores, example_scores: Scores) -> list[GoldenRow]:
    """Choose rows of the hold-out at even ranks of the score, then the spec's examples.

    The extremes of the score are among them.
    """
    ranks = np.unique(np.linspace(0, len(holdout) - 1, N_GOLDEN).round().astype(int))
    chosen = np.argsort(scores, kind="stable")[ranks]
    rows = [GoldenRow(row=holdout.values(int(i)), score=float(scores[i])) for i in chosen]
    examples = zip(holdout.spec.examples, example_scores, strict=True)
    return rows + [
        GoldenRow(row=example.row.model_dump(), score=float(score)) for example, score in examples
    ]
