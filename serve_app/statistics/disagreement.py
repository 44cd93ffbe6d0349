"""When two versions disagree about a row: the one answer, for rollouts and for `sluice diff`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores, has_failed

# What an answer is: one of two labels, one of several, an anomaly or not, a value, an interval of
# quantiles, several values.
AnswerKind = Literal["label", "class", "anomaly", "value", "quantiles", "outputs"]

# Of scikit-learn's `decision_function`: below it a row is an anomaly.
ANOMALY_BELOW = 0.0
HALF_WIDTH = "half_width"


@dataclass(frozen=True)
class Comparison:
    """How answers of two versions of one model are compared.

    * `label`: each version cuts its probability at its own threshold, as it would answer. The
      labels differ when one is positive and the other is not.
    * `class`: the labels differ when another class is the most probable one. `names` has them.
    * `anomaly`: one says that the row is an anomaly, and the other that it is none.
    * `value`: the values are more than `half_widths[0]` apart, which is stable's interval.
    * `outputs`: so are the values of any of the outputs `names`, each with its own half-width.
    * `quantiles`: the candidate's median output lies outside stable's outputs for the row.

    A half-width is infinite where stable has no interval: no value disagrees then.
    """

    kind: AnswerKind
    threshold: float = 0.5
    candidate_threshold: float = 0.5
    half_widths: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        spec: ModelSpec,
        parameters: Mapping[str, float],
        candidate_parameters: Mapping[str, float] | None = None,
    ) -> "Comparison":
        """The comparison for a model, with the `parameters` of its two bundles.

        The interval of an output is `half_width_<output>`, else `half_width`. As long as nothing
        is known of the candidate, it is taken to cut where stable does.
        """
        threshold = spec.threshold_of(parameters)
        candidate_threshold = threshold
        if candidate_parameters is not None:
            candidate_threshold = spec.threshold_of(candidate_parameters)
        width = parameters.get(HALF_WIDTH, np.inf)
        if spec.kind == "binary_classifier":
            return cls("label", threshold, candidate_threshold)
        if spec.kind == "classifier":
            return cls("class", names=tuple(str(label) for label in spec.classes))
        if spec.outputs and spec.target:
            return cls("quantiles", names=spec.outputs)
        if spec.outputs:
            widths = [parameters.get(f"{HALF_WIDTH}_{name}", width) for name in spec.outputs]
            return cls("outputs", half_widths=tuple(widths), names=spec.outputs)
        if spec.is_anomaly_score:
            return cls("anomaly")
        return cls("value", half_widths=(width,))

    @property
    def has_limit(self) -> bool:
        """Whether two answers can disagree at all: false for values without an interval."""
        if self.kind in ("value", "outputs"):
            return bool(np.isfinite(self._widths).any())
        return True

    @property
    def _widths(self) -> NDArray[np.float64]:
        return np.array(self.half_widths, dtype=np.float64)

    def disagree(self, stable: Scores, candidate: Scores) -> NDArray[np.bool_]:
        """(n_rows,) whether the candidate's answer is another one.

        No valid score from the candidate alone is another answer too; what stable could not score
        says nothing.
        """
        disagrees: NDArray[np.bool_] = ~has_failed(stable) & (
            self._differ(stable, candidate) | has_failed(candidate)
        )
        return disagrees

    def _differ(self, stable: Scores, candidate: Scores) -> NDArray[np.bool_]:
        differs: NDArray[np.bool_]
        if self.kind == "label":
            differs = (stable >= self.threshold) != (candidate >= self.candidate_threshold)
        elif self.kind == "class":
            differs = best_class(stable) != best_class(candidate)
        elif self.kind == "anomaly":
            differs = (stable < ANOMALY_BELOW) != (candidate < ANOMALY_BELOW)
        elif self.kind == "quantiles":
            middle = np.median(candidate, axis=1)
            differs = (middle < stable.min(axis=1)) | (middle > stable.max(axis=1))
        elif self.kind == "outputs":
            differs = np.asarray(self.outside(stable, candidate).any(axis=1))
        else:
            differs = np.abs(candidate - stable) > self.half_widths[0]
        return differs

    def outside(self, stable: Scores, candidate: Scores) -> NDArray[np.bool_]:
        """(n_rows, n_outputs) which outputs of the candidate lie outside stable's interval."""
        outside: NDArray[np.bool_] = np.abs(candidate - stable) > self._widths
        return outside

    def difference(self, stable: Scores, candidate: Scores) -> Scores:
        """(n_rows,) candidate minus stable, in the one number that stands for a row."""
        one, other = self.numbers(stable, candidate)
        return np.asarray(other - one)

    def numbers(self, stable: Scores, candidate: Scores) -> tuple[Scores, Scores]:
        """Of each version (n_rows,) the one number that stands for a row.

        That is the score, the first of several outputs, the median of quantiles, or the probability
        of the class that stable answers: below stable's, the candidate is less sure of it.
        """
        if self.kind == "quantiles":
            return np.median(stable, axis=1), np.median(candidate, axis=1)
        if stable.ndim == 1:
            return stable, candidate
        if self.kind == "class":
            answers = (np.arange(len(stable)), best_class(stable))
            return stable[answers], candidate[answers]
        return stable[:, 0], candidate[:, 0]


def best_class(scores: Scores) -> NDArray[np.intp]:
    """(n_rows,) the position of the most probable class, of equally probable ones the first.

    Rows that failed have some position too.
    """
    return np.asarray(np.argmax(scores, axis=1))


def largest_shift(stable: Scores, candidate: Scores) -> float:
    """The largest absolute difference of any score, class or output; 0 without a common row.

    Both are scores of the same rows: (n_rows,), or (n_rows, n_outputs).
    """
    gap = np.abs(candidate - stable)
    known = gap[np.isfinite(gap)]
    return float(known.max()) if len(known) else 0.0
