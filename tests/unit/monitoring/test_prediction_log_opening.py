"""The log of a server from its start on: its threads run before there is a table."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness import wait_until
from logging_server import LoggingServer, answered

from serve_app.models import get_spec
from serve_app.monitoring.log.opening import open_prediction_log
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged
from serve_app.monitoring.log.writer import PredictionLog
from serve_app.settings import LogOptions

SPEC = get_spec("churn")
ROW = SPEC.examples[0].row.model_dump(mode="json")
OLD_DAYS = 100


class Opened:
    """A server's log in a folder, and the versions whose table it follows."""

    def __init__(self, folder: Path) -> None:
        self.versions: Any = SimpleNamespace(table=None, members=dict)
        self.place = LogPlace(str(folder))
        found = open_prediction_log(str(folder), SPEC, "app", "a" * 16, self.versions)
        assert found is not None
        self.log: PredictionLog = found

    def take(self, **options: Any) -> None:
        """A table with these options is in force."""
        self.versions.table = SimpleNamespace(log=LogOptions(**options))

    def hear(self, key: str) -> None:
        """Of an answer, whose id is its routing key."""
        self.log.answers.heard(answered(SPEC, [ROW], [0.5], ids=[key], key=key))

    def ids(self) -> list[str]:
        """What a reader finds."""
        return [name for line in logged(self.place, "churn") for name in line.ids]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Opened]]:
    """Starts the log of a server, which looks around all the time; it is closed in the end."""
    monkeypatch.setattr("serve_app.monitoring.log.writer.LOOK_EVERY_S", 0.01)
    # The test's own disk may be fuller than a server's.
    monkeypatch.setattr("serve_app.monitoring.log.spool_room.LEAST_FREE_BYTES", 0)
    running: list[Opened] = []

    def started() -> Opened:
        running.append(Opened(tmp_path))
        return running[-1]

    yield started
    for one in running:
        one.log.close()


@pytest.fixture
def old_row(tmp_path: Path) -> str:
    """The id of a row in a part that was begun a hundred days ago."""
    before = LoggingServer(SPEC, tmp_path)
    before.write(answered(SPEC, [ROW], [0.5], ids=["old"]), now_s=time.time() - OLD_DAYS * 86_400)
    before.finish()
    return "old"


def leave_part(folder: Path) -> Path:
    """A part that another server finished and did not put to its day: a look does that first."""
    other = LoggingServer(SPEC, folder)
    other.write(answered(SPEC, [ROW], [0.5], ids=["left"]), now_s=time.time())
    other.log.finish_part()
    [path] = other.spool.iterdir()
    return path


def test_a_start_forgets_nothing_before_a_table_says_for_how_long_rows_are_kept(
    start: Callable[[], Opened], old_row: str, tmp_path: Path
) -> None:
    """A store that is away may keep the first table back for hours, and it may say a year."""
    left = leave_part(tmp_path)
    server = start()
    wait_until(lambda: not left.exists(), "the first look")
    # Ends after the look that is under way.
    server.log.close()
    assert sorted(server.ids()) == ["left", old_row]


def test_a_year_that_a_late_table_asks_for_is_kept(
    start: Callable[[], Opened], old_row: str, tmp_path: Path
) -> None:
    """Nothing was deleted by a default of thirty days meanwhile."""
    first = leave_part(tmp_path)
    server = start()
    wait_until(lambda: not first.exists(), "a look without a table")
    server.take(keep_days=365)
    second = leave_part(tmp_path)
    wait_until(lambda: not second.exists(), "a look with one")
    server.log.close()
    assert old_row in server.ids()


def test_old_rows_go_as_soon_as_a_table_says_so(
    start: Callable[[], Opened], old_row: str, tmp_path: Path
) -> None:
    """Looks without a table do not count as the one of that hour."""
    left = leave_part(tmp_path)
    server = start()
    wait_until(lambda: not left.exists(), "a look without a table")
    assert old_row in server.ids()
    server.take(keep_days=30)
    wait_until(lambda: old_row not in server.ids(), "the look that forgets")
    assert server.ids() == ["left"]
    [part] = server.place.parts("churn")
    assert (datetime.now(UTC) - part.begin).days <= 1


def test_a_share_holds_for_what_was_heard_before_it_was_known(
    start: Callable[[], Opened],
) -> None:
    """The first table and an answer come within the same half second; nothing means nothing."""
    server = start()
    server.hear("customer")
    server.take(sample_percent=0)
    server.log.close()
    assert server.ids() == []
    assert server.log.n_dropped == 0, "what is not sampled is not missing"


def test_of_what_was_heard_before_a_share_those_customers_are_kept_that_are_kept_afterwards(
    start: Callable[[], Opened],
) -> None:
    """By the routing key, so that a customer's first row is there or missing as the others are."""
    keys = [f"customer-{number}" for number in range(200)]
    early = start()
    for key in keys:
        early.hear(key)
    early.take(sample_percent=20)
    early.log.close()
    kept = early.ids()
    early.log.answers.taken()
    for key in keys:
        early.hear(key)
    assert kept == [entry.ids[0] for entry in early.log.answers.taken()]
    # A binomial with n = 200 and p = .2 is farther than 5 deviations off once in a million.
    assert abs(len(kept) - 40) < 29
