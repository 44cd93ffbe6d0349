"""What each version was asked and what came of it is counted, with the times."""

import asyncio
import math
from contextlib import suppress
from dataclasses import replace

import pytest
from fakes import FakeScorer, FakeStore, rows_of, table, until
from watching import manifest

from serve_app.errors import DeadlineExceeded, NotReady
from serve_app.models import get_spec
from serve_app.serving.member import Opened
from serve_app.serving.router import Router
from serve_app.serving.version_counts import VersionCounts
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionEntry

SPEC = get_spec("churn")
STABLE = "1.0.0"
CANDIDATE = "1.1.0"


async def counted(
    candidate: FakeScorer, stable: FakeScorer | None = None
) -> tuple[VersionCounts, Router]:
    """Return what observes a router whose candidate has all of the traffic."""
    store = FakeStore()

    async def open_version(version: str, entry: VersionEntry, of: Table) -> Opened:
        opened = await store.open(version, entry, of)
        return replace(opened, manifest=manifest())

    stable = stable or FakeScorer(lambda days: days / 100)
    store.scorers = {STABLE: stable, CANDIDATE: candidate}
    versions = Versions(open_version)
    await versions.start(table(v1_1_0=100))
    await until(lambda: all(versions.ready(version) for version in versions.members()))
    counts = VersionCounts()
    return counts, Router(SPEC, versions, (counts,))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DeadlineExceeded("late"), "deadline_exceeded"),
        (NotReady("away"), "not_ready"),
        (RuntimeError("broken"), "internal_error"),
    ],
)
async def test_a_version_that_fails_is_counted_by_the_code_of_its_error(
    error: Exception, outcome: str
) -> None:
    """And stable, which answers in its place, as one that answered."""
    candidate = FakeScorer(lambda _: 0.9)
    candidate.error = error
    counts, router = await counted(candidate)
    await router.predict(rows_of(3), "ada", None)
    assert dict(counts.outcomes) == {(CANDIDATE, outcome): 1, (STABLE, "answered"): 1}
    assert counts.times == {}, "neither answered by itself what it was asked"


async def test_a_row_without_an_answer_is_a_failure_of_the_version_that_was_asked() -> None:
    """Even if stable was asked, behind which there is nobody."""
    counts, router = await counted(
        FakeScorer(lambda _: 0.9), FakeScorer(lambda days: math.nan if days == 4 else days / 100)
    )
    await router.predict(rows_of(3, 4, 5), "ada", STABLE)
    assert dict(counts.outcomes) == {(STABLE, "model_failed"): 1}
    assert dict(counts.events) == {("rows", STABLE): 3, ("failed_rows", STABLE): 1}


async def test_a_client_that_left_is_neither_an_answer_nor_an_error() -> None:
    """Nobody knows what would have been."""
    counts, router = await counted(FakeScorer(lambda _: 0.9, delay_s=30))
    asked = asyncio.create_task(router.predict(rows_of(3), "ada", None))
    await asyncio.sleep(0.01)
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await asked
    assert dict(counts.outcomes) == {(CANDIDATE, "abandoned"): 1}


async def test_every_request_has_a_time() -> None:
    """Those of one row and those of several alike."""
    counts, router = await counted(FakeScorer(lambda days: days / 100))
    for days in (1, 2, 30):
        await router.predict(rows_of(days), "ada", None)
    await router.predict(rows_of(1, 2, 30), "ada", None)
    assert counts.times[CANDIDATE].up_to()["+Inf"] == 4
    assert dict(counts.events) == {("rows", CANDIDATE): 6}
