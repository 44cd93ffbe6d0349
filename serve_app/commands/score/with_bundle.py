"""Scores from a bundle in this process, without a server: the answers that a server would give."""

from collections.abc import Sequence
from typing import Any

from serve_app.bundle.predictor import Predictor
from serve_app.commands.score.answers import MODEL_FAILED, AnswerColumns, Tail
from serve_app.commands.score.rows import BlockReader
from serve_app.contract import ModelSpec
from serve_app.contract.block import has_failed


class BundleScorer:
    """One version of a model. `place` is what the file calls the place of a row."""

    def __init__(
        self,
        spec: ModelSpec,
        predictor: Predictor,
        reader: BlockReader,
        columns: AnswerColumns,
        place: str,
    ) -> None:
        self._spec = spec
        self._predictor = predictor
        self._reader = reader
        self._columns = columns
        self._place = place
        self._version = predictor.manifest.version

    def score(self, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> tuple[list[Tail], int]:
        """What is added to each row, in order, and how many rows are bad."""
        read = self._reader.read(rows)
        tails: list[Any] = [None] * len(rows)
        for i, fault in read.faults.items():
            tails[i] = self._bad(lines[i], fault)
        n_bad = len(read.faults)
        if not len(read.block):
            return tails, n_bad
        scores = self._predictor.score(read.block)
        parameters = self._predictor.manifest.parameters
        answer = self._spec.answer
        good = self._columns.good
        for i, score, failed in zip(
            read.positions.tolist(), scores.tolist(), has_failed(scores).tolist(), strict=True
        ):
            try:
                if failed:
                    raise ValueError
                tails[i] = good(answer(score, parameters).__dict__, self._version)
            except Exception:
                # As in a server: one row's answer, whatever is wrong with it, hurts no other.
                tails[i] = self._bad(lines[i], MODEL_FAILED)
                n_bad += 1
        return tails, n_bad

    def _bad(self, line: int, reason: str) -> Tail:
        return self._columns.bad(f"{self._place} {line}: {reason}")
