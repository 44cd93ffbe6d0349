"""What the fitted pipeline says of each row that a bundle is proven on: the truth, or a refusal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.manifest import Refusal
from serve_app.bundle.refusals import RefusedRows
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract.block import Block, Layout, Scores, has_failed
from training.golden import example_block
from training.probes import N_BASE, Probe, base_rows, beside_cuts, pairs, single_probes
from training.table import Table, plain_number

SEED = 20_241_128
SPREAD_PERCENT = (0.1, 99.9)
# Of the spread of the scores: float32 moves a probability by 1e-7, another column by far more.
RELATIVE_TOLERANCE = 1e-5
NO_NUMBER = "the pipeline gives no finite number"


@dataclass(frozen=True)
class Truth:
    """Rows and what the pipeline gives for them: NaN where it raises or gives no number.

    The first `n_file_rows` are those of the file, whose scores have the spread that `tolerance` is
    a part of. `said` tells what is special in a row, for errors. `refusals` are values that the
    pipeline refuses wherever they stand; `notes` tell a person what else to know.
    """

    block: Block
    scores: Scores
    said: list[str]
    n_file_rows: int
    tolerance: float
    refusals: list[Refusal]
    notes: list[str]

    @property
    def file_scores(self) -> Scores:
        """The scores of the rows of the file."""
        return self.scores[: self.n_file_rows]


def find_truth(pipeline: Any, table: Table, call: PipelineCall) -> Truth:
    """Ask the pipeline about all rows of the file, the examples, and the probes."""
    spec = table.spec
    score = SklearnRuntime(pipeline, spec.contract, call).score
    examples = example_block(spec)
    blocks = [table.block, examples]
    said = ["a row of the file"] * len(table) + ["an example"] * len(examples)

    probes = single_probes(table)
    layout = Layout(spec.contract)
    tried = []
    for number, probe in enumerate(probes):
        block = base_rows(table, N_BASE, SEED + number)
        probe.put(block, slice(None), layout)
        tried.append(block)
        said += [f"{probe.field.name} {_words(probe)}"] * len(block)
    blocks += tried
    refusals = [
        Refusal(field=probe.field.name, value=_plain(probe), reason=reason)
        for probe, reason in zip(probes, _refusals(score, tried), strict=True)
        if reason is not None
    ]
    if probes:
        beside = beside_cuts(pipeline, table, call, SEED)
        for block, words in (pairs(probes, table, SEED), beside):
            blocks.append(block)
            said += words

    block = Block.concat(blocks)
    refused = RefusedRows(refusals, spec.contract).find(block)
    asked = np.ones(len(block), bool) if refused is None else ~refused
    found = score_each(score, block[asked])
    scores = np.full((len(block), *found.shape[1:]), np.nan)
    scores[asked] = found
    file_scores = scores[: len(table)]
    return Truth(
        block, scores, said, len(table), tolerance_of(file_scores), refusals, _notes(refusals)
    )


def tolerance_of(scores: Scores) -> float:
    """How far a score may lie from the truth: a small part of the spread of the scores.

    Where all scores are one value, a part of that.
    """
    known = scores[np.isfinite(scores)]
    if not len(known):
        return 0.0
    low, high = np.percentile(known, SPREAD_PERCENT)
    spread = high - low if high > low else float(np.abs(known).max())
    return float(RELATIVE_TOLERANCE * spread)


def score_each(score: Callable[[Block], Scores], block: Block) -> Scores:
    """Scores of all rows, NaN for those that make the pipeline raise; infinities are NaN too."""
    try:
        found = score(block)
        return np.where(np.isfinite(found), found, np.nan)
    except Exception:
        # Whatever a foreign estimator raises, the row has no score.
        if len(block) == 1:
            return np.full(1, np.nan)
    middle = len(block) // 2
    parts = [score_each(score, block[:middle]), score_each(score, block[middle:])]
    n_dims = max(part.ndim for part in parts)
    if n_dims == 2:
        n_scores = max(part.shape[1] for part in parts if part.ndim == 2)
        parts = [
            part if part.ndim == 2 else np.full((len(part), n_scores), np.nan) for part in parts
        ]
    return np.concatenate(parts)


def _refusals(score: Callable[[Block], Scores], blocks: list[Block]) -> list[str | None]:
    """Why the pipeline refuses every row of a block, for each block.

    All are asked at once, since a call costs more than its rows: thousands of calls would take
    minutes where a contract has hundreds of fields. Where that raises they are asked in halves.
    """
    if not blocks:
        return []
    if len(blocks) == 1:
        return [_refusal_of(score, blocks[0])]
    try:
        failed = has_failed(_finite(score(Block.concat(blocks))))
    except Exception:
        # One of them is refused, or all.
        middle = len(blocks) // 2
        return _refusals(score, blocks[:middle]) + _refusals(score, blocks[middle:])
    ends = np.cumsum([len(block) for block in blocks])[:-1]
    return [NO_NUMBER if part.all() else None for part in np.split(failed, ends)]


def _refusal_of(score: Callable[[Block], Scores], block: Block) -> str | None:
    """Why the pipeline refuses every row of a block, which have one value in common; else None."""
    try:
        if not has_failed(_finite(score(block))).all():
            return None
        return NO_NUMBER
    except Exception as error:
        reason = f"the pipeline raises {type(error).__name__}: {' '.join(str(error).split())[:150]}"
    if has_failed(score_each(score, block)).all():
        return reason
    return None


def _finite(scores: Scores) -> Scores:
    return np.where(np.isfinite(scores), scores, np.nan)


def _plain(probe: Probe) -> Any:
    """A probe's value as it stands in JSON."""
    if probe.is_missing:
        return None
    return probe.value if probe.field.is_text else plain_number(probe.value, probe.field)


def _words(probe: Probe) -> str:
    """A probe's value for a sentence."""
    return "missing" if probe.is_missing else f"= {_plain(probe)!r}"


def _notes(refusals: list[Refusal]) -> list[str]:
    return [
        f"{refusal.field} {'null' if refusal.value is None else repr(refusal.value)}: allowed by "
        f"the contract, but {refusal.reason}. Such a row gets an error; narrow the contract, or "
        "let the pipeline handle it"
        for refusal in refusals
    ]
