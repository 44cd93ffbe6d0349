"""`sluice log`, `replay` and `why` over a log that a server wrote, and versions of a toy."""

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_kind import EXAMPLE, KINDS
from labelled import Predicting
from logging_server import LoggingServer, answered
from toy_runtime import PER_DAY, toy, write_toy
from typer.testing import CliRunner, Result

from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.commands.exit_codes import ExitCode
from serve_app.commands.log.sample import draw, scores_of
from serve_app.commands.log.tables import opened
from serve_app.commands.main import app
from serve_app.errors import SettingsError
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = SPEC.examples[0].row.model_dump(mode="json")
N_ROWS = 40


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoggingServer:
    """Forty rows that 1.0.0 answered, of one to thirty active days; the store has 1.1.0 too,
    which gives each day a sixth more.
    """
    for name in ("MODEL_PATH", "LOG_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    store = FolderStore(tmp_path / "store")
    manifest = write_toy(store)
    monkeypatch.setattr("toy_runtime.PER_DAY", PER_DAY * 7 / 6)
    write_toy(store, "1.1.0")
    server = LoggingServer(SPEC, tmp_path / "log", manifest=manifest)
    for i in range(N_ROWS):
        days = 1 + i % 25
        row = {**ROW, "monthly_active_days": days}
        server.write(answered(SPEC, [row], [days * PER_DAY], ids=[f"id{i:03d}"]))
    server.finish()
    return server


def run(server: LoggingServer, *words: str) -> Result:
    """A command about this log and its store."""
    folder = Path(server.place.uri).parent
    options = ["--log", server.place.uri]
    if words[0] != "log":
        options += ["--store", str(folder / "store")]
    return CliRunner().invoke(app, [*words, *options])


def test_replay_compares_what_was_answered_with_another_version(logged: LoggingServer) -> None:
    """The page is that of `sluice diff`: flips at the threshold, the mean shift, and slices."""
    found = run(logged, "replay", "churn", "1.1.0", "--json")
    assert found.exit_code == ExitCode.OK, found.output
    shown = json.loads(found.stdout)
    days = np.array([1 + i % 25 for i in range(N_ROWS)])
    rows = shown["csv"]["shift"]
    assert (shown["stable"]["version"], shown["candidate"]["version"]) == ("1.0.0", "1.1.0")
    assert rows["n_compared"] == N_ROWS
    assert rows["mean"] == pytest.approx((days * PER_DAY / 6).mean())
    flips = (days * PER_DAY < 0.5) & (days * PER_DAY * 7 / 6 >= 0.5)
    assert flips.any()
    assert rows["flips"]["n"] == flips.sum() == rows["flips"]["n_up"]
    assert "40 of 40 logged rows that 1.0.0 answered, all; 1.1.0 scored" in found.stderr
    page = run(logged, "replay", "churn", "1.1.0")
    assert "logged rows" in page.stdout
    assert "size and speed" in page.stdout


def test_a_limit_of_a_replay_fails_a_pipeline_as_that_of_a_diff(logged: LoggingServer) -> None:
    """By the one table of exit codes."""
    assert run(logged, "replay", "churn", "1.1.0", "--fail-on", "flips=1%").exit_code == (
        ExitCode.FLIPS
    )
    assert run(logged, "replay", "churn", "1.0.0", "--fail-on", "flips=0%").exit_code == ExitCode.OK


def test_a_replay_takes_the_rows_of_who_answered_most_or_of_the_one_that_is_named(
    logged: LoggingServer,
) -> None:
    """One that answered nothing is told, with those that did."""
    row = {**ROW, "monthly_active_days": 3}
    logged.write(answered(SPEC, [row], [0.12], ids=["new"], version="1.1.0"))
    found = run(logged, "replay", "churn", "1.0.0", "--against", "1.1.0", "--json")
    assert json.loads(found.stdout)["csv"]["shift"]["n_rows"] == 1
    none = run(logged, "replay", "churn", "1.0.0", "--against", "3.0.0")
    assert none.exit_code == ExitCode.UNREADABLE
    assert "rows by version: 1.0.0: 40, 1.1.0: 1" in none.output.replace("\n", " ")


def test_a_replay_finds_the_few_rows_of_a_version_among_many_of_another(
    logged: LoggingServer,
) -> None:
    """A canary answered five of five thousand, and all five are compared."""
    many = 4_960
    rows = [ROW] * many
    logged.write(answered(SPEC, rows, np.full(many, 0.5), ids=[f"many-{i}" for i in range(many)]))
    few = [{**ROW, "monthly_active_days": days} for days in range(1, 6)]
    ids = [f"few-{i}" for i in range(5)]
    logged.write(answered(SPEC, few, [0.1] * 5, ids=ids, version="1.1.0"))
    words = ["replay", "churn", "1.0.0", "--against", "1.1.0", "--rows", "50", "--json"]
    found = run(logged, *words)
    assert found.exit_code == ExitCode.OK, found.output
    assert json.loads(found.stdout)["csv"]["shift"]["n_compared"] == 5
    assert "5 of 5 logged rows that 1.1.0 answered, all" in found.stderr
    most = run(logged, "replay", "churn", "1.1.0", "--rows", "50", "--json")
    assert "of 5,000 logged rows that 1.0.0 answered, drawn evenly" in most.stderr


def test_a_replay_leaves_out_the_rows_of_a_time_in_which_a_field_was_left_out(
    logged: LoggingServer,
) -> None:
    """They say nothing of the version; those before and after are compared, and the last line
    counts.
    """
    name = "monthly_active_days"
    lacking = LoggingServer(SPEC, Path(logged.place.uri), leave_out=[name])
    lacking.write(answered(SPEC, [ROW] * 7, [0.5] * 7, ids=[f"left out {i}" for i in range(7)]))
    found = run(logged, "replay", "churn", "1.1.0", "--json")
    assert found.exit_code == ExitCode.OK, found.output
    rows = json.loads(found.stdout)["csv"]["shift"]
    assert (rows["n_rows"], rows["n_compared"], rows["n_stable_only"]) == (N_ROWS, N_ROWS, 0)
    said = " ".join(found.stderr.split())
    assert "40 of 40 logged rows that 1.0.0 answered, all" in said
    assert f"7 more are not compared, since they lack {name}, which 1.1.0 takes" in said


def test_a_field_that_is_not_in_the_log_ends_a_replay_with_its_name(tmp_path: Path) -> None:
    """A version cannot be asked without it, and a guess would be no answer."""
    store = tmp_path / "store"
    RUNTIMES["toy"] = toy()
    try:
        write_toy(FolderStore(store))
        server = LoggingServer(SPEC, tmp_path / "log", leave_out=["monthly_active_days"])
        server.write(answered(SPEC, [ROW], [0.5], ids=["a"]))
        found = run(server, "replay", "churn", "1.0.0")
        assert found.exit_code == ExitCode.UNREADABLE
        assert "has no values of monthly_active_days, which 1.0.0 takes" in found.output
        told = run(server, "why", "churn", "a")
        assert told.exit_code == ExitCode.UNREADABLE
        assert "answered" in told.output
        assert "the log has no value of monthly_active_days" in told.output
    finally:
        del RUNTIMES["toy"]


def test_a_sample_holds_so_many_rows_at_most_and_each_has_the_same_chance(tmp_path: Path) -> None:
    """Memory does not grow with the log, and no hour of it counts more than another."""
    server = LoggingServer(SPEC, tmp_path)
    for block in range(40):
        rows = [{**ROW, "monthly_active_days": block % 30}] * 50
        server.write(answered(SPEC, rows, np.full(50, block / 40)))
    sample = draw(server.lines(), SPEC, None, most_rows=200)
    assert len(sample.rows) == 200
    assert sample.n_answered == {"1.0.0": 2_000}
    # Of 200 out of 2,000 the first half has 100 ± 6.7: five deviations, once in a million.
    n_first = sum(row.score < 0.5 for row in sample.rows)
    assert abs(n_first - 100) < 34
    assert draw(server.lines(), SPEC, None, most_rows=200) == sample, "the same log, the same rows"


def test_scores_of_several_outputs_stay_several_in_a_sample(tmp_path: Path) -> None:
    """And a row that failed has none."""
    spec = KINDS["classes"]
    server = LoggingServer(spec, tmp_path)
    row = EXAMPLE.row.model_dump(mode="json")
    scores = [[0.2, 0.3, 0.5], [np.nan, np.nan, np.nan]]
    server.write(answered(spec, [row, row], scores))
    sample = draw(server.lines(), spec, None, most_rows=10)
    np.testing.assert_array_equal(scores_of(sample.rows, 3), np.array(scores))
    assert [found.row for found in sample.rows] == [row, row]


def test_rows_before_the_time_that_is_asked_for_are_in_no_sample(tmp_path: Path) -> None:
    """What counts is when each row was answered, not its part."""
    server = LoggingServer(SPEC, tmp_path)
    server.write(answered(SPEC, [ROW], [0.5]))
    lines = server.lines()
    assert len(draw(lines, SPEC, datetime.now(UTC) - timedelta(hours=1), 10).rows) == 1
    assert draw(lines, SPEC, datetime.now(UTC) + timedelta(hours=1), 10).rows == []


def test_why_shows_the_row_the_version_and_that_the_same_answer_comes_out_again(
    logged: LoggingServer,
) -> None:
    """Whoever complains gets the row and the answer, and the proof that it was this version."""
    found = run(logged, "why", "churn", "id006", "--json")
    assert found.exit_code == ExitCode.OK, found.output
    shown = json.loads(found.stdout)
    assert shown["row"] == {**ROW, "monthly_active_days": 7}
    assert shown["version"] == "1.0.0"
    assert shown["scores"] == shown["again"] == [pytest.approx(7 * PER_DAY)]
    assert shown["answer"]["prediction"] == 0
    assert shown["largest_difference"] == 0
    page = run(logged, "why", "churn", "id006")
    assert "The same answer comes out again (largest difference 0" in page.output


def test_why_takes_the_ids_that_servers_seal(logged: LoggingServer) -> None:
    """Each row of a batch has its own, and one in 64 begins as an option does."""
    server = Predicting(SPEC)
    found: list[str] = []
    while not any(id_.startswith("-") for id_ in found):
        found = [*found, *server.answer([0.5, 0.25])]
    days = [1 + i % 25 for i in range(len(found))]
    rows = [{**ROW, "monthly_active_days": n} for n in days]
    logged.write(answered(SPEC, rows, [n * PER_DAY for n in days], ids=found))
    dashed = next(i for i, id_ in enumerate(found) if id_.startswith("-"))
    for i in {0, 1, dashed}:
        told = run(logged, "why", "churn", found[i], "--json")
        assert told.exit_code == ExitCode.OK, told.output
        assert json.loads(told.stdout)["row"] == rows[i]


def test_why_tells_a_bundle_that_was_replaced_under_the_same_version(
    logged: LoggingServer,
) -> None:
    """The log has the hash of the manifest that answered, and here it is another one's."""
    other = LoggingServer(SPEC, Path(logged.place.uri))
    row = {**ROW, "monthly_active_days": 7}
    other.write(answered(SPEC, [row], [7 * PER_DAY], ids=["other"]))
    found = run(logged, "why", "churn", "other")
    assert found.exit_code == ExitCode.REFUSED
    assert "churn 1.0.0 is another bundle now" in " ".join(found.output.split())


def test_why_tells_a_replaced_bundle_also_where_another_answer_comes_out(
    logged: LoggingServer,
) -> None:
    """It is the reason, and comes first; that another answer comes out is said too."""
    other = LoggingServer(SPEC, Path(logged.place.uri))
    other.write(answered(SPEC, [ROW], [0.987], ids=["other"]))
    found = run(logged, "why", "churn", "other", "--json")
    assert found.exit_code == ExitCode.REFUSED
    fault = json.loads(found.stdout)["fault"]
    assert "churn 1.0.0 is another bundle now" in fault
    assert fault.index("another bundle") < fault.index("another answer comes out: found")


def test_why_tells_a_replaced_bundle_also_where_the_log_lacks_a_field(
    logged: LoggingServer,
) -> None:
    """That nothing can be scored is no reason to keep it back."""
    other = LoggingServer(SPEC, Path(logged.place.uri), leave_out=["monthly_active_days"])
    other.write(answered(SPEC, [ROW], [0.5], ids=["other"]))
    found = run(logged, "why", "churn", "other", "--json")
    assert found.exit_code == ExitCode.UNREADABLE
    fault = json.loads(found.stdout)["fault"]
    assert "churn 1.0.0 is another bundle now" in fault
    assert "the log has no value of monthly_active_days" in fault


def test_why_tells_by_how_much_another_answer_comes_out(logged: LoggingServer) -> None:
    """Exit code 1, and both numbers."""
    logged.write(answered(SPEC, [ROW], [0.987], ids=["odd"]))
    found = run(logged, "why", "churn", "odd")
    assert found.exit_code == ExitCode.REFUSED
    assert "another answer comes out" in found.output
    assert "0.987" in found.output


def test_why_says_so_when_an_id_is_not_in_the_log(logged: LoggingServer) -> None:
    """Exit code 2: nothing can be said."""
    found = run(logged, "why", "churn", "nobody")
    assert found.exit_code == ExitCode.UNREADABLE
    assert "found no 'nobody' of churn" in found.output


def test_a_model_without_a_log_is_told_how_to_get_one(tmp_path: Path) -> None:
    """Monday morning: nothing is kept unless it is asked for."""
    config = Path(__file__).parents[3] / "serve_config.yaml"
    for words in (["why", "x"], ["replay", "1.0.0"], ["log", "query", "select 1"]):
        found = CliRunner().invoke(app, [*words, "--model", "churn", "--config", str(config)])
        assert found.exit_code in (ExitCode.REFUSED, ExitCode.UNREADABLE)
        said = " ".join(found.output.split())
        assert "write `log: prediction_log` into its args" in said or "duckdb" in said


@pytest.mark.parametrize("last", ["7", "d7", "0d", "7 days", ""])
def test_a_time_that_is_none_is_refused_with_one_that_is(logged: LoggingServer, last: str) -> None:
    """It is not taken for the whole log, which may be large."""
    found = run(logged, "replay", "churn", "1.1.0", "--last", last)
    assert found.exit_code != ExitCode.OK
    assert "expected a time such as 30m, 12h, 7d or 4w" in " ".join(found.output.split())


def test_without_duckdb_one_sentence_says_how_to_get_it(
    logged: LoggingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replay and why need no duckdb, and go on."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    found = run(logged, "log", "query", "churn", "select 1")
    assert found.exit_code == ExitCode.UNREADABLE
    assert "pip install --require-hashes -r requirements/query.txt" in found.output
    assert run(logged, "replay", "churn", "1.1.0").exit_code == ExitCode.OK


def ask(server: LoggingServer, sql: str, since: datetime | None = None) -> Any:
    """What a question gives."""
    pytest.importorskip("duckdb", reason="requirements/query.txt is not installed")
    with opened(server.place, server.spec, since) as table:
        return table.ask(sql, None).rows


def test_the_log_is_a_table_that_is_asked_in_sql(logged: LoggingServer) -> None:
    """A row of it is a row that was answered, in parts that are whole and in one that grows."""
    logged.write(answered(SPEC, [ROW], [0.5], ids=["late"], assigned="1.1.0"))
    assert ask(logged, "select count(*), count(distinct id) from predictions") == [(41, 41)]
    [(score, days)] = ask(
        logged, "select score, monthly_active_days from predictions where id = 'id006'"
    )
    assert (score, days) == (7 * PER_DAY, 7)
    assert ask(logged, "select id, assigned from predictions where outcome = 'fallback'") == [
        ("late", "1.1.0")
    ]
    future = datetime.now(UTC) + timedelta(hours=1)
    assert ask(logged, "select count(*) from predictions", since=None) == [(41,)]
    [(latest,)] = ask(logged, "select max(answered_at) from predictions")
    assert latest < future.replace(tzinfo=None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_field_and_score_has_its_type_in_the_table(kind: str, tmp_path: Path) -> None:
    """Dates are dates, missing is NULL, and several scores have a column each."""
    spec = KINDS[kind]
    server = LoggingServer(spec, tmp_path, leave_out=["n_items"])
    row = EXAMPLE.row.model_dump(mode="json")
    missing = {**row, "channel": None, "is_member": None, "birthday": None}
    scores = np.arange(2.0 * spec.n_scores).reshape(2, -1)
    server.write(answered(spec, [row, missing], scores if spec.n_scores > 1 else scores[:, 0]))
    fields = "amount, n_items, weight_kg, priority, channel, city, is_gift, is_member, birthday"
    first, second = ask(server, f"select {fields}, ordered_at from predictions order by id")
    python = EXAMPLE.row.model_dump()
    python["n_items"] = None
    assert first == tuple(python[name.strip()] for name in f"{fields}, ordered_at".split(","))
    assert second[4] is second[7] is second[8] is None
    columns = [name for name, *_ in ask(server, "describe predictions") if "score" in name]
    assert len(columns) == spec.n_scores
    quoted = ", ".join(f'"{name}"' for name in columns)
    found = ask(server, f"select {quoted} from predictions order by id")
    assert found == [tuple(values) for values in scores.tolist()]


def test_a_field_that_is_called_as_a_column_of_ours_keeps_its_own() -> None:
    """In the table it has `feature_` in front of its name."""
    from types import SimpleNamespace

    from serve_app.commands.log.tables import view
    from serve_app.contract import Feature

    fields = (Feature(name="version", dtype="float"), Feature(name="price", dtype="float"))
    spec: Any = SimpleNamespace(contract=fields, n_scores=1)
    sql = view(spec, ["x"], None)
    assert 'AS "feature_version"' in sql
    assert 'AS "price"' in sql


def test_the_log_is_exported_as_a_file_whole_or_not_at_all(
    logged: LoggingServer, tmp_path: Path
) -> None:
    """CSV, Parquet or JSON lines, by the suffix; another one is refused."""
    pytest.importorskip("duckdb", reason="requirements/query.txt is not installed")
    for suffix in ("csv", "parquet", "jsonl"):
        path = tmp_path / f"rows.{suffix}"
        found = run(logged, "log", "export", "churn", str(path))
        assert found.exit_code == ExitCode.OK, found.output
        assert "40 rows" in found.output
        assert path.stat().st_size > 0
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"id{i:03d}" for i in range(N_ROWS)]
    assert set(rows[0]) >= {feature.name for feature in SPEC.contract} | {"score", "version"}
    refused = run(logged, "log", "export", "churn", str(tmp_path / "rows.txt"))
    assert refused.exit_code == ExitCode.REFUSED
    assert sorted(path.name for path in tmp_path.iterdir() if "rows" in path.name) == [
        "rows.csv",
        "rows.jsonl",
        "rows.parquet",
    ]


def test_a_question_that_is_none_is_refused_with_what_is_wrong(logged: LoggingServer) -> None:
    """Duckdb's own words say where, and the exit code is 1."""
    with pytest.raises(SettingsError, match=r"query: .*predictiosn"):
        ask(logged, "select * from predictiosn")
    found = run(logged, "log", "query", "churn", "select no_field from predictions")
    assert found.exit_code == ExitCode.REFUSED
    shown = run(logged, "log", "query", "churn", "select max(ms) as slowest from predictions")
    assert "slowest" in shown.output
    assert "1.5" in shown.output
    as_json = run(logged, "log", "query", "churn", "select id from predictions limit 1", "--json")
    assert json.loads(as_json.stdout)[0]["id"].startswith("id")


def test_a_log_without_rows_of_that_time_is_told(logged: LoggingServer) -> None:
    """Not an empty table, which could be taken for no traffic."""
    pytest.importorskip("duckdb", reason="requirements/query.txt is not installed")
    empty = LoggingServer(SPEC, Path(logged.place.uri).parent / "empty")
    found = run(empty, "log", "query", "churn", "select 1")
    assert found.exit_code == ExitCode.UNREADABLE
    assert "found no part of churn" in " ".join(found.output.split())
