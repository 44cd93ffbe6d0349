"""A store that is away, or that loses answers, costs no event and gives no right to write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import ObjectStore
from rolling import PLAN, START_S
from rolling_log import claiming, next_draft, written

from serve_app.bundle import objects as objects_module
from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.event import Out
from serve_app.rollout.log import open_log
from serve_app.rollout.state import fold


class Away:
    """A store some calls of which fail, after they were carried out or before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails = {"list_with_delimiter", "get", "put"}
        self.carried_out = False
        for name in sorted(self.fails):
            call = self.through(name, getattr(obstore, name))
            monkeypatch.setattr(objects_module.obstore, name, call)

    def through(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that fails when it has to."""

        def answer(objects: ObjectStore, *args: Any, **kwargs: Any) -> Any:
            if name not in self.fails:
                return call(objects, *args, **kwargs)
            if self.carried_out:
                call(objects, *args, **kwargs)
            raise GenericError("the network")

        return answer


@pytest.mark.parametrize("call", ["list_with_delimiter", "get"])
def test_a_store_that_cannot_be_read_is_a_rollout_error(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever failed, the caller sees one type of error, and nothing is claimed."""
    written(tmp_path)
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    away = Away(monkeypatch)
    away.fails = {call}
    for ask in (log.read, lambda: log.claim(claiming, START_S)):
        with pytest.raises(RolloutError, match=r"cannot be (listed|read) \(GenericError\)"):
            ask()
    assert log.epoch == 0


def test_a_write_that_failed_is_tried_again_in_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator lives through a store that is away for a moment."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    away = Away(monkeypatch)
    with pytest.raises(RolloutError, match=r"cannot be written \(GenericError\)"):
        log.append(next_draft(log), START_S)
    away.fails = set()
    assert log.append(next_draft(log), START_S + 1).seq == 2


def test_a_write_that_failed_and_came_through_is_found_and_decided_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store had written before the connection broke: the next attempt learns of it."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    away = Away(monkeypatch)
    away.carried_out = True
    with pytest.raises(RolloutError, match="cannot be written"):
        log.append(next_draft(log), START_S)
    away.fails = set()
    taken = "paused not written, its place was taken; decide again"
    with pytest.raises(RolloutError, match=taken) as caught:
        log.append(next_draft(log), START_S + 1)
    assert not isinstance(caught.value, Fenced), "the writer still holds the log"
    assert fold(log.events).status == "paused"
    assert log.append(next_draft(log), START_S + 2).kind == "resumed"


def test_an_order_that_cannot_be_left_is_a_rollout_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gave it is told, and gives it to each server."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    Away(monkeypatch)
    with pytest.raises(RolloutError, match=r"cannot be written \(GenericError\)"):
        log.order_out(1, Out("ada", "tickets"))


def test_a_claim_that_failed_gives_no_right_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives none even to a coordinator that held the log before."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    away = Away(monkeypatch)
    with pytest.raises(RolloutError):
        log.claim(claiming, START_S)
    away.fails = set()
    with pytest.raises(Fenced):
        log.append(next_draft(log), START_S)


def test_a_claim_gives_up_when_its_place_is_taken_by_what_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a listing lags behind what the store holds, there is an error and no endless loop."""
    written(tmp_path)
    monkeypatch.setattr(
        objects_module.obstore, "list_with_delimiter", lambda *_, **__: {"objects": []}
    )
    with pytest.raises(RolloutError, match=r"00000001\.json is there, but is not listed"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).claim(claiming, START_S)


@pytest.mark.parametrize("state", ["http://127.0.0.1/state", "ftp://x"])
def test_a_place_that_cannot_hold_a_log_is_refused(state: str) -> None:
    """The error says what would do instead."""
    with pytest.raises(RolloutError, match="expected a folder or one of s3://"):
        open_log(state, "churn", "shop", PLAN.id)


def test_a_folder_that_cannot_be_made_is_a_rollout_error(tmp_path: Path) -> None:
    """A file may be in the way of the state, or of the rollout's folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RolloutError, match="cannot be opened"):
        open_log(str(tmp_path / "file" / "state"), "churn", "shop", PLAN.id)
    (tmp_path / "churn").write_text("")
    with pytest.raises(RolloutError, match="cannot be listed"):
        open_log(str(tmp_path), "churn", "shop", PLAN.id).claim(claiming, START_S)
