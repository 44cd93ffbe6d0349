"""Which number the next version gets, and the rollout that lets it in."""

import re
import textwrap
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from serve_app.bundle.manifest import Manifest, made_at
from serve_app.errors import SettingsError
from serve_app.settings import Rollout
from training.retraining.against_stable import DEFAULT_PERCENT, AgainstStable

RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)")
S_PER_DAY = 86_400
# A version that is so new is tried before another one is trained: a job that runs each night must
# not fill the store while the first of them is in shadow.
LEAST_DAYS_BETWEEN = 7.0
WIDTH = 100
COMMENT = "  # "
HEADER = "# Written by `sluice retrain`"
BLOCK = """\
{header}: {candidate} of {model}, to be let in by steps.
# Write it into `user_config` of its application in {config},
# in place of `stable` and of an older `rollout`; all else stays.
# Shadow comes first: {candidate} scores what {stable} answers.
rollout:
  stable: "{stable}"
  candidate: "{candidate}"
  steps: [{steps}]
{guardrails}# Pinned, so that no other bundle of this number is taken.
# Add it to `versions`, if there are some.
versions:
  "{candidate}": {{manifest_sha256: "{digest}"}}
"""


def next_version(versions: Iterable[str]) -> str:
    """The next minor version after the highest one: 1.1.0 after 1.0.3 or 1.0.0-rc.1."""
    releases = [tuple(map(int, found.groups())) for found in map(RELEASE.match, versions) if found]
    if not releases:
        return "1.0.0"
    major, minor, _ = max(releases)
    return f"{major}.{minor + 1}.0"


def untried(manifests: Iterable[Manifest], answering: str, now: datetime) -> str:
    """Why nothing is trained yet, though it is asked for; empty: nothing stands in the way.

    `manifests` are those of the store, and `answering` is the version that answers most.
    """
    made = {manifest.version: made_at(manifest.created_at) for manifest in manifests}
    begun = made.get(answering)
    for version, at in made.items():
        if at is None:
            continue
        days = (now - at).total_seconds() / S_PER_DAY
        is_newer = begun is None or at > begun
        if version != answering and is_newer and days < LEAST_DAYS_BETWEEN:
            return (
                f"{version} was made {days:.1f} days ago and does not answer yet: it is tried "
                f"first, for {LEAST_DAYS_BETWEEN:g} days"
            )
    return ""


def too_old(
    at_us: Iterable[int],
    asking_days: int | None,
    now: datetime,
    n_least: int,
    label_delay_days: float = 0.0,
) -> str:
    """Why these rows are not trained on, though it is asked for; empty: they are new enough.

    `at_us` is when each was answered, in microseconds since 1970, and `asking_days` are those of
    the window that asked for it; None: age did, for which any rows do. It is counted back from
    where all labels have come, `label_delay_days` ago.
    """
    if asking_days is None:
        return ""
    since_us = (now - timedelta(days=asking_days + label_delay_days)).timestamp() * 1e6
    n_new = sum(at >= since_us for at in at_us)
    if n_new >= n_least:
        return ""
    window = f"the last {asking_days} days"
    if label_delay_days:
        window = f"the {asking_days} days before the last {label_delay_days:g}"
    return (
        f"only {n_new:,} of the rows with a label are of {window}, in which something changed, and "
        f"{n_least} are needed: older ones teach what was before"
    )


def rollout_block(
    model: str, stable: str, candidate: str, digest: str, config: Path, against: AgainstStable
) -> str:
    """The part of a table that lets the new version in, as YAML with comments."""
    plan = Rollout(stable=stable, candidate=candidate)
    steps = ", ".join(step if isinstance(step, str) else f"{step:g}" for step in plan.steps)
    return BLOCK.format(
        header=HEADER,
        model=model,
        stable=stable,
        candidate=candidate,
        digest=digest,
        config=config,
        steps=steps,
        guardrails=_guardrails(stable, candidate, against),
    )


def _guardrails(stable: str, candidate: str, against: AgainstStable) -> str:
    """What a rollout has to tolerate beyond its defaults, and why; empty where they are enough."""
    if against.fault:
        return _comment(
            f"{stable} could not be compared with {candidate}, so that the default of "
            f"max_disagreement_percent stays ({DEFAULT_PERCENT:g}): {against.fault}"
        )
    tolerated = against.tolerated_percent
    if tolerated is None:
        return ""
    low, high = against.interval_percent
    said = _comment(
        f"Of the newest {against.n_rows:,} rows that were held out {candidate} answers "
        f"{against.percent:.1f} % otherwise than {stable} ({low:.1f} to {high:.1f} %), where "
        f"shadow tolerates {DEFAULT_PERCENT:g} % by default. The world has changed, or "
        f"{candidate} is wrong: labels tell which."
    )
    return f"{said}  guardrails: {{max_disagreement_percent: {tolerated}}}\n"


def _comment(text: str) -> str:
    """A sentence as lines of a comment, whatever stands in it."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    lines = textwrap.wrap(
        printable,
        WIDTH,
        initial_indent=COMMENT,
        subsequent_indent=COMMENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{line}\n" for line in lines)


def require_own(path: Path) -> None:
    """Refuse to write over a file that is not of ours, before any time goes into training.

    Raises SettingsError.
    """
    if not path.parent.is_dir():
        raise SettingsError(f"--out: found no folder {path.parent}, expected one")
    try:
        is_own = not path.exists() or path.read_text(encoding="utf-8").startswith(HEADER)
    except (OSError, UnicodeDecodeError):
        is_own = False
    if not is_own:
        raise SettingsError(
            f"--out: {path} is there, and was not written by `sluice retrain`; expected a new file"
        )
