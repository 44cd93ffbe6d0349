"""The pipelines by family: what people have, and what has gone wrong somewhere."""

from benchmarks.agree.case import Case
from benchmarks.agree.families.boosters import booster_cases
from benchmarks.agree.families.boosting import boosting_cases
from benchmarks.agree.families.combined import combined_cases
from benchmarks.agree.families.encoders import encoder_cases
from benchmarks.agree.families.fields import field_cases
from benchmarks.agree.families.kernels import kernel_cases
from benchmarks.agree.families.linear import linear_cases
from benchmarks.agree.families.numbers import number_cases
from benchmarks.agree.families.trees import tree_cases


def all_cases() -> list[Case]:
    """Every pipeline, also those whose library is missing."""
    return [
        *linear_cases(),
        *tree_cases(),
        *boosting_cases(),
        *combined_cases(),
        *kernel_cases(),
        *encoder_cases(),
        *number_cases(),
        *field_cases(),
        *booster_cases(),
    ]
