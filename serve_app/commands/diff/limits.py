"""Limits for a pipeline of CI: how far a candidate may be from stable before `diff` fails.

`--fail-on flips=1%,auc=-0.01,contract`: `parse_limits` reads it before anything is opened, and
`judge` holds what was found against it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from serve_app.commands.diff.cells import gap, signed
from serve_app.commands.diff.comparison import Diff, Side
from serve_app.commands.diff.shift import Shift
from serve_app.commands.exit_codes import ExitCode
from serve_app.errors import SettingsError
from serve_app.statistics.paired import MeasuredPair

EXAMPLE = "flips=1%,shift=0.02,auc=-0.01,slower=1.5x,contract"
NAME = re.compile(r"[A-Za-z_]\w*")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
# A full batch, as `limits.max_rows` is shipped: what each further row takes weighs in it.
N_ROWS = 100
# What is wanted of the number of a limit: its unit, its sign, and an example of it.
WANTED = {
    "flips": ("%", "a share of the rows such as flips=1%"),
    "shift": ("", "a difference of the mean score such as shift=0.02"),
    "slower": ("x", "a factor such as slower=1.5x"),
}


@dataclass(frozen=True)
class Limit:
    """One limit of a command line.

    `name` is `contract`, `flips`, `shift`, `slower` or a metric. `allowed` is a share (0.01 for
    1 %), a difference or a factor; nothing for the contract.
    """

    text: str
    name: str
    allowed: float = 0.0


@dataclass(frozen=True)
class Judged:
    """What a limit says of two versions, in one line: what was found, and what is allowed.

    `code` is OK where it is kept, and UNREADABLE where nothing can be said.
    """

    limit: str
    code: ExitCode
    said: str


class _NotJudged(Exception):
    """What is missing to judge by a limit, and what to do."""


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read limits with commas between them. Raises SettingsError for the first that is wrong."""
    limits = tuple(_parse(part.strip()) for part in text.split(","))
    names = [limit.name for limit in limits]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SettingsError(f"--fail-on: found {twice[0]} twice; keep one limit of each")
    return limits


def _parse(text: str) -> Limit:
    name, equals, number = text.partition("=")
    if name == "contract" and not equals:
        return Limit(text, name)
    if name == "contract" or not equals or not NAME.fullmatch(name):
        raise SettingsError(f"--fail-on: found {text!r}, expected limits such as {EXAMPLE}")
    unit, wanted = WANTED.get(name, ("", f"a difference such as {name}=-0.01"))
    digits = number.removesuffix(unit)
    if not number.endswith(unit) or not NUMBER.fullmatch(digits):
        raise SettingsError(f"--fail-on: found {text!r}, expected {wanted}")
    allowed = float(digits)
    if name in WANTED and allowed < 0:
        raise SettingsError(f"--fail-on: found {text!r}, expected {wanted}, not below 0")
    return Limit(text, name, allowed / 100 if unit == "%" else allowed)


def judge(diff: Diff, limits: Sequence[Limit]) -> tuple[Judged, ...]:
    """Hold two versions against each limit, in the order in which they were written."""
    return tuple(_judge(diff, limit) for limit in limits)


def exit_code(diff: Diff, judged: Sequence[Judged]) -> ExitCode:
    """The lowest code of all that failed. A break for clients fails, asked for or not."""
    codes = [found.code for found in judged if found.code]
    if diff.broken:
        codes.append(ExitCode.REFUSED)
    return min(codes, default=ExitCode.OK)


def _judge(diff: Diff, limit: Limit) -> Judged:
    judge_one = JUDGES.get(limit.name, _metric)
    try:
        code, said = judge_one(diff, limit)
    except _NotJudged as missing:
        said = f"{limit.text}: cannot be judged: {missing}"
        return Judged(limit.text, ExitCode.UNREADABLE, said)
    return Judged(limit.text, code, f"{limit.name}: {said}")


def _contract(diff: Diff, limit: Limit) -> tuple[ExitCode, str]:
    if not diff.broken:
        return ExitCode.OK, "found no break, allowed none"
    return ExitCode.REFUSED, f"found {'; '.join(diff.broken)}; allowed no break for clients"


def _flips(diff: Diff, limit: Limit) -> tuple[ExitCode, str]:
    rows = _rows(diff)
    found = rows.flips
    if found is None:
        raise _NotJudged(
            f"{diff.stable.version} has no interval to be outside of; train it again, or use shift"
        )
    said = (
        f"found {found.n:,} of {rows.n_compared:,} rows, {100 * found.share:.2f} % "
        f"({100 * found.low:.2f} – {100 * found.high:.2f}), allowed {100 * limit.allowed:g} %"
    )
    return _unless(found.share <= limit.allowed, ExitCode.FLIPS), said


def _shift(diff: Diff, limit: Limit) -> tuple[ExitCode, str]:
    mean = _rows(diff).mean
    # `_rows` has seen that rows were compared.
    assert mean is not None
    said = f"found a mean difference of {signed(mean)}, allowed {limit.allowed:g} either way"
    return _unless(abs(mean) <= limit.allowed, ExitCode.SHIFTED), said


def _rows(diff: Diff) -> Shift:
    """What changes for the rows of the file; golden rows are too few, and chosen."""
    if diff.csv is None:
        raise _NotJudged("golden rows are no share of traffic; give rows of it with --csv")
    if not diff.csv.shift.n_compared:
        raise _NotJudged(f"no row of {diff.csv.path} was scored by both versions")
    return diff.csv.shift


def _metric(diff: Diff, limit: Limit) -> tuple[ExitCode, str]:
    pair = _pair(diff, limit.name)
    found = pair.difference.value
    if not isfinite(found):
        raise _NotJudged("it is undefined on these rows; give others with --csv")
    said = f"found {gap(pair.difference)}, allowed"
    if pair.wants_more is None:
        if limit.allowed < 0:
            raise _NotJudged(f"more of it is neither better nor worse; expected {limit.name}=0.01")
        is_kept = abs(found) <= limit.allowed
        return _unless(is_kept, ExitCode.WORSE), f"{said} {limit.allowed:g} either way"
    if pair.wants_more:
        return _unless(found >= limit.allowed, ExitCode.WORSE), f"{said} {limit.allowed:+g} or more"
    return _unless(found <= limit.allowed, ExitCode.WORSE), f"{said} {limit.allowed:+g} or less"


def _pair(diff: Diff, name: str) -> MeasuredPair:
    quality = None if diff.csv is None else diff.csv.quality
    if quality is None:
        column = f" with a column {diff.target}" if diff.target else ""
        raise _NotJudged(f"there are no labels; give rows{column} with --csv")
    if quality.reason:
        raise _NotJudged(quality.reason)
    for pair in quality.metrics:
        if pair.name == name:
            return pair
    known = [*WANTED, "contract", *(pair.name for pair in quality.metrics)]
    raise _NotJudged(f"it is no limit of these versions; expected one of {', '.join(known)}")


def _slower(diff: Diff, limit: Limit) -> tuple[ExitCode, str]:
    """The larger factor of one row and of a full batch."""
    found = [
        (_call_ms(diff.stable, n_rows), _call_ms(diff.candidate, n_rows), n_rows)
        for n_rows in (1, N_ROWS)
    ]
    if any(before <= 0 for before, _, _ in found):
        raise _NotJudged(f"{diff.stable.version} took no time that could be measured")
    before, after, n_rows = max(found, key=lambda times: times[1] / times[0])
    factor = after / before
    rows = "one row" if n_rows == 1 else f"{n_rows} rows"
    said = f"found {factor:.2f}x for {rows} ({before:.3f} → {after:.3f} ms), "
    return _unless(factor <= limit.allowed, ExitCode.SLOWER), f"{said}allowed {limit.allowed:g}x"


def _call_ms(side: Side, n_rows: int) -> float:
    return side.call_ms + (n_rows - 1) * side.row_ms


def _unless(is_kept: bool, code: ExitCode) -> ExitCode:
    return ExitCode.OK if is_kept else code


JUDGES: dict[str, Callable[[Diff, Limit], tuple[ExitCode, str]]] = {
    "contract": _contract,
    "flips": _flips,
    "shift": _shift,
    "slower": _slower,
}
