"""Several hundred hostile requests: each gets its status, and nothing of itself comes back."""

import gc
import itertools
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hostile import hostile_requests
from hostile_request import JSON, MANY, ONE, Hostile, encoded, good_row
from keyring import NOW_S, key_of, keyed
from raw_requests import asked_in_process
from whole_model import PREFIX, WAYS, reached, whole_model

from serve_app.access.rates import Rates
from serve_app.access.shares import RatesReply
from serve_app.contract import ModelSpec
from serve_app.http.edge import put_in_front
from serve_app.http.rate_limit import RateLimit
from serve_app.models import MODELS, get_spec

SPEC = get_spec("churn")
IS_LONG = bool(os.environ.get("SLUICE_LONG"))
# After so many the memory has to be as before: `make test-long` sends 100,000.
N_REQUESTS = 100_000 if IS_LONG else 2_000
GOOD_EVERY = 50
OPEN = ("/health", "/ready", "/v1/model", "/v1/rollout", "/openapi.json")


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


# Who asks where keys are asked for, and what they may be told that others are not. The shop's rate
# is used up on the way.
CALLERS: dict[str, tuple[str | None, tuple[int, ...]]] = {
    "nobody": (None, (401,)),
    "a stranger": (key_of("nobody"), (401,)),
    "an expired key": (key_of("old"), (401,)),
    "the shop": (key_of("shop"), (403, 429)),
    "an operator": (key_of("ops"), ()),
}


@pytest.mark.parametrize("who", CALLERS)
async def test_where_keys_are_asked_for_hostile_requests_get_no_more(
    who: str, way: str, tmp_path: Path
) -> None:
    """Refusals for want of a key, a scope or a rate are answers too: no 5xx, no echo. Who has no
    right key is let in nowhere, and gives no command.
    """
    key, more_statuses = CALLERS[who]
    rates = Rates(lambda: NOW_S)
    rates.follow(RatesReply({}, 1.0, 1.0))
    options = {"auth": keyed(tmp_path)[0], "more_checks": [RateLimit(rates).look]}
    log = tmp_path / "log"
    log.mkdir()
    app = reached(await whole_model(SPEC, log, **options), way)
    n_events = n_files(tmp_path)
    hostile = hostile_requests(SPEC)
    in_rows = [request for request in hostile if request.in_rows]
    others = [request for request in hostile if not request.in_rows]
    shown = () if key is None else ((b"x-api-key", key.encode()),)
    faults = []
    refused: Counter[int] = Counter()
    for request in [*others, *in_rows[::10]]:
        sent = replace(request, headers=(*shown, *request.headers))
        answer = await asked_in_process(app, sent, PREFIX)
        faults.append(answer.fault(sent, more_statuses))
        refused[answer.status] += 1
        if 401 in more_statuses and request.method == "POST":
            assert answer.status != 200, request.name
    assert [fault for fault in faults if fault] == []
    # Else the test would look past what it is for.
    assert all(refused[status] > 10 for status in more_statuses)
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


def good_requests(spec: ModelSpec) -> list[Hostile]:
    """What honest clients ask, by some keys."""
    row = encoded(good_row(spec), {})
    batch = b"[" + b",".join([row] * 10) + b"]"
    found = [Hostile(f"GET {path}", path, headers=(), method="GET") for path in OPEN]
    for i in range(5):
        headers = (*JSON, (b"x-routing-key", b"key-%d" % i))
        found += [Hostile("one", ONE, row, headers), Hostile("many", MANY, batch, headers)]
    return found


async def test_good_requests_leave_nothing_in_memory(way: str, tmp_path: Path) -> None:
    """A short soak, with a rollout under way: nothing grows with the requests that are answered."""
    app = reached(await whole_model(SPEC, tmp_path), way)
    requests = good_requests(SPEC)
    await send(app, itertools.islice(itertools.cycle(requests), N_REQUESTS // 4))
    before = counted()
    await send(app, itertools.islice(itertools.cycle(requests), N_REQUESTS))
    after = counted()
    assert after[0] - before[0] < N_REQUESTS / 100
    assert after[1] - before[1] < N_REQUESTS / 4


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
