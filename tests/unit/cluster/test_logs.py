"""Where the lines of this package go, and when."""

import logging
from collections.abc import Iterator
from logging.handlers import MemoryHandler

import pytest

from serve_app.cluster.logs import log_to_ray
from serve_app.serving.request_id import REQUEST_ID

OURS = logging.getLogger("serve_app")
RAYS = logging.getLogger("ray.serve")


class Written(logging.Handler):
    """A log file: the records that have reached it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self.records.append(record)


@pytest.fixture
def written() -> Iterator[Written]:
    """Ray's log as the fast mode sets it up: 1,000 lines wait in memory before any is written."""
    before = RAYS.handlers
    file = Written()
    RAYS.handlers = [MemoryHandler(1_000, target=file)]
    log_to_ray(lambda: "churn", model="churn")
    yield file
    RAYS.handlers = before


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_a_line_is_written_at_once_although_ray_keeps_a_thousand(
    written: Written, level: int
) -> None:
    """What waits in memory is lost with the process, and nobody finds the reason of an error."""
    logging.getLogger("serve_app.toy").log(level, "version %s is ready", "1.0.0")
    assert [record.getMessage() for record in written.records] == ["version 1.0.0 is ready"]


def test_a_line_of_a_request_has_its_id_and_other_lines_have_none(written: Written) -> None:
    """The answer names the id, so that its line can be found; Ray's format looks for the name."""
    token = REQUEST_ID.set("request-1")
    OURS.warning("the model failed")
    REQUEST_ID.reset(token)
    OURS.warning("the coordinator does not answer")
    of_request, other = written.records
    assert vars(of_request)["request_id"] == "request-1"
    assert "request_id" not in vars(other)
