"""What is wired in a replica belongs to the application that the replica is of."""

import warnings
from pathlib import Path

import pytest
from replica_context import be_a_replica
from rolling import PLAN, START_S

from serve_app.rollout.decide import claim
from serve_app.rollout.log import open_log
from serve_app.rollout.state import fold
from serve_app.settings import ServerArgs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported

    from serve_app.app import log_of


def test_two_applications_of_one_model_do_not_share_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their files name the same state, and their plans are the same: each has its own log."""
    monkeypatch.delenv("STATE_PATH", raising=False)
    args = ServerArgs(model="churn", state=str(tmp_path))
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(lambda events: claim(fold(events), PLAN), START_S)
    found = {}
    for name in ("shop", "other"):
        be_a_replica(monkeypatch, app_name=name)
        found[name] = len(log_of(args, PLAN.id).read())
    assert found == {"shop": 1, "other": 0}
