"""Early labels put no better candidate out, and all of them find one that is really worse."""

from math import nan

import numpy as np
import pytest
from labelled import CHURN, CLASSES, NOW_S, InMemory

from serve_app.contract import ModelSpec
from serve_app.monitoring.labels.carried import run_code
from serve_app.monitoring.labels.shapes import Label, Shape
from serve_app.monitoring.quality.report import Quality, QualityReport
from serve_app.monitoring.quality.unjudged import expected_of, of_rollout
from serve_app.statistics.loss_test import LabelEvidence, labels_limit

RUN = "1.0.0-1.1.0-3f9a2c41-run1"
ALPHA = 0.01
N = 6_000


async def coordinator(
    label_delay_days: float | None = None, kept: InMemory | None = None, spec: ModelSpec = CHURN
) -> Quality:
    """The end of the coordinator, which has read what was kept."""
    found = Quality(
        spec, kept or InMemory(), lambda: float(NOW_S), label_delay_days=label_delay_days
    )
    await found.keep()
    told(found)
    return found


def told(quality: Quality) -> LabelEvidence:
    """What labels say of the candidate."""
    found = quality.labelled(RUN, "1.0.0", "1.1.0", 1.1)
    assert found is not None
    return found


def labels_of(seed: int, stable_off: float, candidate_off: float) -> list[Label]:
    """Labels of 6,000 predictions, half of them the candidate's; 20 % come true.

    The log odds of a version are off by so much.
    """
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.9, 1.5, N)
    truth = rng.random(N) < 1 / (1 + np.exp(-odds))
    is_candidate = rng.random(N) < 0.5
    shown = odds + np.where(is_candidate, candidate_off, stable_off)
    scores = 1 / (1 + np.exp(-shown))
    return [
        Label(
            id=i + 1,
            version="1.1.0" if is_candidate[i] else "1.0.0",
            at_s=NOW_S,
            is_positive=bool(scores[i] >= 0.5),
            numbers=(float(scores[i]), nan, nan),
            truth=(float(truth[i]),),
            run=run_code(RUN),
            phase=2,
            key=i + 1,
        )
        for i in range(N)
    ]


def hear(quality: Quality, labels: list[Label]) -> None:
    """A server's report."""
    quality.hear("server", QualityReport(tuple(labels), {}, {}), is_new=True)


@pytest.mark.parametrize("seed", range(3))
async def test_a_better_candidate_is_not_put_out_by_positives_that_come_first(seed: int) -> None:
    """Stable expects too many of them, so that they speak for stable until the others have come."""
    labels = labels_of(seed, 0.7, 0.0)
    kept = InMemory()
    quality = await coordinator(kept=kept)
    hear(quality, [one for one in labels if one.truth == (1.0,)])
    early = told(quality)
    assert early.worse_log_e > labels_limit(ALPHA), "which is the trap"
    assert not early.is_worse(ALPHA)
    assert "0 of stable's are of class 0, where its scores expect" in early.unjudged
    assert "`label_delay_days` in args" in early.unjudged
    await quality.keep()
    again = await coordinator(kept=kept)
    assert told(again) == early, "also after a restart"
    hear(again, [one for one in labels if one.truth == (0.0,)])
    whole = told(again)
    assert whole.unjudged == ""
    assert not whole.is_worse(ALPHA)
    assert whole.candidate_loss is not None
    assert whole.stable_loss is not None
    assert whole.candidate_loss < whole.stable_loss


@pytest.mark.parametrize("stable_off", [0.0, 0.7, -0.5])
async def test_a_worse_candidate_is_found_by_labels_that_come_at_once(stable_off: float) -> None:
    """Also where stable's own probabilities are off; and where somebody said that all come so."""
    labels = labels_of(5, stable_off, 2.5)
    for label_delay_days in (None, 0.0):
        quality = await coordinator(label_delay_days)
        hear(quality, labels)
        found = told(quality)
        assert found.unjudged == ""
        assert found.is_worse(ALPHA)


async def test_where_labels_take_days_they_judge_no_rollout_and_say_so() -> None:
    """From the first look on, and whatever they are."""
    quality = await coordinator(30.0)
    assert "all of them have come after 30 days only" in told(quality).unjudged
    hear(quality, labels_of(5, 0.0, 2.5))
    found = told(quality)
    assert found.worse_log_e > labels_limit(ALPHA)
    assert not found.is_worse(ALPHA)
    assert not found.is_better(ALPHA)


async def test_a_seldom_class_that_has_not_come_yet_is_chance() -> None:
    """Of five that are expected none has come: nothing is held back for that."""
    assert (
        of_rollout({"expected.0": 995.0, "expected.1": 5.0, "found.0": 1_000.0}, "01", None) == ""
    )
    said = of_rollout({"expected.0": 960.0, "expected.1": 40.0, "found.0": 1_000.0}, "01", None)
    assert said.startswith("labels judge nothing yet: 0 of stable's are of class 1")


async def test_of_many_classes_the_label_alone_is_expected() -> None:
    """An id has no room for the other probabilities; of values there are no classes at all."""
    label = Label(1, "1.0.0", NOW_S, False, (0.6, 2.0, nan), (1.0,))
    assert expected_of(Shape.CLASSES, label) == {"found.1": 1.0, "expected.2": 0.6}
    assert expected_of(Shape.VALUE, label) == {}
    quality = await coordinator(spec=CLASSES)
    hear(
        quality,
        [
            Label(i + 1, "1.0.0", NOW_S, False, (0.9, 2.0, nan), (0.0,), run_code(RUN), 1, i)
            for i in range(50)
        ],
    )
    assert "0 of stable's are of class high, where its scores expect 45" in told(quality).unjudged
