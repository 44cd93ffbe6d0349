"""A fitted pipeline and all that is measured of it: what bundling and the report are made from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from serve_app.bundle.manifest import Metric
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Scores
from training.conformal import COVERAGE, half_width, share_inside
from training.golden import example_block
from training.metrics import BEST_MEASURES, measure, measures_of
from training.table import Numbers, Table


@dataclass(frozen=True)
class Candidate:
    """A fitted pipeline with its data.

    `reference` are the rows that drift is measured against. The pipeline has seen neither
    `calibration` (which may be empty for a classifier) nor `holdout`. `source` says in words where
    the rows came from, and `is_foreign` that the pipeline was fitted elsewhere.
    """

    spec: ModelSpec
    version: str
    pipeline: Any
    reference: Table
    calibration: Table
    holdout: Table
    source: str
    is_foreign: bool = False

    @property
    def baseline_rows(self) -> Table:
        """Rows that a baseline may be fitted on: never those of the hold-out."""
        return self.calibration if self.is_foreign else self.reference

    def score(self, block: Block) -> Scores:
        """Score with the pipeline itself, as serving's scikit-learn runtime does: (n_rows,)."""
        return SklearnRuntime(self.pipeline, self.spec.contract, self.spec.kind).score(block)

    @cached_property
    def scores(self) -> Scores:
        """(n_rows,) scores of the hold-out."""
        return self.score(self.holdout.block)

    @cached_property
    def example_scores(self) -> Scores:
        """(n_examples,) scores of the spec's examples."""
        return self.score(example_block(self.spec))

    @cached_property
    def parameters(self) -> dict[str, float]:
        """What `ModelSpec.answer` needs in addition to the score."""
        if self.spec.kind == "binary_classifier":
            return {}
        width = half_width(self.calibration.target, self.score(self.calibration.block))
        return {"half_width": round(width, 6), "coverage": COVERAGE}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Everything measured on the hold-out; `best_…` is what the true score itself reaches."""
        measures = measures_of(self.spec)
        if self.spec.kind == "regressor":
            measures["coverage"] = lambda target, score: share_inside(
                target, score, self.parameters["half_width"]
            )
            measures["interval_width"] = lambda target, score: self._mean_width(score)
        metrics = measure(measures, self.holdout.target, self.scores)
        if self.holdout.best is not None:
            names = BEST_MEASURES[self.spec.kind]
            best = measure(
                {name: measures[name] for name in names}, self.holdout.target, self.holdout.best
            )
            metrics |= {f"best_{name}": metric for name, metric in best.items()}
        return metrics

    def _mean_width(self, score: Numbers) -> float:
        """The mean width of the interval; it ends at zero, as an answer does."""
        width = self.parameters["half_width"]
        return float(np.mean(np.maximum(score + width, 0) - np.maximum(score - width, 0)))
