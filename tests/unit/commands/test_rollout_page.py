"""A rollout as a page of a terminal: all that matters, on 80 columns and 24 lines."""

from typing import Any

import pytest
from rich.console import Console
from views import event, rollout_view

from serve_app.commands.rollout_page import page
from serve_app.rollout.fault import FAULTS
from serve_app.rollout.label_verdict import LabelsView
from serve_app.rollout.view import FailingSliceView, RailView, RolloutView, SliceView


def rendered(view: RolloutView) -> str:
    """The page as text."""
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(page(view))
    console.file.close()
    return console.export_text()


LABELS = LabelsView(
    said="labels: its mean loss is 0.3100 of 212 labelled keys, stable's 0.2000 of 1,900",
    n_stable=1_900,
    n_candidate=212,
    stable_loss=0.2,
    candidate_loss=0.31,
    difference=0.11,
    low=0.05,
    high=0.17,
    log_e=8.1,
    limit=7.8,
)
LONG = "more words than two lines of a terminal have room for, " * 4


FAILING_SLICE = FailingSliceView(
    feature="contract_length",
    rows="24 and more",
    stable_requests=1_300,
    stable_bad_requests=12,
    candidate_requests=140,
    candidate_bad_requests=29,
)


def fullest_view() -> RolloutView:
    """Everything at once, longer than anybody has seen it."""
    evidence = []
    for rail in ("errors", "slow", "disagreement"):
        for since in ("rollout", "step"):
            reason = (
                f"{rail}: 1234 of 5678 bad keys or stops were the candidate's since the {since} "
                "began; tolerated: up to 2345.1"
            )
            fields = {"log_e": 3.1, "limit": 5.878, "reason": reason}
            evidence.append(RailView(rail=rail, since=since, **fields))  # type: ignore[arg-type]
    numbers: dict[str, float | None] = {"psi": 0.0312, "mean_difference": -0.0012}
    numbers |= {"largest_shift": 0.3, "rank_correlation": 0.98}
    numbers |= {"stable_bad_requests": 31, "candidate_bad_requests": 12_345}
    numbers |= {f"candidate_{fault}_requests": 7 for fault in FAULTS}
    numbers["stable_late_requests"] = 31
    numbers |= {"stable_p95_ms": 3.364, "candidate_p95_ms": 107.6}
    return rollout_view(
        stable="1.0.0-rc.1",
        candidate="1.1.0-rc.12",
        status="held",
        share=50.0,
        step=14,
        steps=["shadow", *(float(2 * n) for n in range(1, 20)), 100.0],
        now=f"1.1.0-rc.12 answers 50 % of the keys, and stays there: held by judge, {LONG}",
        reason="the scores lie elsewhere",
        waits_for="clients: another coordinator holds the log, or did before",
        trouble=f"s3://bucket/rollout_state/churn: cannot be written, {LONG}",
        config_error=f"stable: found 1.9, expected a version, {LONG}",
        few_keys=f"few keys: 12,345 bad requests of 12 keys, {LONG}",
        commands=["resume", "promote", "abort"],
        stable_requests=1_234_567,
        candidate_requests=1_234_567,
        seconds=123_456.0,
        numbers=numbers,
        evidence=evidence,
        worst_slices=5
        * [SliceView(feature="contract_length", rows="under 3", n_rows=12_000, n_disagree=1_800)],
        failing_slices=3 * [FAILING_SLICE],
        examples={"candidate": {"raised": 50 * "request-8"}},
        events=[
            event(n, "rolled_back", 50.0, "a.very.long.login.name", LONG) for n in range(1, 12)
        ],
    )


def lines_of(view: RolloutView, width: int = 80, height: int = 24) -> list[str]:
    """The watched page in a terminal of this size."""
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123
        console = Console(width=width, height=height, record=True, file=nowhere)
        console.print(page(view, fits=True))
        return console.export_text().splitlines()


def test_the_fullest_page_fits_a_small_terminal_and_has_what_matters() -> None:
    """A live page that is higher is cut at its end, where decisions and commands stand."""
    lines = lines_of(fullest_view())
    assert len(lines) <= 24, "\n".join(lines)
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    for part in (
        "1.1.0-rc.12 answers 50 % of the keys",
        "held at 50 %",
        "[28]",
        "123456 of 300 s",
        "errors  ",
        "slow  ",
        "disagreement  ",
        "3.1 of 5.9",
        "31 of 1,234,567 bad: 31 late",
        "12,345 of 1,234,567 bad: 7 late, 7 raised, 7 not a number",
        "contract_length 24 and more: 29 of 140 bad, stable 12 of 1,300",
        "p95, scores   stable 3.36 ms, candidate 108 ms; PSI 0.0312",
        "contract_length under 3: 1,800 of 12,000",
        "trouble: s3://",
        "newest table is not in force: stable: found 1.9",
        "few keys: 12,345 bad requests of 12 keys",
        "rolled back  50 %",
        "waits for: clients",
        "you can: sluice rollout out | resume | promote | abort",
    ):
        assert part in text, f"{part}\n{text}"
    assert sum("rolled back" in line for line in lines) >= 2
    assert sum(line.startswith("errors ") for line in lines) == 1, "one line a rail"


def test_a_page_begins_with_the_sentence_and_uses_the_room_that_is_there() -> None:
    """More decisions first, then empty lines between what belongs together."""
    events = [event(n, "entered", 5.0, "judge", f"reason {n}", step=1) for n in range(1, 12)]
    assert lines_of(rollout_view())[:2] == [rollout_view().now, ""]
    lines = lines_of(rollout_view(events=events))
    assert len(lines) <= 24
    assert [line for line in lines if "reason 11" in line]
    assert sum(" reason " in line for line in lines) == 6


def test_each_rail_is_shown_by_what_is_nearest_to_its_limit() -> None:
    """Since the step began, or since the rollout did: whichever would put the candidate out."""
    reason = "errors: {} of 9 bad keys or stops were the candidate's since the {} began; "
    both = [
        RailView(
            rail="errors",
            since=since,
            log_e=log_e,
            limit=5.0,
            reason=reason.format(n, since) + "tolerated: up to 2.1",
        )
        for since, log_e, n in (("rollout", 1.0, 3), ("step", 4.0, 8))
    ]  # fmt: skip
    lines = [line for line in lines_of(rollout_view(evidence=both)) if line.startswith("errors")]
    assert len(lines) == 1
    assert "4.0 of 5.0" in lines[0]
    assert "8 of 9 keys/stops, up to 2.1 (step)" in lines[0]


def test_a_step_that_waits_is_not_offered_again() -> None:
    """It would be refused; what else a person can do stays."""
    offered = [line for line in lines_of(rollout_view()) if line.startswith("you can")]
    waiting = [line for line in lines_of(rollout_view(stepping=True)) if line.startswith("you can")]
    assert offered == ["you can: sluice rollout out | pause | promote | abort | step"]
    assert waiting == ["you can: sluice rollout out | pause | promote | abort"]


def test_in_shadow_the_page_tells_pairs_and_what_was_not_answered_in_time() -> None:
    """Nobody is answered by the candidate there, so that there are no bad requests of it."""
    numbers = {"pairs": 470.0, "disagreements": 2.0, "shadow_missed_requests": 3.0}
    text = "\n".join(lines_of(rollout_view(share="shadow", step=0, numbers=numbers)))
    assert "2 of 470 keys disagree, 3 not answered in time, 0 rows dropped" in text


def test_what_people_wrote_is_shown_as_it_is_written() -> None:
    """Brackets in a reason are no markup."""
    assert "[bold]why[/bold] [x" in rendered(
        rollout_view(now="[bold]why[/bold] [x", trouble="[/red] broken [")
    )


def test_what_is_over_waits_for_nothing() -> None:
    """The first sentence says what a person does next, and it is said once."""
    step = {"status": "finished", "step": 3, "waits_for": "done: write stable"}
    assert "waits for" not in rendered(rollout_view(**step))
    assert "waits for: done" in rendered(rollout_view(**step | {"status": "baking"}))


@pytest.mark.parametrize(
    "status", ["waiting", "held", "paused", "baking", "aborted", "finished", "rolled_back"]
)
def test_every_status_has_a_page(status: Any) -> None:
    """A page can be drawn before the first step too, and without evidence."""
    step = {"waiting": None, "baking": 3, "finished": 3}.get(status, 1)
    text = rendered(rollout_view(status=status, step=step, evidence=[], worst_slices=[]))
    assert status.replace("_", " ") in text


def test_a_page_names_a_request_by_which_a_bad_answer_is_found_in_the_log() -> None:
    """The candidate's first: it is what a person looks for."""
    examples = {"stable": {"late": "request-7"}, "candidate": {"raised": "request-8"}}
    (line,) = [
        line for line in lines_of(rollout_view(examples=examples)) if line.startswith("in the log")
    ]
    assert line.split(maxsplit=3)[3] == "candidate raised: request-8, stable late: request-7"
    assert not [line for line in lines_of(rollout_view()) if line.startswith("in the log")]


def test_a_page_says_what_labels_say_from_the_first_one_on() -> None:
    """By them alone a candidate may be put out, so a person must see how it stands."""
    (line,) = [line for line in lines_of(rollout_view(labels=LABELS)) if "labels" in line[:6]]
    assert line.split(maxsplit=1)[1].startswith(
        "1,900 and 212 labelled keys: its mean loss is 0.31"
    )
    assert not [line for line in lines_of(rollout_view()) if line.startswith("labels")]
    fullest = lines_of(fullest_view().model_copy(update={"labels": LABELS}))
    assert len(fullest) <= 24
    assert any(line.startswith("labels") for line in fullest), "what failed is said before"
