"""How far the answers of two versions lie apart, counted without any bundle."""

from dataclasses import replace

import numpy as np

from serve_app.commands.diff.scoring import Scored
from serve_app.commands.diff.shift import shift
from serve_app.models import get_spec
from serve_app.statistics.disagreement import Comparison


def test_flips_are_counted_at_the_models_threshold() -> None:
    """A model that cuts at 0.3: from 0.2 to 0.4 is a flip, from 0.4 to 0.6 is none."""
    spec = replace(get_spec("churn"), threshold=0.3)
    scored = Scored(np.array([0.2, 0.4, 0.4]), np.array([0.4, 0.6, 0.1]), {})
    found = shift(scored, Comparison.of(spec, {})).flips
    assert found is not None
    assert (found.n, found.n_up) == (2, 1)
