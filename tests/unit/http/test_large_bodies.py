"""Large bodies and long lists of faults are read by turns: others are answered meanwhile."""

import asyncio
import json

import httpx
import pytest
from fakes import REQUEST_ID, FakeBackend, assert_problem, client_of, example_rows, patient, until
from labelled import Predicting

from serve_app.http.application import create_app
from serve_app.models import get_spec
from serve_app.settings import Limits

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
JSON = {"content-type": "application/json", "x-request-id": REQUEST_ID}
BATCH = "/v1/predict/batch"
FEEDBACK = "/v1/feedback"
N_ROWS = 100
BAD_ROWS = json.dumps([{**ROW, "nps_score": "x"}] * N_ROWS).encode()
# 300 KB that are good.
LARGE = json.dumps([ROW] * N_ROWS, indent=250).encode()


class Setup:
    """An application of its own, so that its queue of large bodies belongs to one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.backend = FakeBackend(SPEC)
        self.backend.limits = limits or patient()
        self.predicting = Predicting(SPEC)
        app = create_app(SPEC, self.backend, feedback=self.predicting.feedback)
        self.client = client_of(app, headers=JSON)

    def batch(self, body: bytes) -> "asyncio.Task[httpx.Response]":
        """A batch that is being answered."""
        return asyncio.create_task(self.client.post(BATCH, content=body))

    def labels(self, body: bytes) -> "asyncio.Task[httpx.Response]":
        """Labels that are being taken."""
        return asyncio.create_task(self.client.post(FEEDBACK, content=body))

    async def predict(self) -> httpx.Response:
        """One good row."""
        return await self.client.post("/v1/predict", json=ROW)


async def turns_until(task: "asyncio.Task[httpx.Response]") -> int:
    """How often somebody else had a turn before the answer was there."""
    n_turns = 0
    while not task.done():
        await asyncio.sleep(0)
        n_turns += 1
    return n_turns


@pytest.mark.parametrize(
    ("body", "least"), [(BAD_ROWS, N_ROWS), (LARGE, 10)], ids=["100 bad rows", "300 KB"]
)
async def test_others_have_a_turn_while_a_body_is_read(body: bytes, least: int) -> None:
    """After each bad row, and after some kilobytes of good ones; the answer is whole."""
    setup = Setup()
    small = await turns_until(setup.batch(json.dumps([ROW]).encode()))
    task = setup.batch(body)
    assert await turns_until(task) - small >= least
    answer = task.result().json()
    assert (answer["total"], len(answer["predictions"])) == (N_ROWS, N_ROWS)
    assert answer["failed"] == (N_ROWS if body is BAD_ROWS else 0)


async def test_of_many_large_bodies_one_is_read_at_a_time() -> None:
    """Twenty by turns would make everybody else wait for twenty steps; and none is forgotten."""
    setup = Setup()
    before = await turns_until(setup.batch(BAD_ROWS))
    tasks = [setup.batch(BAD_ROWS) for _ in range(20)]
    assert await turns_until(tasks[0]) < 3 * before
    assert not any(task.done() for task in tasks[10:])
    assert (await setup.predict()).status_code == 200
    assert not tasks[-1].done()
    answers = await asyncio.gather(*tasks)
    assert {answer.json()["failed"] for answer in answers} == {N_ROWS}


async def test_large_bodies_that_wait_take_room() -> None:
    """Each may hold `max_rows` rows; beyond `max_rows_under_way` it is told to come again."""
    setup = Setup(patient(max_rows_under_way=3 * N_ROWS, retry_after_s=7))
    tasks = [setup.batch(BAD_ROWS) for _ in range(8)]
    answers = await asyncio.gather(*tasks)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) == 3
    for answer in refused:
        assert_problem(answer, 429, "overloaded")
        assert answer.headers["retry-after"] == "7"
    assert (await setup.batch(BAD_ROWS)).status_code == 200


async def test_a_large_body_waits_for_its_turn_no_longer_than_an_answer_may_take() -> None:
    """Twenty take longer than the millisecond here; whoever is refused leaves no trace."""
    setup = Setup(patient(deadline_ms=1, retry_after_s=7))
    tasks = [setup.batch(BAD_ROWS) for _ in range(20)]
    first, *_, last = await asyncio.gather(*tasks)
    assert first.status_code == 200
    assert_problem(last, 429, "overloaded")
    assert last.headers["retry-after"] == "7"
    assert (await setup.batch(BAD_ROWS)).status_code == 200


async def test_one_large_body_is_read_however_small_the_room_is() -> None:
    """A table may allow more rows in a request than rows under way."""
    setup = Setup(patient(max_rows_under_way=1))
    assert (await setup.batch(BAD_ROWS)).status_code == 200


async def test_a_client_that_leaves_makes_room_for_the_next_large_body() -> None:
    """Whatever ends the reading, the turn goes on."""
    setup = Setup()
    first = setup.batch(LARGE)
    second = setup.batch(LARGE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await until(second.done)
    assert first.cancelled()
    assert second.result().status_code == 200


NO_LABEL = b'{"prediction_id":[' + b",".join([b"[]"] * 20_000) + b'],"actual":1}'


@pytest.mark.parametrize(
    ("body", "status", "least"),
    [
        (b"[" + b",".join([NO_LABEL] * 15) + b"]", 200, 15),
        (b"[" + b",".join([b"[]"] * 340_000) + b"]", 422, 10),
    ],
    ids=["15 labels of 60 KB", "340,000 that are none"],
)
async def test_others_have_a_turn_while_labels_are_read(
    body: bytes, status: int, least: int
) -> None:
    """What a megabyte of lists costs is shared out; more than 1,000 are read no further."""
    setup = Setup()
    small = await turns_until(setup.labels(b"[1]"))
    task = setup.labels(body)
    assert await turns_until(task) - small >= least
    assert task.result().status_code == status


async def test_a_large_body_of_labels_is_taken_whole_or_not_at_all() -> None:
    """A fault at its end is found before the first label counts."""
    setup = Setup()
    ids = setup.predicting.answer([0.5] * 200)
    labels = [{"prediction_id": one, "actual": 1} for one in ids]
    good = json.dumps(labels, indent=300).encode()
    assert len(good) > 65_536
    assert (await setup.labels(good[:-1] + b",")).status_code == 400
    assert setup.predicting.feedback.n_waiting == 0
    answer = (await setup.labels(good)).json()
    assert (answer["succeeded"], answer["failed"]) == (200, 0)
    assert setup.predicting.feedback.n_waiting == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"prediction_id":"a","actual":1' + b" " * 70_000 + b"}", 413),
        (b"[]" + b" " * 70_000, 422),
        (b"[\xff" + b" " * 70_000 + b"]", 400),
        (b"[" + b"9" * 30_000 + b" " * 70_000 + b"]", 400),
        (b"[" * 100_000, 400),
        (b'["' + b"x" * 100_000 + b'"]', 413),
    ],
    ids=["an object", "empty", "no UTF-8", "30,000 digits", "deep", "one large label"],
)
async def test_a_large_body_that_is_no_list_of_labels_is_refused(body: bytes, status: int) -> None:
    """With the status that it would have had as a small one, where it could be one."""
    setup = Setup()
    answer = await setup.labels(body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
