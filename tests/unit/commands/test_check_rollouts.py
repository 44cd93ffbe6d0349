"""`sluice check` on a table with a rollout, and on what limits a batch."""

from pathlib import Path

import pytest
from checking import ISOLATED, SERVER, SHIPPED, TABLE, changed, report_on, uncommented

ROLLOUT = '      rollout: {stable: "1.0.0", candidate: "1.1.0"}\n'


def with_rollout(text: str = SHIPPED) -> str:
    """The shipped file with a rollout in the table of churn."""
    return changed(text, '      stable: "1.0.0"\n', ROLLOUT)[0]


def said(tmp_path: Path, text: str) -> list[str]:
    """All faults as `place: text`."""
    report = report_on(tmp_path, text, with_store=False)
    return [f"{fault.severity} {fault.where}: {fault.text}" for fault in report.faults]


def test_a_rollout_needs_nothing_else(tmp_path: Path) -> None:
    """Stable is named by it, and the candidate is a version of the file."""
    assert said(tmp_path, with_rollout()) == []
    assert "3 versions" in report_on(tmp_path, with_rollout(), with_store=False).summary


def test_the_rollout_that_is_shipped_as_a_comment_is_sound(tmp_path: Path) -> None:
    """Whoever takes the marks away has a rollout with the defaults."""
    lines = SHIPPED.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("      # rollout:"))
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("      # "))
    lines[begin:end] = [line.replace("# ", "", 1) for line in lines[begin:end]]
    assert said(tmp_path, "\n".join(lines) + "\n") == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'candidate: "1.1.0"',
            'candidate: "1.1.0", step: [5]',
            "error " + TABLE + ".rollout.step: unknown key",
        ),
        (
            'candidate: "1.1.0"',
            'candidate: "1.1.0", steps: [50, 5]',
            "expected each above the one before",
        ),
        (
            'candidate: "1.1.0"',
            'candidate: "1.1.0", guardrails: {slow_ms: 150}',
            "expected less than limits.candidate_deadline_ms (150)",
        ),
        (
            "      limits:",
            '        "1.1.0": {weight_percent: 5}\n      limits:',
            "the rollout decides",
        ),
    ],
)
def test_a_rollout_that_cannot_go_as_meant_is_said(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    """The check tells of it before it is deployed."""
    text = with_rollout()
    if "weight_percent" in new:
        old, new = (
            "          coalesce: auto  ",
            '          coalesce: auto\n        "1.1.0": {weight_percent: 5}  ',
        )
    found = said(tmp_path, changed(text, old, new)[0])
    assert len(found) == 1, found
    assert expected in found[0]


def test_an_isolated_candidate_whose_replicas_would_not_come_is_a_warning(tmp_path: Path) -> None:
    """Ray's own autoscaling knows nothing of a share that was not given yet."""
    text = uncommented(SHIPPED).replace("          weight_percent: 10", "          coalesce: auto")
    text = changed(text, '      stable: "1.0.0"\n', ROLLOUT)[0]
    assert said(tmp_path, text) == []
    policy = next(line for line in text.splitlines() if "scaling:by_share" in line)
    found = said(tmp_path, text.replace(policy + "\n", ""))
    assert len(found) == 1
    assert found[0].startswith(
        f"warning {ISOLATED}.deployments[Version].autoscaling_config: expected policy_function"
    )


def test_what_keeps_a_batch_small_is_a_warning(tmp_path: Path) -> None:
    """More requests are let in than a batch has rows; a full one must not look like overload."""
    text = changed(SHIPPED, "coalesce: auto  ", "coalesce: always")[0]
    found = said(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"warning {SERVER}.max_ongoing_requests: found 200, expected 256")
    found = said(
        tmp_path, changed(text, "target_ongoing_requests: 16", "target_ongoing_requests: 2")[0]
    )
    assert len(found) == 2
    assert "target_ongoing_requests: found 2, expected more" in found[0]


def test_a_target_that_no_isolated_version_reaches_is_a_warning(tmp_path: Path) -> None:
    """The target counts blocks, and few are under way at a time."""
    text = uncommented(SHIPPED)
    found = said(
        tmp_path, text.replace("target_ongoing_requests: 1 ", "target_ongoing_requests: 16 ")
    )
    assert len(found) == 1
    assert "expected 1 to 1.5: it counts blocks" in found[0]
