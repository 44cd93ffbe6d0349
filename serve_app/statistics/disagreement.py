"""When two versions disagree about a row: the one answer, for rollouts and for `sluice diff`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Kind, ModelSpec
from serve_app.contract.block import Scores


@dataclass(frozen=True)
class Comparison:
    """How answers of two versions of one model are compared.

    A classifier's labels differ when the scores lie on two sides of `threshold`. A regressor's
    values differ when they are more than `half_width` apart, which is stable's interval; None:
    stable has no interval.
    """

    kind: Kind
    threshold: float
    half_width: float | None = None

    @classmethod
    def of(cls, spec: ModelSpec, parameters: Mapping[str, float]) -> "Comparison":
        """The comparison for a model, with the `parameters` of its stable bundle."""
        return cls(spec.kind, spec.threshold, parameters.get("half_width"))

    @property
    def has_limit(self) -> bool:
        """Whether two numbers can disagree at all: false for values without an interval."""
        return self.kind == "binary_classifier" or self.half_width is not None

    def disagree(self, stable: Scores, candidate: Scores) -> NDArray[np.bool_]:
        """(n_rows,) whether the candidate's answer is another one.

        No valid score from the candidate alone is another answer too; what stable could not score
        says nothing.
        """
        if self.kind == "binary_classifier":
            differs = (stable >= self.threshold) != (candidate >= self.threshold)
        else:
            most = np.inf if self.half_width is None else self.half_width
            differs = np.abs(candidate - stable) > most
        disagrees: NDArray[np.bool_] = np.isfinite(stable) & (differs | ~np.isfinite(candidate))
        return disagrees
