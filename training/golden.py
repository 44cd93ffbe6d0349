"""The rows that a bundle must reproduce before it may serve."""

import numpy as np

from serve_app.bundle.manifest import GoldenRow
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout, Scores, has_failed
from training.table import plain_row

N_GOLDEN = 32
N_PROBES = 32


def example_block(spec: ModelSpec) -> Block:
    """Put the spec's examples into a block."""
    return Layout(spec.contract).block([example.row.model_dump() for example in spec.examples])


def golden_rows(spec: ModelSpec, block: Block, scores: Scores, n_file_rows: int) -> list[GoldenRow]:
    """Choose what is replayed when a bundle is opened.

    Rows of the file at even ranks of the score, with its extremes among them; the examples; and
    probes, evenly spread over all of them, so that what a file seldom has is replayed too.
    `block` has the rows of the file first, then the examples, then the probes.
    """
    first = scores[:n_file_rows].reshape(n_file_rows, -1)[:, 0]
    ranks = np.unique(np.linspace(0, n_file_rows - 1, N_GOLDEN).round().astype(int))
    of_file = np.argsort(first, kind="stable")[ranks]
    of_examples = np.arange(n_file_rows, n_file_rows + len(spec.examples))
    n_before = n_file_rows + len(spec.examples)
    of_probes = np.unique(np.linspace(n_before, len(block) - 1, N_PROBES).round().astype(int))
    chosen = [*of_file, *of_examples, *of_probes[of_probes >= n_before]]
    failed = has_failed(scores)
    return [
        GoldenRow(
            row=plain_row(block, int(i), spec.contract),
            score=None if failed[i] else scores[i].tolist(),
        )
        for i in chosen
    ]
