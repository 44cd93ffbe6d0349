"""Which labels judge, and why others do not: those that come early are no sample.

Pure. `label_delay_days` of `args` says after how many days all labels of a prediction have come,
yes and no. Where it does not, labels that look as only early ones do are passed over.
"""

from collections.abc import Sequence
from math import sqrt

from serve_app.monitoring.labels.shapes import Label, Shape
from serve_app.monitoring.quality.sums import Sums
from serve_app.statistics.early_labels import SURE

S_PER_DAY = 86_400
SETTING = "label_delay_days"
SAY_WHEN = f"`{SETTING}` in args says after how many days all labels have come"
# A class that has less than this part of what stable's scores expect is still to come.
LEAST_PART = 0.5


def last_whole_day(now_s: float, label_delay_days: float | None) -> int:
    """The newest day (of 1970) of predictions that is judged.

    It is today where labels come at once, or nobody said when, and else the last one that had ended
    so many days ago.
    """
    if not label_delay_days:
        return int(now_s // S_PER_DAY)
    return int(now_s / S_PER_DAY - label_delay_days) - 1


def of_window(n_classes: int, label_delay_days: float | None, *, are_early: bool) -> str:
    """Why the labels of a window judge nothing; empty: they do.

    `n_classes` have labels, 0 where there are no classes.
    """
    is_said = label_delay_days is not None
    if n_classes == 1:
        found = "all of them are of one class"
        return found if is_said else f"{found}, as early ones are; {SAY_WHEN}"
    if are_early and not is_said:
        return f"the newest predictions have fewer of them, as of early ones alone; {SAY_WHEN}"
    return ""


def of_rollout(stable: Sums, classes: Sequence[str], label_delay_days: float | None) -> str:
    """Why labels do not judge a running rollout; empty: they do.

    `stable` are sums of `expected_of` over the labels of stable's answers: whatever a candidate
    expects is what is judged.
    """
    if label_delay_days:
        return (
            f"labels judge nothing here: all of them have come after {label_delay_days:g} days "
            f"only ({SETTING}), and those that come early are no sample"
        )
    if label_delay_days is not None:
        return ""
    for i, name in enumerate(classes):
        n_expected = stable.get(f"expected.{i}", 0.0)
        n_found = stable.get(f"found.{i}", 0.0)
        is_sure = n_expected - n_found > SURE * sqrt(n_expected)
        if is_sure and n_found < LEAST_PART * n_expected:
            return (
                f"labels judge nothing yet: {n_found:,.0f} of stable's are of class {name}, where "
                f"its scores expect {n_expected:,.0f}: others may be still to come; {SAY_WHEN}"
            )
    return ""


def expected_of(shape: Shape, label: Label) -> Sums:
    """What one label adds to the classes that were found, and to those that its score expects.

    Of many classes an id carries the probability of the label alone: of the others nothing is
    expected.
    """
    if shape is Shape.BINARY:
        p = min(label.numbers[0], 1.0)
        return {f"found.{round(label.truth[0])}": 1.0, "expected.0": 1 - p, "expected.1": p}
    if shape is Shape.CLASSES:
        place = round(label.numbers[1])
        return {
            f"found.{round(label.truth[0])}": 1.0,
            f"expected.{place}": min(label.numbers[0], 1.0),
        }
    return {}
