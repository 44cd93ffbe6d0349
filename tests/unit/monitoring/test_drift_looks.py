"""Drift for the metrics: what was seen last, as long as somebody knows it."""

import pytest
from fakes import FakeDrift

from serve_app.errors import NotReady
from serve_app.monitoring.drift_looks import DriftLooks


async def test_what_was_seen_last_is_known_until_nobody_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An old number would look like news; the log says why there is none, once."""
    reader = FakeDrift()
    looks = DriftLooks(reader)
    assert looks.latest is None
    await looks.look()
    assert looks.latest == reader.view
    reader.error = NotReady("The coordinator does not answer.")
    for _ in range(3):
        await looks.look()
    assert looks.latest is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    reader.error = None
    await looks.look()
    assert looks.latest == reader.view


async def test_a_reader_that_breaks_ends_no_look() -> None:
    """Whatever it is, the next minute may be better."""

    class Broken:
        async def drift(self) -> None:
            raise ZeroDivisionError

    looks = DriftLooks(Broken())  # type: ignore[arg-type]
    await looks.look()
    assert looks.latest is None
