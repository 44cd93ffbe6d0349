"""The numbers by which a version is said to need another training, or its data a look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RetrainingLimits:
    """What may be before something is said; percents are of rows.

    Data faults: `most_missing_percent` more than in training, likewise rows outside of training's
    range and texts that it never had; a feature is constant when `constant_percent` of its rows lie
    in one bin. `most_refused_percent` of all rows may break the contract, and as many may fail.

    Retraining: quality that is `sds` standard deviations below the hold-out's, where what is lost
    (1 - auc, the error) has also risen by `least_rise_percent`; `drifting_percent` of the features;
    `most_age_days` since training. Labels are judged from `least_labels` on. Quality and drift ask
    for nothing before there are rows of `least_days`: a Saturday is no sample of a week.
    """

    most_missing_percent: float = 10.0
    most_out_of_range_percent: float = 25.0
    most_unseen_percent: float = 25.0
    constant_percent: float = 99.5
    most_refused_percent: float = 10.0
    sds: float = 3.0
    least_rise_percent: float = 5.0
    least_labels: int = 200
    drifting_percent: float = 30.0
    most_age_days: float = 90.0
    least_days: float = 6.0


LIMITS = RetrainingLimits()
