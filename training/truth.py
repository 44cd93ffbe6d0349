"""What the fitted pipeline says of each row that a bundle is proven on: the truth, or a refusal."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.manifest import Refusal
from serve_app.bundle.refusals import RefusedRows
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract import Feature
from serve_app.contract.block import Block, Layout, Scores, has_failed
from training.compilation.exact import Exact, compile_exactly
from training.golden import example_block
from training.probes import MAX_CHOICES, N_BASE, Probe, base_rows, beside_cuts, pairs, single_probes
from training.table import Table

SEED = 20_241_128
SPREAD_PERCENT = (0.1, 99.9)
# Of the spread of the scores: float32 moves a probability by 1e-7, another column by far more.
RELATIVE_TOLERANCE = 1e-5
# Rows of one call: what a kernel or neighbours need for a call grows with them.
N_ROWS_OF_CALL = 1_024
# Fewer rows than these are asked one by one when one of them makes the pipeline raise.
N_ROWS_ALONE = 8
# A pipeline that is slow, or that raises often, is asked about fewer of the random rows.
BUDGET_S = 10.0
# Between two looks at the clock.
N_ROWS_OF_TURN = 256

MAX_REASON_LENGTH = 150
# XGBoost says when and where in its sources it raised, and shows the stack.
TIME_AND_PLACE = re.compile(r"^\[\d\d:\d\d:\d\d\] \S+:\d+: ")
STACK_TRACE = "Stack trace:"
# dmlc/xgboost#12189: it refuses those alone that sort behind all that it knows.
UNSEEN_OF_XGBOOST = "Found a category not in the training set"
ANSWERED_BY_XGBOOST = (
    "XGBoost before 3.3 answers other unseen texts as if they were the next one in the alphabet"
)

Score = Callable[[Block], Scores]


@dataclass(frozen=True)
class Truth:
    """Rows and what the pipeline gives for them: NaN where it raises or gives no number.

    The first `n_file_rows` are those of the file, whose scores have the spread that `tolerance` is
    a part of. `said` tells what is special in a row, for errors. `refusals` are values that the
    pipeline refuses wherever they stand; `notes` tell a person what else to know. `exact` is what
    was learned of the pipeline on the way: its cuts, and the graph that they belong to.
    """

    block: Block
    scores: Scores
    said: list[str]
    n_file_rows: int
    tolerance: float
    refusals: list[Refusal]
    notes: list[str]
    exact: Exact

    @property
    def file_scores(self) -> Scores:
        """The scores of the rows of the file: (n_file_rows,), or (n_file_rows, n_outputs)."""
        return self.scores[: self.n_file_rows]


def find_truth(
    pipeline: Any, table: Table, call: PipelineCall, budget_s: float = BUDGET_S
) -> Truth:
    """Ask the pipeline about all rows of the file, the examples, and the probes.

    Pairs of probes and values next to cuts are asked until `budget_s` is over: a slow pipeline is
    proven on fewer of them.
    """
    spec = table.spec
    score = SklearnRuntime(pipeline, spec.contract, call).score
    examples = example_block(spec)
    known = Block.concat([table.block, examples])
    said = ["a row of the file"] * len(table) + ["an example"] * len(examples)
    known_scores = score_each(score, known)

    probes = single_probes(table)
    tried = _tried(probes, table)
    scores = score_each(score, tried)
    refusals = _refusals(score, probes, tried, scores)
    said += [probe.words for probe in probes for _ in range(N_BASE)]
    blocks = [known, tried]
    found = [known_scores, scores]
    answered = ~has_failed(_stacked(found))
    # Of one analysis, which asks every step: its cuts are probed, its graph is what is proven.
    exact = compile_exactly(pipeline, spec, call, Block.concat(blocks)[answered])
    started_s = time.monotonic()
    if probes:
        refused = RefusedRows(refusals, spec.contract)
        for block, words in (
            beside_cuts(exact.cuts, table, SEED),
            pairs(probes, table, SEED),
        ):
            left_s = budget_s - (time.monotonic() - started_s)
            some = _score_in(score, block, refused, left_s)
            blocks.append(block[: len(some)])
            found.append(some)
            said += words[: len(some)]

    all_scores = _stacked(found)
    file_scores = all_scores[: len(table)]
    return Truth(
        Block.concat(blocks),
        all_scores,
        said,
        len(table),
        tolerance_of(file_scores),
        refusals,
        _notes(refusals),
        exact,
    )


def tolerance_of(scores: Scores) -> float:
    """How far a score may lie from the truth: a small part of the spread of the scores.

    Where all scores are one value, a part of that.
    """
    known = scores[np.isfinite(scores)]
    if not len(known):
        return 0.0
    low, high = np.percentile(known, SPREAD_PERCENT)
    spread = high - low
    if spread <= 0:
        spread = np.abs(known).max()
    return float(RELATIVE_TOLERANCE * spread)


def score_each(score: Score, block: Block) -> Scores:
    """Scores of all rows, NaN for those that make the pipeline raise; infinities are NaN too."""
    parts = [
        _score_part(score, block[start : start + N_ROWS_OF_CALL])
        for start in range(0, len(block), N_ROWS_OF_CALL)
    ]
    return _stacked(parts)


def _score_part(score: Score, block: Block) -> Scores:
    try:
        return _finite(score(block))
    except Exception:
        # Whatever a foreign estimator raises, the row has no score.
        if len(block) == 1:
            return np.full(1, np.nan)
    size = 1 if len(block) <= N_ROWS_ALONE else (len(block) + 1) // 2
    return _stacked(
        [_score_part(score, block[start : start + size]) for start in range(0, len(block), size)]
    )


def _stacked(parts: Sequence[Scores]) -> Scores:
    """One array; a part of which all rows failed does not know how many scores a row has."""
    if not parts:
        return np.empty(0)
    n_scores = max((part.shape[1] for part in parts if part.ndim == 2), default=0)
    if n_scores:
        parts = [
            part if part.ndim == 2 else np.full((len(part), n_scores), np.nan) for part in parts
        ]
    return np.concatenate(parts)


def _score_in(score: Score, block: Block, refused: RefusedRows, budget_s: float) -> Scores:
    """Scores of the first rows of a block, as many as the time allows, and one turn's at least.

    Rows that hold a refused value are not asked.
    """
    parts = []
    deadline_s = time.monotonic() + budget_s
    for start in range(0, len(block), N_ROWS_OF_TURN):
        part = block[start : start + N_ROWS_OF_TURN]
        marked = refused.find(part)
        asked = np.ones(len(part), bool) if marked is None else ~marked
        found = score_each(score, part[asked])
        scores = np.full((len(part), *found.shape[1:]), np.nan)
        scores[asked] = found
        parts.append(scores)
        if time.monotonic() > deadline_s:
            break
    return _stacked(parts)


def _tried(probes: Sequence[Probe], table: Table) -> Block:
    """N_BASE rows of the file for each probe, with its value in them."""
    layout = Layout(table.spec.contract)
    tried = base_rows(table, N_BASE * len(probes), SEED)
    for number, probe in enumerate(probes):
        probe.put(tried, slice(number * N_BASE, (number + 1) * N_BASE), layout)
    return tried


def _refusals(score: Score, probes: Sequence[Probe], tried: Block, scores: Scores) -> list[Refusal]:
    """The values of which no row has a score, each with the reason."""
    failed = np.asarray(has_failed(scores).reshape(-1, N_BASE).all(axis=1))
    return [
        Refusal(
            field=probe.field.name,
            value=probe.plain,
            reason=_reason(score, tried[number * N_BASE : number * N_BASE + 1]),
        )
        for number, probe in enumerate(probes)
        if failed[number]
    ]


def complete_refusals(refusals: Sequence[Refusal], contract: Sequence[Feature]) -> list[Refusal]:
    """Those of fields where each value was tried: a missing one, or one of a short list.

    An unseen text or a large number that is refused stands for others, which no list names: there
    a compiled model must refuse by itself.
    """
    features = {feature.name: feature for feature in contract}
    return [
        refusal
        for refusal in refusals
        if refusal.value is None or _is_tried_whole(features[refusal.field])
    ]


def _is_tried_whole(feature: Feature) -> bool:
    if feature.choices is not None:
        return len(feature.choices) <= MAX_CHOICES
    return feature.dtype == "bool"


def _reason(score: Score, block: Block) -> str:
    """Why the pipeline has no score for a row."""
    try:
        score(block)
    except Exception as error:
        return f"the pipeline raises {type(error).__name__}: {_words_of(error)}"
    return "the pipeline gives no finite number"


def _words_of(error: Exception) -> str:
    """What an error says, in one short line."""
    said = str(error).split(STACK_TRACE)[0]
    words = " ".join(TIME_AND_PLACE.sub("", said).split())
    if len(words) > MAX_REASON_LENGTH:
        words = words[: MAX_REASON_LENGTH - 1] + "…"
    if UNSEEN_OF_XGBOOST in words:
        words = f"{words} ({ANSWERED_BY_XGBOOST})"
    return words


def _finite(scores: Scores) -> Scores:
    return np.where(np.isfinite(scores), scores, np.nan)


def _notes(refusals: list[Refusal]) -> list[str]:
    notes = []
    for refusal in refusals:
        value = "null" if refusal.value is None else repr(refusal.value)
        notes.append(
            f"{refusal.field} {value}: allowed by the contract, but {refusal.reason}. Such a row "
            "gets an error; narrow the contract, or let the pipeline handle it"
        )
    return notes
