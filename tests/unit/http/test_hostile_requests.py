"""Several hundred hostile requests: each gets its status, and nothing of itself comes back."""

import gc
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hostile import hostile_requests
from hostile_request import Hostile, encoded, good_row
from raw_requests import asked_in_process
from whole_model import PREFIX, WAYS, reached, whole_model

from serve_app.http.edge import put_in_front
from serve_app.models import MODELS, get_spec

SPEC = get_spec("churn")
IS_LONG = bool(os.environ.get("SLUICE_LONG"))
# After so many the memory has to be as before: `make test-long` sends 100,000.
N_REQUESTS = 100_000 if IS_LONG else 2_000
GOOD_EVERY = 50


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each way to the door; afterwards none is in front of Ray."""
    yield request.param
    put_in_front(None)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What pytest keeps of the log would look like memory that grows."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", MODELS)
async def test_every_hostile_request_gets_its_status_and_nothing_of_itself(
    name: str, way: str, tmp_path: Path
) -> None:
    """No 5xx, no value, name, path or header comes back, no command is carried out, and good
    requests between are answered.
    """
    spec = get_spec(name)
    app = reached(await whole_model(spec, tmp_path), way)
    n_events = n_files(tmp_path)
    good = Hostile("good", "/v1/predict", encoded(good_row(spec), {}), statuses=(200,))
    faults = []
    for n, request in enumerate(hostile_requests(spec)):
        asked = [request, good] if n % GOOD_EVERY == 0 else [request]
        faults += [(await asked_in_process(app, one, PREFIX)).fault(one) for one in asked]
    assert [fault for fault in faults if fault] == []
    assert n_files(tmp_path) == n_events


def n_files(folder: Path) -> int:
    """How many files there are, at any depth: the log has one for each command."""
    return sum(path.is_file() for path in folder.rglob("*"))


def test_hostile_requests_are_many_and_each_has_a_name_of_its_own() -> None:
    """A fault is found again by its name alone."""
    requests = hostile_requests(SPEC)
    assert len(requests) > 500
    assert len({request.name for request in requests}) == len(requests)
    assert len({request.name for request in requests if not request.in_rows}) > 300


async def test_hostile_requests_leave_nothing_in_memory(way: str, tmp_path: Path) -> None:
    """Not an object for every hundred of them: objects that can hold others are counted, and blocks
    of memory, of which the interpreter itself takes some more at first. Caches have had all
    requests once before.
    """
    app = reached(await whole_model(SPEC, tmp_path), way)
    requests = hostile_requests(SPEC)
    await send(app, requests)
    before = counted()
    await send(app, itertools.islice(itertools.cycle(requests), N_REQUESTS))
    after = counted()
    assert after[0] - before[0] < N_REQUESTS / 100
    assert after[1] - before[1] < N_REQUESTS / 4


async def send(app: object, requests: Iterable[Hostile]) -> None:
    """One after the other, whatever the answers are."""
    for request in requests:
        await asked_in_process(app, request, PREFIX)


def counted() -> tuple[int, int]:
    """Objects that can hold others, and blocks of up to 512 bytes, which hold all small objects."""
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks()
