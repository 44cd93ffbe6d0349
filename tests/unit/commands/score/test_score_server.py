"""`sluice score --url` against a real HTTP server, which reads and answers as a Sluice server."""

import csv
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from answering import QuietHandler, answering
from fakes import example_rows, expected_answer
from typer.testing import CliRunner

from serve_app.commands.main import app
from serve_app.commands.rollout_client import Refused, Unreachable
from serve_app.commands.score import with_server
from serve_app.commands.score.answers import AnswerColumns
from serve_app.commands.score.rows import BlockReader
from serve_app.commands.score.with_server import MOST_WAIT_S, PATIENCE_S, ServerScorer
from serve_app.contract.rows import RowReader
from serve_app.errors import HttpError, InvalidRows, ModelFailed, NotReady, Overloaded, TooManyRows
from serve_app.http.problems import row_error
from serve_app.models import get_spec

CHURN = get_spec("churn")
NAMES = [feature.name for feature in CHURN.contract]
# The model of this server fails on so many tickets.
POISON = 999


class FakeServer:
    """Answers lists of at most `max_rows` rows; the errors in `refusals` come first."""

    def __init__(self) -> None:
        self.max_rows = 100
        # So many requests get no answer: the connection ends.
        self.n_cut_off = 0
        self.refusals: list[HttpError] = []
        self.n_rows: list[int] = []
        self.n_at_a_time = 0
        self.most_at_a_time = 0
        self._lock = threading.Lock()
        self._reader = RowReader(CHURN)

    def answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        with self._lock:
            self.n_at_a_time += 1
            self.most_at_a_time = max(self.most_at_a_time, self.n_at_a_time)
            error = self.refusals.pop(0) if self.refusals else None
        try:
            if error is not None:
                raise error
            rows = self._reader.many(body, self.max_rows)
            self.n_rows.append(len(rows))
            found = {"predictions": [self._outcome(row) for row in rows]}
            return 200, {}, json.dumps(found).encode()
        except HttpError as refused:
            problem = {"title": refused.title, "detail": refused.detail, "code": refused.code}
            return refused.status, dict(refused.headers), json.dumps(problem).encode()
        finally:
            with self._lock:
                self.n_at_a_time -= 1

    def _outcome(self, row: Any) -> dict[str, Any]:
        if isinstance(row, InvalidRows):
            return {"status": "error", "error": row_error(row)}
        if row.support_tickets_opened == POISON:
            return {"status": "error", "error": row_error(ModelFailed("The log has the reason."))}
        prediction = expected_answer(CHURN, row.model_dump(mode="json"))
        return {"status": "success", **prediction, "model_version": "1.0.0", "prediction_id": "1"}


@pytest.fixture
def fake() -> FakeServer:
    """What answers."""
    return FakeServer()


@pytest.fixture
def url(fake: FakeServer) -> Iterator[str]:
    """Where it answers, under a prefix."""

    class Handler(QuietHandler):
        def respond(self) -> None:
            body = self.body()
            if fake.n_cut_off:
                fake.n_cut_off -= 1
                self.close_connection = True
                return
            status, headers, answer = fake.answer(body)
            if self.path != "/churn/v1/predict/batch":
                status, headers, answer = 404, {}, b"not found"
            self.answer(status, answer, headers)

    with answering(Handler) as found:
        yield f"{found}/churn"


def row_of(n: int) -> list[str]:
    """Another row for each number."""
    row = example_rows(CHURN)[n % 2] | {"monthly_spend_usd": 10.0 + n, "days_since_last_login": n}
    return [str(row[name]) for name in NAMES]


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A CSV file of rows."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([NAMES, *rows])
    return path


def score(*words: Any) -> Any:
    """The command; its result."""
    return CliRunner().invoke(app, ["score", *map(str, words)])


def scored(path: Path) -> list[dict[str, str]]:
    """The rows of a file that was written."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_has_the_server_s_answer_in_order_in_lists_of_a_hundred(
    tmp_path: Path, url: str, fake: FakeServer
) -> None:
    """Several requests are under way at a time, and not more than are meant to be."""
    rows = [row_of(n) for n in range(730)]
    out = tmp_path / "scored.csv"
    found = score("churn", write(tmp_path / "in.csv", rows), "--url", url, "--out", out)
    assert found.exit_code == 0, found.output
    assert sorted(fake.n_rows) == [30, *[100] * 7]
    assert fake.most_at_a_time <= with_server.N_AT_A_TIME
    assert f"730 rows scored with {url} (--url)" in found.output.replace("\n", " ")
    expected = RowReader(CHURN)
    for cells, row in zip(rows, scored(out), strict=True):
        body = dict(zip(NAMES, map(json.loads, cells), strict=True))
        answer = expected_answer(CHURN, expected.one(json.dumps(body).encode()).model_dump())
        assert [row[name] for name in NAMES] == cells
        assert float(row["churn_probability"]) == answer["churn_probability"]
        assert row["label"] == answer["label"]
        assert (row["model_version"], row["error"]) == ("1.0.0", "")


def test_rows_that_the_server_refuses_are_marked_with_line_and_reason(
    tmp_path: Path, url: str
) -> None:
    """Exit code 1; a row that the model fails on, and one that is no row of this file, too."""
    bad = row_of(1)
    bad[NAMES.index("nps_score")] = ""
    poisoned = row_of(2)
    poisoned[NAMES.index("support_tickets_opened")] = str(POISON)
    path = write(tmp_path / "in.csv", [row_of(0), bad, poisoned, ["1", "2"], row_of(3)])
    out = tmp_path / "scored.csv"
    found = score("churn", path, "--url", url, "--out", out)
    assert found.exit_code == 1
    rows = scored(out)
    assert [row["error"] for row in rows] == [
        "",
        "line 3: nps_score is empty, expected integer from 0 to 10",
        "line 4: the model gave no valid answer for this row",
        "line 5: found 2 cells, expected 10 as in the header",
        "",
    ]
    assert [row["label"] != "" for row in rows] == [True, False, False, False, True]


def scorer(url: str, waits: list[float]) -> ServerScorer:
    """A scorer that waits for no clock."""
    reader = BlockReader(CHURN, list(enumerate(CHURN.contract)), len(NAMES))
    columns = AnswerColumns(CHURN, NAMES, as_text=True)
    return ServerScorer(url, reader, columns, "line", sleep=waits.append)


def test_a_busy_server_is_asked_again_when_it_wishes(url: str, fake: FakeServer) -> None:
    """429 and 503; a wish that is too long is cut, and without one the waits grow."""
    fake.refusals = [
        Overloaded("Busy.", retry_after_s=7),
        Overloaded("Busy.", retry_after_s=3_600),
        NotReady("Starting."),
    ]
    waits: list[float] = []
    asked = scorer(url, waits)
    tails, n_bad = asked.score([row_of(0)], [2])
    asked.close()
    assert waits == [7.0, MOST_WAIT_S, 2.0]
    assert n_bad == 0
    assert tails[0][-1] is None


def test_a_server_that_is_away_for_a_moment_is_asked_again(url: str, fake: FakeServer) -> None:
    """Hours of work are not lost to one connection; before the first answer the URL is wrong."""
    waits: list[float] = []
    asked = scorer(url, waits)
    fake.n_cut_off = 1
    with pytest.raises(Unreachable, match="no answer"):
        asked.score([row_of(0)], [2])
    assert waits == []
    assert asked.score([row_of(0)], [2])[1] == 0
    fake.n_cut_off = 2
    tails, n_bad = asked.score([row_of(0)], [2])
    asked.close()
    assert waits == [0.5, 1.0]
    assert (n_bad, tails[0][-1]) == (0, None)


@pytest.mark.parametrize("retry_after_s", [0, 10])
def test_a_server_that_stays_busy_is_given_up(
    url: str, fake: FakeServer, retry_after_s: int
) -> None:
    """What it said is the reason; also one that says 0 for ever."""
    fake.refusals = [Overloaded("Busy.", retry_after_s=retry_after_s)] * 5_000
    waits: list[float] = []
    asked = scorer(url, waits)
    with pytest.raises(Refused, match="Too many requests are waiting: Busy"):
        asked.score([row_of(0)], [2])
    asked.close()
    assert sum(waits) <= PATIENCE_S


def test_a_server_that_takes_fewer_rows_gets_shorter_lists(url: str, fake: FakeServer) -> None:
    """Nobody has to know its limits.max_rows."""
    fake.max_rows = 30
    asked = scorer(url, [])
    _, n_bad = asked.score([row_of(n) for n in range(100)], range(2, 102))
    asked.close()
    assert n_bad == 0
    assert sorted(fake.n_rows) == [25, 25, 25, 25]


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        ("/nobody", "answered 404, and not as a Sluice server does"),
        (":x", "no answer"),
    ],
)
def test_who_is_no_sluice_server_is_a_sentence_and_nothing_is_written(
    tmp_path: Path, url: str, suffix: str, said: str
) -> None:
    """Exit code 2; half a file would look like a whole one."""
    path = write(tmp_path / "in.csv", [row_of(0)])
    found = score("churn", path, "--url", url + suffix, "--out", tmp_path / "out.csv")
    assert found.exit_code == 2
    assert said in found.output.replace("\n", " ") or "404" in found.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.csv"]


def test_a_list_of_one_row_that_is_too_long_for_a_server_ends_it(
    url: str, fake: FakeServer
) -> None:
    """A list is halved until it fits; of one row there is nothing to halve."""
    fake.refusals = [TooManyRows("Found 1 rows, expected at most 0.")] * 9
    asked = scorer(url, [])
    with pytest.raises(Refused, match="expected at most 0"):
        asked.score([row_of(0)], [2])
    asked.close()


def test_the_file_says_where_the_server_is(tmp_path: Path, url: str) -> None:
    """`--online` asks the server that the configuration names for this model, and says so."""
    host, _, rest = url.removeprefix("http://").partition(":")
    config = tmp_path / "serve_config.yaml"
    config.write_text(
        json.dumps(
            {
                "http_options": {"host": host, "port": int(rest.partition("/")[0])},
                "applications": [
                    {
                        "name": "churn",
                        "route_prefix": "/churn",
                        "import_path": "serve_app.app:server",
                        "args": {"model": "churn"},
                    }
                ],
            }
        )
    )
    path = write(tmp_path / "in.csv", [row_of(0)])
    # The model is the only one of the file, and need not be said.
    found = score(path, "--online", "--config", config)
    assert found.exit_code == 0, found.output
    assert f"churn at {url} ({config})" in found.output.replace("\n", " ")
    assert "monthly_active_days" in found.stdout


@pytest.mark.parametrize("words", [["--version", "1.0.0"], ["--store", "s"]])
def test_a_bundle_and_a_server_at_once_are_refused(tmp_path: Path, words: list[str]) -> None:
    """Which of the two would answer is not guessed."""
    path = write(tmp_path / "in.csv", [row_of(0)])
    found = score("churn", path, "--url", "http://h", *words)
    assert found.exit_code == 2
    assert "one of the two ways" in found.output.replace("\n", " ")
