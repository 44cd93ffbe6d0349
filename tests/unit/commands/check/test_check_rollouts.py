"""`sluice check` on a table with a rollout, and on what limits a batch."""

from pathlib import Path

import pytest
from checking import (
    ISOLATED,
    SERVER,
    SHIPPED,
    TABLE,
    changed,
    manifest_of,
    report_on,
    store_of_manifests,
    uncommented,
)

from serve_app.bundle.manifest import MANIFEST, Reference
from serve_app.bundle.store import FolderStore
from serve_app.rollout.decide import claim
from serve_app.rollout.event import Draft
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.state import fold
from serve_app.settings import Rollout

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
            'candidate: "1.1.0"',
            'candidate: "1.1.0", slice_by: [contract_length, nps_score]',
            ".rollout.slice_by: found contract_length, expected fields of the contract: ",
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
    assert found[0].startswith(f"warning {SERVER}.max_ongoing_requests: found 64, expected 256")
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


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            "min_requests: 30, guardrails: {max_disagreement_percent: 1}",
            "found 30, expected 39 or more: max_disagreement_percent: 1 takes 381 keys",
        ),
        (
            "guardrails: {max_disagreement_percent: 0}",
            "max_disagreement_percent: 0 can never be shown: shadow is always held",
        ),
        (
            "min_requests: 12",
            "found 12, expected 20 or more: at 50 % errors put a candidate out by 20 keys",
        ),
    ],
)
def test_a_plan_whose_steps_have_too_few_requests_for_the_judge_is_a_warning(
    tmp_path: Path, more: str, expected: str
) -> None:
    """A step that is over before the judge can say anything lets everybody in."""
    text = with_rollout().replace('candidate: "1.1.0"', f'candidate: "1.1.0", {more}')
    found = said(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].startswith(f"warning {TABLE}.rollout.min_requests: ")
    assert expected in found[0]


PLAN = Rollout(stable="1.0.0", candidate="1.1.0", steps=("shadow", 100.0), bake_seconds=0)
STEPS = 'candidate: "1.1.0", steps: [shadow, 100], bake_seconds: 0'


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store with both versions of every model, and a folder of logs."""
    monkeypatch.setenv("STATE_PATH", str(tmp_path / "state"))
    return store_of_manifests(tmp_path / "store", monkeypatch, "1.0.0", "1.1.0")


def write(log: Log, kind: str, share: float | str, **more: object) -> None:
    """Write one decision of the rollout."""
    state = fold(log.events)
    fields = {"seq": state.seq + 1, "rollout": PLAN.id, "run": 1, "kind": kind, "share": share}
    fields |= {"step": None, "phase": 0, "by": "judge", "reason": "test"}
    log.append(Draft(**(fields | more)), 1_800_000_000.0)  # type: ignore[arg-type]


def in_state(tmp_path: Path, text: str) -> list[str]:
    """What is said of a file with its store and state."""
    found = report_on(tmp_path, text).faults
    return [f"{fault.severity} {fault.where}: {fault.text}" for fault in found]


def shadowed(tmp_path: Path, **numbers: float) -> Log:
    """Write the log of a rollout that has come to 100 %."""
    log = open_log(str(tmp_path / "state"), "churn", "churn", PLAN.id)
    log.claim(lambda events: claim(fold(events), PLAN), 1_800_000_000.0)
    write(log, "entered", "shadow", step=0, phase=1)
    write(log, "entered", 100.0, step=1, phase=2, numbers=numbers)
    return log


def test_a_plan_that_is_finished_already_is_a_warning(tmp_path: Path, store: FolderStore) -> None:
    """Deployed again later, it gives everybody the candidate at once, without a step."""
    text = with_rollout().replace('candidate: "1.1.0"', STEPS)
    assert in_state(tmp_path, text) == []
    assert not (tmp_path / "state").exists(), "a check makes nothing"
    log = shadowed(tmp_path)
    assert in_state(tmp_path, text) == [], "it is under way"
    write(log, "finished", 100.0, step=1, phase=2)
    found = in_state(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"warning {TABLE}.rollout: its log says finished: 1.1.0 answers")
    assert 'stable: "1.1.0"' in found[0]
    assert "run: 2 begins again" in found[0]
    assert in_state(tmp_path, text.replace("bake_seconds: 0", "bake_seconds: 0, run: 2")) == []
    assert said(tmp_path, text) == [], "not with --no-store"


def test_a_plan_that_is_out_already_is_a_warning(tmp_path: Path, store: FolderStore) -> None:
    """Whoever deploys it waits for a rollout that does not begin."""
    write(shadowed(tmp_path), "rolled_back", 0.0, step=1, phase=2, reason="tickets went up")
    found = in_state(tmp_path, with_rollout().replace('candidate: "1.1.0"', STEPS))
    assert len(found) == 1
    assert "its log says rolled back (tickets went up): 1.1.0 gets nothing; run: 2" in found[0]


def test_few_keys_in_the_shadow_of_a_plan_are_a_warning(tmp_path: Path, store: FolderStore) -> None:
    """To pass is no proof where a hundred requests have one key."""
    shadowed(tmp_path, pairs=12, candidate_requests=5_000)
    found = in_state(tmp_path, with_rollout().replace('candidate: "1.1.0"', STEPS))
    assert len(found) == 1
    assert "few keys: 5,000 requests in shadow had 12" in found[0]


def test_a_log_that_cannot_be_read_from_here_is_a_warning(
    tmp_path: Path, store: FolderStore
) -> None:
    """It may be reached from the cluster; what is in it is not known."""
    shadowed(tmp_path)
    for file in (tmp_path / "state" / "churn" / "churn" / PLAN.id).glob("*.json"):
        file.write_text("{")
    found = in_state(tmp_path, with_rollout().replace('candidate: "1.1.0"', STEPS))
    assert len(found) == 1
    assert found[0].startswith(f"warning {TABLE}.rollout: its log is not known from here: ")


def test_a_field_that_has_no_slices_is_a_warning(tmp_path: Path, store: FolderStore) -> None:
    """Its bins are those that the training of stable has kept: without them nothing is looked at,
    and nobody would see that.
    """
    fields = "slice_by: [contract_length_months, nps_score]"
    text = with_rollout().replace('candidate: "1.1.0"', f'candidate: "1.1.0", {fields}')
    months = Reference(share_missing=0, counts=[1, 1], edges=[12])
    all_alike = Reference(share_missing=0, counts=[1], edges=[])
    for kept, named in (
        ({}, "contract_length_months, nps_score"),
        ({"contract_length_months": months}, "nps_score"),
        ({"contract_length_months": months, "nps_score": all_alike}, "nps_score"),
    ):
        manifest = manifest_of("churn", "1.0.0", references=kept)
        (store.root / "churn" / "1.0.0" / MANIFEST).write_bytes(manifest)
        (found,) = in_state(tmp_path, text)
        assert found.startswith(f"warning {TABLE}.rollout.slice_by: found {named}, without bins")
    kept = {"contract_length_months": months, "nps_score": months}
    manifest = manifest_of("churn", "1.0.0", references=kept)
    (store.root / "churn" / "1.0.0" / MANIFEST).write_bytes(manifest)
    assert in_state(tmp_path, text) == []


def test_what_is_wrong_with_a_candidate_is_said_of_the_candidate(
    tmp_path: Path, store: FolderStore
) -> None:
    """Not of stable, which a person would then look at for nothing."""
    text = with_rollout().replace('candidate: "1.1.0"', 'candidate: "9.9.9"')
    found = in_state(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"error {TABLE}.rollout.candidate: ")
    text = text.replace('"9.9.9"', '"1.1.0"').replace('stable: "1.0.0"', 'stable: "8.8.8"', 1)
    assert in_state(tmp_path, text)[0].startswith(f"error {TABLE}.rollout.stable: ")
