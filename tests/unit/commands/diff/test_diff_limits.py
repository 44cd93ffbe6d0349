"""Limits of `sluice diff --fail-on`, over two versions of which everything is made by the test."""

from dataclasses import replace

import numpy as np
import pytest
from every_kind import KINDS, YES_NO

from serve_app.bundle.manifest import Metric
from serve_app.commands.diff.comparison import CsvShift, Diff, Side
from serve_app.commands.diff.fields import Change
from serve_app.commands.diff.labelled import Quality
from serve_app.commands.diff.limits import exit_code, judge, parse_limits
from serve_app.commands.diff.scoring import Scored
from serve_app.commands.diff.shift import shift
from serve_app.commands.exit_codes import ExitCode
from serve_app.contract import ModelSpec
from serve_app.errors import SettingsError
from serve_app.statistics.disagreement import Comparison
from serve_app.statistics.paired import MeasuredPair

STABLE = Side("1.0.0", "0" * 64, "0" * 64, "onnx", (), 1, 1, 0.1, 0.001)


def measured(name: str, difference: float) -> MeasuredPair:
    """A metric that differs so much."""
    at = Metric(value=0.5, low=0.4, high=0.6)
    gap = Metric(value=difference, low=difference - 0.01, high=difference + 0.01)
    return MeasuredPair(name, at, at, gap)


def diff_of(
    *metrics: MeasuredPair,
    spec: ModelSpec = YES_NO,
    n_flips: int = 0,
    reason: str = "",
    is_labelled: bool = True,
) -> Diff:
    """Two versions on 200 rows of a file: so many flip, from 0.4 to 0.6."""
    stable = np.full(200, 0.4)
    candidate = stable.copy()
    candidate[:n_flips] = 0.6
    found = shift(Scored(stable, candidate, {}), Comparison.of(spec, {}))
    quality = Quality(200, 0, (), reason, metrics) if is_labelled else None
    csv = CsvShift("orders.csv", (), found, quality)
    other = replace(STABLE, version="1.1.0")
    return Diff(spec.name, spec.kind, spec.target or "", "label", STABLE, other, (), (), found, csv)


def outcome(diff: Diff, text: str) -> tuple[int, str]:
    """The exit code, and what failed, a line each."""
    judged = judge(diff, parse_limits(text))
    return exit_code(diff, judged), "\n".join(one.said for one in judged if one.code)


def test_flips_beyond_the_limit_fail_and_those_within_it_pass() -> None:
    """The share of rows whose answer is another one, said with its interval and the limit."""
    diff = diff_of(n_flips=2)
    assert outcome(diff, "flips=1%") == (ExitCode.OK, "")
    code, said = outcome(diff, "flips=0.5%")
    assert code == ExitCode.FLIPS
    assert said.startswith("flips: found 2 of 200 rows, 1.00 % (0.27 – 3.57), allowed 0.5 %")


def test_the_mean_shift_is_limited_both_ways() -> None:
    """A mean that falls is as far off as one that rises."""
    diff = diff_of(n_flips=20)
    assert outcome(diff, "shift=0.02") == (ExitCode.OK, "")
    assert outcome(diff, "shift=0.01") == (
        ExitCode.SHIFTED,
        "shift: found a mean difference of +0.02, allowed 0.01 either way",
    )


@pytest.mark.parametrize(
    ("name", "difference", "limit", "code"),
    [
        ("auc", -0.02, "auc=-0.01", ExitCode.WORSE),
        ("auc", -0.005, "auc=-0.01", ExitCode.OK),
        ("auc", 0.2, "auc=-0.01", ExitCode.OK),
        ("auc", 0.005, "auc=0.01", ExitCode.WORSE),
        ("r2_days", -0.02, "r2_days=-0.01", ExitCode.WORSE),
        ("mae", 0.2, "mae=0.1", ExitCode.WORSE),
        ("mae", 0.05, "mae=0.1", ExitCode.OK),
        ("mae", -9.0, "mae=0.1", ExitCode.OK),
        ("brier", 0.0, "brier=0", ExitCode.OK),
        ("coverage", 0.05, "coverage=0.02", ExitCode.WORSE),
        ("coverage", -0.05, "coverage=0.02", ExitCode.WORSE),
        ("coverage", -0.01, "coverage=0.02", ExitCode.OK),
    ],
)
def test_a_metric_is_limited_in_the_direction_in_which_it_is_worse(
    name: str, difference: float, limit: str, code: ExitCode
) -> None:
    """A rise of the AUC is good, one of the error is bad, and a coverage must stay where it is."""
    found, said = outcome(diff_of(measured(name, difference)), limit)
    assert found == code
    assert said.startswith(f"{name}: found " if code else "")


def test_a_candidate_that_takes_longer_for_a_batch_is_slower() -> None:
    """As fast for one row, and five times slower for a hundred."""
    diff = diff_of()
    diff = replace(diff, candidate=replace(diff.candidate, row_ms=0.009))
    assert outcome(diff, "slower=6x") == (ExitCode.OK, "")
    assert outcome(diff, "slower=1.5x") == (
        ExitCode.SLOWER,
        "slower: found 4.98x for 100 rows (0.199 → 0.991 ms), allowed 1.5x",
    )


def test_a_break_for_clients_fails_whether_it_is_asked_for_or_not() -> None:
    """As without limits: who asks for flips alone must not let a break in."""
    diff = diff_of(n_flips=20)
    broken = replace(diff, changes=(Change("days", "removed", "integer", ""),))
    assert outcome(diff, "contract") == (ExitCode.OK, "")
    assert outcome(broken, "contract") == (
        ExitCode.REFUSED,
        "contract: found days removed: clients send it, and an unknown field is refused; "
        "allowed no break for clients",
    )
    assert outcome(broken, "slower=2x") == (ExitCode.REFUSED, "")


def test_of_several_causes_the_lowest_code_counts_and_all_are_said() -> None:
    """A pipeline branches on one number, and a person reads every reason."""
    diff = diff_of(measured("auc", -0.3), n_flips=100)
    code, said = outcome(diff, "slower=2x,shift=0.01,flips=1%,auc=-0.01,contract")
    assert code == ExitCode.WORSE
    assert [line.partition(":")[0] for line in said.splitlines()] == ["shift", "flips", "auc"]


@pytest.mark.parametrize(
    ("diff", "limit", "missing"),
    [
        (diff_of(is_labelled=False), "auc=-0.01", "no labels; give rows with a column returned"),
        (replace(diff_of(), csv=None), "auc=-0.01", "there are no labels"),
        (diff_of(reason="found 3 rows"), "auc=-0.01", "found 3 rows"),
        (
            diff_of(measured("auc", 0)),
            "acu=-0.01",
            "is no limit of these versions; expected one of",
        ),
        (diff_of(measured("auc", np.nan)), "auc=-0.01", "it is undefined on these rows"),
        (diff_of(measured("coverage", 0)), "coverage=-0.1", "neither better nor worse"),
        (replace(diff_of(), csv=None), "flips=1%", "golden rows are no share of traffic"),
        (replace(diff_of(), csv=None), "shift=1", "golden rows are no share of traffic"),
        (diff_of(spec=KINDS["value"]), "flips=1%", "1.0.0 has no interval"),
        (replace(diff_of(), stable=replace(STABLE, call_ms=0.0)), "slower=2x", "took no time"),
    ],
)
def test_a_limit_that_cannot_be_judged_is_no_pass(diff: Diff, limit: str, missing: str) -> None:
    """Nothing is known, so that a pipeline must stop, and the line says what is missing."""
    code, said = outcome(diff, limit)
    assert code == ExitCode.UNREADABLE
    assert said.startswith(f"{limit}: cannot be judged: ")
    assert missing in said


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "found '', expected limits such as flips=1%"),
        ("flips", "found 'flips', expected limits such as"),
        ("flips=1", "expected a share of the rows such as flips=1%"),
        ("flips=-1%", "not below 0"),
        ("flips=1%,flips=2%", "found flips twice"),
        ("contract=1", "expected limits such as"),
        ("auc=1%", "expected a difference such as auc=-0.01"),
        ("auc=nan", "expected a difference such as auc=-0.01"),
        ("slower=1.5", "expected a factor such as slower=1.5x"),
        ("a b=1", "expected limits such as"),
    ],
)
def test_a_limit_that_is_written_wrong_is_told_before_anything_is_opened(
    text: str, hint: str
) -> None:
    """A share without its unit could be 1 % or everything: it is asked for."""
    with pytest.raises(SettingsError, match="--fail-on: ") as raised:
        parse_limits(text)
    assert hint in str(raised.value)
