"""The controller asks what came true, and goes by it while a rollout runs."""

from pathlib import Path

import pytest
from two_servers import TwoServers, written

from serve_app.statistics.loss_test import LabelEvidence


class Labels:
    """What labels say of every run, as a test sets it; and which were asked for."""

    def __init__(self) -> None:
        self.found: LabelEvidence | None = None
        self.asked: set[tuple[str, str, str, float]] = set()

    def labelled(
        self, run: str, stable: str, candidate: str, max_ratio: float
    ) -> LabelEvidence | None:
        """Told."""
        self.asked.add((run, stable, candidate, max_ratio))
        return self.found


@pytest.mark.parametrize(("share", "status"), [(10.0, "aborted"), (100.0, "rolled_back")])
async def test_a_candidate_that_is_worse_on_labels_is_out_within_a_look(
    tmp_path: Path, share: float, status: str
) -> None:
    """Also when the labels of its first steps come while it bakes; the log says why."""
    labels = Labels()
    servers = TwoServers(tmp_path, labels=labels)
    run = await servers.run_at(share)
    assert servers.view().labels is None
    labels.found = LabelEvidence(400, 100, 0.1, 0.2, 8.0, -9.0)
    servers.controller.watch()
    assert servers.orders.percent == share
    await servers.report_for()
    assert servers.orders.percent == 0.0
    assert servers.status == status
    event = written(tmp_path)[-1]
    assert event["cause"] == "labels"
    assert event["numbers"]["candidate_labels"] == 100
    assert labels.asked == {(run, "1.0.0", "1.1.0", 1.1)}
    found = servers.view().labels
    assert found is not None
    assert "tolerated: up to 1.1 times" in found.said


async def test_a_candidate_that_is_better_on_labels_goes_on_and_the_log_says_so(
    tmp_path: Path,
) -> None:
    """By its own steps, no sooner."""
    labels = Labels()
    servers = TwoServers(tmp_path, labels=labels)
    await servers.until_share(10.0)
    labels.found = LabelEvidence(400, 100, 0.2, 0.1, -9.0, 8.0)
    await servers.until_share(100.0)
    assert "better on labels" in written(tmp_path)[-1]["reason"]
