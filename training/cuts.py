"""The cuts of fitted trees, by the field of the contract that they cut."""

from collections import defaultdict
from typing import Any

import numpy as np

from serve_app.contract import ModelSpec
from training.estimators import last_step, walk
from training.table import Numbers


def cuts_by_field(pipeline: Any, spec: ModelSpec) -> dict[str, Numbers]:
    """The ascending cuts of all trees in a pipeline, where a field reaches them as it is.

    A field that is scaled or binned on its way has none here.
    """
    # Replaced by the compilation's own analysis of the columns' ways.
    return {}


__all__ = ["cuts_by_field", "defaultdict", "last_step", "np", "walk"]
