"""What a client with a rate sees, through FastAPI and in front of Ray alike."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from behind_door import PREFIX, BehindDoor
from fakes import (
    REQUEST_ID,
    assert_problem,
    example_rows,
    patient,
)
from rated_servers import caller

from serve_app.access.caller import Caller
from serve_app.access.rates import Rates
from serve_app.access.shares import RatesReply
from serve_app.http.rate_limit import RateLimit
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Route
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
HEADERS = {"content-type": "application/json", "x-request-id": REQUEST_ID}
# draft-ietf-httpapi-ratelimit-headers: a list of a quoted name with whole numbers.
POLICY = re.compile(r'"rows";q=(\d+);w=(\d+)')
LEFT = re.compile(r'"rows";r=(\d+);t=(\d+)')


class Setup(BehindDoor):
    """An application whose caller and clock the test sets; the server is the only one."""

    def __init__(self, way: str) -> None:
        self.now_s = 100.0
        self.caller: Caller | None = caller(10, 20)
        self.rates = Rates(lambda: self.now_s)
        self.rates.follow(RatesReply({}, 1.0, 1.0))

        async def let_in(request: IncomingRequest, route: Route) -> None:
            request.caller = self.caller

        checks = (let_in, RateLimit(self.rates).look)
        super().__init__(way, SPEC, HEADERS, more_checks=checks)

    async def predict(self, n_rows: int | None = None) -> httpx.Response:
        """One row, or a batch of so many."""
        if n_rows is None:
            return await self.client.post(f"{PREFIX}/v1/predict", json=ROW)
        return await self.client.post(f"{PREFIX}/v1/predict/batch", json=[ROW] * n_rows)


@pytest.fixture
def setup(way: str) -> Setup:
    """Either way to the door."""
    return Setup(way)


def numbers(pattern: re.Pattern[str], text: str) -> tuple[int, ...]:
    """The numbers of a header that has to be of this form."""
    found = pattern.fullmatch(text)
    assert found, text
    return tuple(int(each) for each in found.groups())


async def test_an_answer_says_what_the_key_allows_and_what_is_left(setup: Setup) -> None:
    """So that a client can slow down before it is refused."""
    answers = [await setup.predict(), await setup.predict(15)]
    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        assert numbers(POLICY, answer.headers["ratelimit-policy"]) == (20, 2)
    assert [numbers(LEFT, answer.headers["ratelimit"]) for answer in answers] == [(19, 1), (4, 1)]


async def test_who_has_sent_too_much_is_refused_and_told_when_to_come_again(setup: Setup) -> None:
    """A batch costs its rows: 100 of them at 10 a second, 20 of which were there."""
    assert (await setup.predict(100)).status_code == 200
    refused = await setup.predict()
    problem = assert_problem(refused, 429, "rate_limited")
    assert "10 rows a second" in problem["detail"]
    assert refused.headers["retry-after"] == "9"
    assert numbers(POLICY, refused.headers["ratelimit-policy"]) == (20, 2)
    assert numbers(LEFT, refused.headers["ratelimit"]) == (0, 9)
    setup.now_s += 9
    assert (await setup.predict()).status_code == 200


async def test_a_client_that_waits_as_long_as_it_is_told_is_answered(setup: Setup) -> None:
    """Whatever it sends: what it is told is never too short."""
    for n_rows in (100, 3, 50, 1, 20):
        answer = await setup.predict(n_rows)
        assert answer.status_code == 200
        while numbers(LEFT, answer.headers["ratelimit"])[0]:
            answer = await setup.predict()
        refused = await setup.predict(n_rows)
        setup.now_s += int(refused.headers["retry-after"])


async def test_a_refusal_reads_no_body(setup: Setup) -> None:
    """What it would cost to read is what the limit is there for."""
    assert (await setup.predict(100)).status_code == 200
    asked: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(1)
        yield b"[]"

    refused = await setup.client.post(f"{PREFIX}/v1/predict/batch", content=body())
    assert refused.status_code == 429
    assert asked == []


async def test_bodies_that_cannot_be_used_cost_a_row_each(setup: Setup) -> None:
    """Else they could be sent without end; they are told what is left too."""
    for n_left in range(19, -1, -1):
        answer = await setup.client.post(f"{PREFIX}/v1/predict", content=b"no JSON")
        assert answer.status_code == 400
        assert numbers(LEFT, answer.headers["ratelimit"])[0] == n_left
    answer = await setup.client.post(f"{PREFIX}/v1/predict", content=b"no JSON")
    assert answer.status_code == 429


async def test_invalid_rows_of_a_batch_are_counted_too(setup: Setup) -> None:
    """They were read and described like the others."""
    rows: list[Any] = [ROW, {}, {}, {}]
    answer = await setup.client.post(f"{PREFIX}/v1/predict/batch", json=rows)
    assert answer.json()["failed"] == 3
    assert numbers(LEFT, answer.headers["ratelimit"])[0] == 16


async def test_an_overloaded_server_takes_no_rows_from_anybody(setup: Setup) -> None:
    """It says so before it looks at the rate, and that answer has nothing to do with the key."""
    setup.backend.limits = patient(max_rows_under_way=10)
    setup.backend.rows_under_way = 10
    refused = await setup.predict()
    assert_problem(refused, 429, "overloaded")
    assert "ratelimit" not in refused.headers
    setup.backend.rows_under_way = 0
    assert numbers(LEFT, (await setup.predict()).headers["ratelimit"])[0] == 19


async def test_an_overload_that_is_met_after_the_body_has_cost_a_row(setup: Setup) -> None:
    """Reading it was work. Two large bodies of bad rows, and there is room for one to be read."""
    setup.caller = caller(1_000, 2_000)
    setup.backend.limits = patient(max_rows_under_way=100)
    url = f"{PREFIX}/v1/predict/batch"
    calls = [setup.client.post(url, json=[{}] * 100) for _ in range(2)]
    answered, refused = await asyncio.gather(*calls)
    assert answered.status_code == 200
    assert_problem(refused, 429, "overloaded")
    assert numbers(LEFT, refused.headers["ratelimit"])[0] == 2_000 - 2
    assert numbers(LEFT, answered.headers["ratelimit"])[0] == 2_000 - 101


async def test_other_routes_cost_nothing(setup: Setup) -> None:
    """An operator looks at a rollout however much the key has been used."""
    assert (await setup.predict(100)).status_code == 200
    for path in ("/health", "/ready", "/v1/model", "/v1/rollout", "/openapi.json"):
        answer = await setup.client.get(PREFIX + path)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


async def test_who_has_no_rate_is_told_nothing_of_rates(setup: Setup) -> None:
    """Neither a caller without a key nor one whose key has no rate."""
    for who in (None, caller(None)):
        setup.caller = who
        for _ in range(3):
            answer = await setup.predict(100)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
            assert "ratelimit-policy" not in answer.headers


@pytest.mark.parametrize(
    ("rows_per_s", "burst_rows", "policy"),
    [
        (100.0, 500, (500, 5)),
        (1_000.0, 100, (1_000, 1)),
        (0.3, 1, (1, 4)),
        (12.5, None, (25, 2)),
        (1e9, 1_000_000_000, (1_000_000_000, 1)),
        (1e-9, 1, (1, 1_000_000_000)),
    ],
)
async def test_the_policy_is_the_rate_in_whole_rows_and_seconds(
    setup: Setup, rows_per_s: float, burst_rows: int | None, policy: tuple[int, int]
) -> None:
    """Over the time in which a bucket fills; never less rows than may be left."""
    setup.caller = caller(rows_per_s, burst_rows)
    answer = await setup.predict()
    assert numbers(POLICY, answer.headers["ratelimit-policy"]) == policy
    n_left, seconds = numbers(LEFT, answer.headers["ratelimit"])
    assert n_left <= policy[0]
    assert 1 <= seconds < 10**15


async def test_an_answer_that_failed_says_what_is_left_too(setup: Setup) -> None:
    """What fails in the model has been counted all the same."""
    setup.backend.failing = lambda row: True
    answer = await setup.predict()
    assert_problem(answer, 500, "model_failed")
    assert numbers(LEFT, answer.headers["ratelimit"])[0] == 19
