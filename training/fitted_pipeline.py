"""A fitted pipeline and all that is measured of it: what bundling and the report are made from."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.manifest import Metric
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Scores
from training.anomaly import own_contamination
from training.class_metrics import OfClass, by_class
from training.conformal import COVERAGE, half_width
from training.golden import example_block
from training.metrics import measure
from training.output_metrics import levels_of
from training.table import Table
from training.yardstick import Yardstick, is_quantiles, yardstick_of


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted pipeline with its data, and how it is called.

    `reference` are the rows that drift is measured against. The pipeline has seen neither
    `calibration` (which may be empty for a classifier) nor `holdout`. `source` says in words where
    the rows came from, and `is_foreign` that the pipeline was fitted elsewhere. `threshold` is that
    of a binary classifier.
    """

    spec: ModelSpec
    version: str
    pipeline: Any
    reference: Table
    calibration: Table
    holdout: Table
    source: str
    call: PipelineCall
    threshold: float = 0.5
    is_foreign: bool = False
    contamination: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def baseline_rows(self) -> Table:
        """Rows that a baseline may be fitted on: never those of the hold-out."""
        return self.calibration if self.is_foreign else self.reference

    def score(self, block: Block) -> Scores:
        """Score with the pipeline itself, as serving's scikit-learn runtime does.

        (n_rows,), or (n_rows, n_outputs).
        """
        return SklearnRuntime(self.pipeline, self.spec.contract, self.call).score(block)

    @cached_property
    def scores(self) -> Scores:
        """The scores of the hold-out: (n_rows,), or (n_rows, n_outputs)."""
        return self.score(self.holdout.block)

    @cached_property
    def example_scores(self) -> Scores:
        """The scores of the spec's examples; none where it has none."""
        examples = example_block(self.spec)
        # Most estimators refuse a frame without rows.
        return self.score(examples) if len(examples) else self.scores[:0]

    @cached_property
    def parameters(self) -> dict[str, float]:
        """What `ModelSpec.answer` needs in addition to the score."""
        spec = self.spec
        if spec.kind == "binary_classifier":
            return {"threshold": self.threshold}
        if spec.kind == "classifier" or spec.is_anomaly_score or is_quantiles(spec):
            return {}
        rows = self.calibration
        scores = self.score(rows.block)
        if not spec.outputs:
            width = rounded(half_width(rows.target, scores))
            return {"half_width": width, "coverage": COVERAGE}
        # Not for the answer: a rollout compares two versions by them.
        return {
            f"half_width_{output}": rounded(half_width(rows.target[:, i], scores[:, i]))
            for i, output in enumerate(spec.outputs)
        }

    @cached_property
    def yardstick(self) -> Yardstick:
        """What this version is measured by, and so are its baselines."""
        levels: tuple[float, ...] = ()
        if is_quantiles(self.spec):
            rows = self.calibration
            levels = levels_of(rows.target, self.score(rows.block))
        return yardstick_of(self.spec, self.parameters, levels)

    @cached_property
    def expected_contamination(self) -> tuple[float, str] | None:
        """The share of unusual rows, and who named it; None where nobody did."""
        if not self.spec.is_anomaly_score:
            return None
        if self.contamination is not None:
            return self.contamination, "Training.contamination"
        own = own_contamination(self.pipeline)
        if own is None:
            return None
        return own, "what the pipeline was given"

    @cached_property
    def by_class(self) -> list[OfClass]:
        """How a classifier with several classes finds each of them; empty for other kinds."""
        if self.spec.kind != "classifier":
            return []
        return by_class(self.holdout.target, self.scores, self.spec.classes)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Everything measured on the hold-out; `best_…` is what the true score itself reaches."""
        measures = self.yardstick.measures
        target = self.holdout.target
        metrics = measure(measures, target, self.scores)
        if self.holdout.best is not None:
            best = {name: measures[name] for name in self.yardstick.best}
            reachable = measure(best, target, self.holdout.best)
            metrics |= {f"best_{name}": metric for name, metric in reachable.items()}
        for one in self.by_class:
            metrics[f"precision_{one.label}"] = one.precision
            metrics[f"recall_{one.label}"] = one.recall
        if self.expected_contamination is not None:
            share, _ = self.expected_contamination
            metrics["contamination"] = Metric(value=share, low=share, high=share)
        return metrics


def rounded(width: float) -> float:
    """Six significant digits, so that a small target keeps its interval."""
    return float(f"{width:.6g}")
