"""From logged rows and what came true to the next version, and the rollout that lets it in."""

import csv
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from canned_routes import NO_ROLLOUT, answering, monitored_routes
from drifting import rows_of_orders
from every_kind import KINDS
from logging_server import LoggingServer, answered
from monitored import drift, drifted, measure, quality, window
from obstore.store import MemoryStore
from typer.testing import CliRunner, Result
from views import rollout_view

from serve_app.bundle.loading import load
from serve_app.bundle.objects import Objects
from serve_app.bundle.store import FolderStore
from serve_app.commands.exit_codes import ExitCode
from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.errors import PredictionLogError, SettingsError
from serve_app.models import get_spec
from serve_app.monitoring.log import heard
from serve_app.settings import Table, parse_settings
from training.bundling import Written
from training.cli import app
from training.errors import InvalidData
from training.models import churn
from training.reading import check
from training.retraining import label_files
from training.retraining.against_stable import (
    MOST_ROWS,
    AgainstStable,
    against_stable,
    compared,
    newest,
)
from training.retraining.label_files import read_labels
from training.retraining.logged_rows import labelled_rows
from training.retraining.next_version import (
    next_version,
    require_own,
    rollout_block,
    too_old,
    untried,
)
from training.table import Table as TrainingTable

SPEC = get_spec("churn")
ROW = SPEC.examples[0].row.model_dump(mode="json")
N_ROWS = 2_000
WORSE = quality({"auc": measure(0.75, 0.02)})


def write_labels(path: Path, labels: dict[str, Any]) -> str:
    """A file as `sluice label` takes it."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prediction_id", "actual"])
        writer.writerows(labels.items())
    return str(path)


def actual_of(spec: ModelSpec, i: int) -> Any:
    """What came true for the i-th row of a model of any kind."""
    if spec.is_classifier:
        return spec.classes[i % len(spec.classes)]
    if spec.target:
        return i / 7
    return dict.fromkeys(spec.targets, i / 7)


@pytest.mark.parametrize(
    "spec",
    [spec for spec in KINDS.values() if not spec.is_anomaly_score],
    ids=[name for name, spec in KINDS.items() if not spec.is_anomaly_score],
)
def test_rows_of_every_kind_come_back_from_the_log_as_they_were(
    spec: ModelSpec, tmp_path: Path
) -> None:
    """Dates, texts, truth values and what is missing; the target is what came true."""
    rows = rows_of_orders(400, 3)
    server = LoggingServer(spec, tmp_path)
    shape = (100, spec.n_scores) if spec.n_scores > 1 else (100,)
    for begin in range(0, 400, 100):
        ids = [f"id-{i}" for i in range(begin, begin + 100)]
        server.write(answered(spec, rows[begin : begin + 100], np.full(shape, 0.5), ids=ids))
    labels = {f"id-{i}": actual_of(spec, i) for i in range(350)}
    found = labelled_rows(server.place, spec, labels)
    assert (len(found.frame), found.n_labels, found.n_incomplete) == (350, 350, 0)
    table = check(found.frame, spec, "log")
    block = Layout(spec.contract).block(rows[:350])
    np.testing.assert_array_equal(table.block.numbers, block.numbers)
    np.testing.assert_array_equal(table.block.categories, block.categories)
    if not spec.is_classifier:
        np.testing.assert_allclose(table.target.reshape(350, -1)[:, 0], np.arange(350) / 7)


def test_a_label_without_a_row_and_a_row_without_a_field_are_told(tmp_path: Path) -> None:
    """They are left out; a row that stands twice in the log counts once."""
    whole = LoggingServer(SPEC, tmp_path)
    whole.write(answered(SPEC, [ROW, ROW], [0.5, 0.6], ids=["a", "b"]))
    whole.write(answered(SPEC, [ROW], [0.5], ids=["a"]))
    partly = LoggingServer(SPEC, tmp_path, leave_out=["nps_score"])
    partly.write(answered(SPEC, [ROW], [0.5], ids=["c"]))
    found = labelled_rows(whole.place, SPEC, {"a": "1", "c": "0", "unknown": "1"})
    assert len(found.frame) == 1
    assert found.said.startswith(
        "1 of 3 labels have their row in the log; 1 have none in this time; rows of 1 lack a field"
    )
    with pytest.raises(PredictionLogError, match="leave_out"):
        labelled_rows(whole.place, SPEC, {"c": "0"})
    with pytest.raises(PredictionLogError, match="found none of 1 labelled predictions"):
        labelled_rows(whole.place, SPEC, {"a": "1"}, datetime.now(UTC) + timedelta(days=9_000))


def test_when_rows_were_answered_is_said_and_a_log_that_begins_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A "no" that comes after 30 days finds no row where the log keeps 30."""
    now = datetime.now(UTC)
    server = LoggingServer(SPEC, tmp_path)
    for days_ago in (12, 3):
        at = now - timedelta(days=days_ago)
        monkeypatch.setattr(heard, "time", at.timestamp)
        server.write(answered(SPEC, [ROW], [0.5], ids=[f"{days_ago}"]), now_s=at.timestamp())
        server.finish()
    labels = {"12": "1", "3": "0"}
    begin = now - timedelta(days=12)
    end = now - timedelta(days=3)
    span = f"they were answered from {begin:%Y-%m-%d} to {end:%Y-%m-%d} UTC"
    for since in (None, now - timedelta(days=12, hours=1)):
        assert labelled_rows(server.place, SPEC, labels, since).said.endswith(span)
    found = labelled_rows(server.place, SPEC, labels, now - timedelta(days=90))
    assert f"{span}; the log begins on {begin:%Y-%m-%d}, later than --last" in found.said
    assert "`log.keep_days`" in found.said


def log_of_days(
    folder: Path, monkeypatch: pytest.MonkeyPatch, n_days: int, no_after_days: int
) -> tuple[LoggingServer, dict[str, Any]]:
    """Fifty rows on each of the last days, and their labels of now: a fifth of them is yes.

    Each yes comes at once, and each no so many days later.
    """
    server = LoggingServer(SPEC, folder)
    labels: dict[str, Any] = {}
    for days_ago in range(n_days, 0, -1):
        at_s = (datetime.now(UTC) - timedelta(days=days_ago - 0.5)).timestamp()
        monkeypatch.setattr(heard, "time", lambda at_s=at_s: at_s)
        ids = [f"{days_ago}-{i}" for i in range(50)]
        server.write(answered(SPEC, [ROW] * 50, np.full(50, 0.5), ids=ids), now_s=at_s)
        labels |= {
            name: int(i < 10) for i, name in enumerate(ids) if i < 10 or days_ago > no_after_days
        }
    server.finish()
    return server, labels


@pytest.mark.parametrize("no_after_days", [7, 10, 14, 30])
def test_rows_of_which_early_labels_alone_have_come_are_refused_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_after_days: int
) -> None:
    """With them more of the rows are positives than came true: a fifth."""
    server, labels = log_of_days(tmp_path, monkeypatch, 60, no_after_days)
    with pytest.raises(InvalidData, match="`label_delay_days` in args says after how many days"):
        labelled_rows(server.place, SPEC, labels)
    all_of_them = labelled_rows(server.place, SPEC, labels, label_delay_days=0.0)
    assert all_of_them.frame[SPEC.target].mean() > 0.21
    found = labelled_rows(server.place, SPEC, labels, label_delay_days=no_after_days)
    assert found.frame[SPEC.target].mean() == 0.2
    assert len(found.frame) == 50 * (60 - no_after_days)
    assert found.n_young == 10 * no_after_days
    assert (
        f"{found.n_young:,} are left out, younger than `label_delay_days` says that all labels"
        in found.said
    )
    assert " have none in this time" not in found.said
    now = datetime.now(UTC)
    assert "only 0 of the rows" in too_old(found.at_us, 7, now, 200)
    assert too_old(found.at_us, 7, now, 200, no_after_days) == ""
    said = too_old(found.at_us, 7, now, 5_000, no_after_days)
    assert f"are of the 7 days before the last {no_after_days}, in which" in said


def test_with_early_labels_as_many_rows_are_positives_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/retraining.md: a log of 45 days, and each "no" after 30."""
    server, labels = log_of_days(tmp_path, monkeypatch, 45, 30)
    found = labelled_rows(server.place, SPEC, labels, label_delay_days=0.0)
    assert f"{found.frame[SPEC.target].mean():.0%}" == "43%"
    page = Path(__file__).parents[2] / "docs/retraining.md"
    assert "43 % of churn's rows positives where 20 % leave" in page.read_text()


def test_labels_that_come_to_all_alike_are_trained_on_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a file that ends some days ago; nobody has to say when labels come."""
    server, labels = log_of_days(tmp_path, monkeypatch, 30, 0)
    assert len(labelled_rows(server.place, SPEC, labels).frame) == 1_500
    older = {name: label for name, label in labels.items() if int(name.partition("-")[0]) > 10}
    assert len(labelled_rows(server.place, SPEC, older).frame) == 1_000


@pytest.mark.parametrize("spellings", [("1", "0"), ("1.0", "0.0"), ("True", "False")])
def test_a_class_may_be_spelled_as_sluice_label_takes_it(
    tmp_path: Path, spellings: tuple[str, str]
) -> None:
    """Pandas writes 1.0 as soon as a column has gaps."""
    server = LoggingServer(SPEC, tmp_path / "log")
    ids = [f"id-{i}" for i in range(400)]
    server.write(answered(SPEC, [ROW] * 400, np.full(400, 0.5), ids=ids))
    actuals = {name: spellings[i % 2] for i, name in enumerate(ids)}
    labels = read_labels([write_labels(tmp_path / "labels.csv", actuals)], SPEC)
    found = labelled_rows(server.place, SPEC, labels)
    table = check(found.frame, SPEC, "log")
    np.testing.assert_array_equal(table.target, np.tile([1.0, 0.0], 200))


def test_rows_are_too_old_where_few_are_of_the_window_that_asked() -> None:
    """By their number, not their share; any will do where age alone asks."""
    now = datetime.now(UTC)
    days_ago = [*range(40)] * 30
    at_us = [int((now - timedelta(days=days)).timestamp() * 1e6) for days in days_ago]
    assert too_old(at_us, 7, now, 200) == ""
    assert "only 240 of the rows with a label are of the last 7 days" in too_old(at_us, 7, now, 241)
    assert too_old(at_us, 30, now, 241) == ""
    assert too_old([], None, now, 200) == ""


def test_of_two_labels_the_first_counts_and_a_wrong_one_has_its_line(tmp_path: Path) -> None:
    """As at the server; whoever trains on what is no class learns nonsense."""
    first = write_labels(tmp_path / "a.csv", {"x": 1, "y": 0})
    second = write_labels(tmp_path / "b.csv", {"y": 1, "z": 1})
    assert read_labels([first, second], SPEC) == {"x": "1", "y": "0", "z": "1"}
    wrong = write_labels(tmp_path / "c.csv", {"x": 1, "y": "maybe"})
    with pytest.raises(InvalidData, match=r"c\.csv 3: found 'maybe'"):
        read_labels([wrong], SPEC)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_labels([str(tmp_path / "none.csv")], SPEC)
    with pytest.raises(InvalidData, match="--data"):
        read_labels([first], KINDS["anomaly score"])


def test_labels_of_an_object_store_are_read_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a job in a cluster finds them; what is not there is said with its address."""
    store = Objects(MemoryStore())
    store.replace("labels.csv", b"prediction_id,actual\nx,1\n")
    monkeypatch.setattr(label_files, "open_objects", lambda place, **_: store)
    assert read_labels(["s3://bucket/labels.csv"], SPEC) == {"x": "1"}
    with pytest.raises(InvalidData, match=r"s3://bucket/none\.csv cannot be read"):
        read_labels(["s3://bucket/none.csv"], SPEC)


@pytest.mark.parametrize(
    ("versions", "following"),
    [
        ([], "1.0.0"),
        (["1.0.0"], "1.1.0"),
        (["1.2.0", "1.10.3", "1.9.0"], "1.11.0"),
        (["1.0.0", "2.0.0-rc.1"], "2.1.0"),
        (["no version"], "1.0.0"),
    ],
)
def test_the_next_version_is_the_next_minor_one(versions: list[str], following: str) -> None:
    """By numbers, and never below one that is there."""
    assert next_version(versions) == following


def test_a_version_that_is_new_is_tried_before_another_one_is_trained(
    churn_bundle: Written,
) -> None:
    """A job that runs each night would fill the store while the first of them is in shadow."""
    stable = churn_bundle.manifest
    begin = datetime.fromisoformat(stable.created_at)
    later = begin + timedelta(days=30)
    newer = stable.model_copy(update={"version": "1.1.0", "created_at": later.isoformat()})
    assert untried([stable], "1.0.0", later) == ""
    assert "1.1.0 was made 2.0 days ago" in untried(
        [stable, newer], "1.0.0", later + timedelta(days=2)
    )
    assert untried([stable, newer], "1.0.0", later + timedelta(days=8)) == ""
    assert untried([stable, newer], "1.1.0", later + timedelta(days=2)) == ""
    of_somebody = newer.model_copy(update={"created_at": "last week"})
    assert untried([stable, of_somebody], "1.0.0", later) == ""


def block_of(against: AgainstStable) -> str:
    """What is written of 1.1.0, which was compared with 1.0.0."""
    return rollout_block("churn", "1.0.0", "1.1.0", "a" * 64, Path("serve_config.yaml"), against)


def test_the_rollout_that_is_written_is_a_table_and_begins_in_shadow() -> None:
    """It can be put into `user_config` as it stands, also indented."""
    block = block_of(AgainstStable(400, 4))
    table = parse_settings(Table, yaml.safe_load(block), "block")
    assert table.stable == "1.0.0"
    assert table.rollout is not None
    assert table.rollout.candidate == "1.1.0"
    assert table.rollout.steps[0] == "shadow"
    assert table.versions["1.1.0"].manifest_sha256 == "a" * 64
    assert "guardrails" not in block
    assert all(len(line) <= 100 for line in block.splitlines())


@pytest.mark.parametrize(
    ("n_otherwise", "tolerated"),
    [(0, None), (28, None), (29, 20), (39, 20), (240, 70), (380, 100), (400, 100)],
)
def test_what_a_rollout_tolerates_is_a_round_number_above_what_was_measured(
    n_otherwise: int, tolerated: int | None
) -> None:
    """Nothing is written where the upper bound is within the default of 10 %; of 400 rows."""
    against = AgainstStable(400, n_otherwise)
    assert against.tolerated_percent == tolerated
    rollout = parse_settings(Table, yaml.safe_load(block_of(against)), "block").rollout
    assert rollout is not None
    assert rollout.guardrails.max_disagreement_percent == (tolerated or 10)
    if tolerated is not None:
        low, high = against.interval_percent
        assert low <= against.percent <= high
        assert high < tolerated or tolerated == 100


def test_the_rollout_says_what_was_measured_or_why_nothing_was() -> None:
    """As a comment next to it, of any length and whatever stands in a reason."""
    block = block_of(AgainstStable(400, 240))
    words = " ".join(block.replace("#", " ").split())
    assert (
        "Of the newest 400 rows that were held out 1.1.0 answers 60.0 % otherwise than 1.0.0 "
        "(55.1 to 64.7 %), where shadow tolerates 10 % by default."
    ) in words
    assert all(len(line) <= 100 for line in block.splitlines())
    block = block_of(AgainstStable(fault="store/churn: is\n gone,\x07 " + "or elsewhere, " * 20))
    words = " ".join(block.replace("#", " ").split())
    assert "1.0.0 could not be compared with 1.1.0, so that the default of" in words
    assert "store/churn: is gone, or elsewhere," in words
    assert "guardrails" not in yaml.safe_load(block)["rollout"]


def test_only_the_newest_of_many_rows_are_compared(churn_rows: TrainingTable) -> None:
    """What was held out long ago says little of what shadow will see."""
    assert len(newest(churn_rows)) == len(churn_rows) < MOST_ROWS
    twice = churn_rows.take(np.tile(np.arange(len(churn_rows)), 2))
    found = newest(twice)
    assert len(found) == MOST_ROWS
    np.testing.assert_array_equal(found.target, twice.target[-MOST_ROWS:])


def test_versions_are_compared_as_a_rollout_compares_them(
    store: FolderStore, churn_bundle: Written, churn_rows: TrainingTable
) -> None:
    """Each cuts at its own threshold; what cannot be compared says why, and stops nothing."""
    version = load(store, SPEC, "1.0.0")
    assert compared(SPEC, version, version, churn_rows) == AgainstStable(len(churn_rows), 0)
    manifest = version.manifest
    eager = copy(version)
    eager.manifest = manifest.model_copy(
        update={"parameters": manifest.parameters | {"threshold": 0.0}}
    )
    threshold = SPEC.threshold_of(manifest.parameters)
    n_below = int((version.score(churn_rows.block) < threshold).sum())
    assert compared(SPEC, version, eager, churn_rows) == AgainstStable(len(churn_rows), n_below)
    gone = against_stable(store, SPEC, "9.9.9", churn_bundle, churn_rows)
    assert "9.9.9" in gone.fault
    other = against_stable(store, SPEC, "1.0.0", churn_bundle, churn_rows, pin="b" * 64)
    assert "expected sha256 bbb" in other.fault
    assert gone.tolerated_percent is other.tolerated_percent is None


def test_a_file_of_somebody_is_not_written_over(tmp_path: Path) -> None:
    """One of ours is; a comment of a person is worth more than a run."""
    path = tmp_path / "rollout.yaml"
    require_own(path)
    path.write_text(block_of(AgainstStable(400, 4)))
    require_own(path)
    path.write_text("# mine\n")
    with pytest.raises(SettingsError, match="was not written by"):
        require_own(path)
    with pytest.raises(SettingsError, match="found no folder"):
        require_own(tmp_path / "none" / "rollout.yaml")


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory, churn_bundle: Written) -> Iterator[Path]:
    """A folder with a log of 2,000 customers, their labels, and a store that has 1.0.0."""
    folder = tmp_path_factory.mktemp("season")
    store = FolderStore(folder / "store")
    source = FolderStore(Path(churn_bundle.where).parents[1])
    names = ("manifest.json", *churn_bundle.manifest.files)
    files = {name: source.read("churn", "1.0.0", name) for name in names}
    store.write("churn", "1.0.0", files)
    rows = churn.make_rows(N_ROWS, 99)
    fields = rows[[feature.name for feature in SPEC.contract]].to_dict("records")
    server = LoggingServer(SPEC, folder / "log")
    for begin in range(0, N_ROWS, 100):
        ids = [f"id-{i}" for i in range(begin, begin + 100)]
        server.write(answered(SPEC, fields[begin : begin + 100], np.full(100, 0.5), ids=ids))
    server.finish()
    truth = dict(zip((f"id-{i}" for i in range(N_ROWS)), rows["churned"], strict=True))
    write_labels(folder / "labels.csv", truth)
    yield folder


def retrain(folder: Path, *words: str) -> Result:
    """The command about this log and store."""
    options = ["--labels", str(folder / "labels.csv"), "--log", str(folder / "log")]
    options += ["--store", str(folder / "store"), "--config", str(folder / "none.yaml")]
    return CliRunner().invoke(app, ["retrain", "churn", *options, *words])


@pytest.mark.parametrize(
    ("routes", "code", "said"),
    [
        (monitored_routes(), ExitCode.OK, "fine"),
        (
            monitored_routes(drift(day=window(plan=drifted(missing_percent=100.0))), WORSE),
            ExitCode.DATA_FAULT,
            "plan: is gone",
        ),
        (
            monitored_routes(
                labelled=WORSE, rollout=(200, rollout_view().model_dump_json().encode())
            ),
            ExitCode.OK,
            "nothing is trained: the rollout of 1.1.0 is running",
        ),
        ({}, ExitCode.UNREADABLE, "not as a Sluice server does"),
    ],
)
def test_nothing_is_trained_where_it_is_not_needed(
    season: Path, routes: dict[str, tuple[int, bytes]], code: ExitCode, said: str
) -> None:
    """Fine is 0, a data fault 20, a server that nobody understands 2; the store stays."""
    with answering(routes) as url:
        found = retrain(season, "--if-needed", "--url", url)
    assert found.exit_code == code, found.output
    assert said in " ".join(found.output.split())
    assert FolderStore(season / "store").versions("churn") == ["1.0.0"]


def test_rows_of_before_are_not_trained_on_when_the_last_week_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 days ago: they would teach the world that is gone."""
    before = datetime.now(UTC) - timedelta(days=40)
    monkeypatch.setattr(heard, "time", before.timestamp)
    server = LoggingServer(SPEC, tmp_path / "log")
    ids = [f"id-{i}" for i in range(400)]
    server.write(answered(SPEC, [ROW] * 400, np.full(400, 0.5), ids=ids), now_s=before.timestamp())
    server.finish()
    write_labels(tmp_path / "labels.csv", dict.fromkeys(ids, 1))
    with answering(monitored_routes(labelled=WORSE)) as url:
        found = retrain(tmp_path, "--if-needed", "--url", url)
    assert found.exit_code == ExitCode.OK, found.output
    said = " ".join(found.output.split())
    assert f"answered from {before:%Y-%m-%d} to {before:%Y-%m-%d} UTC" in said
    assert "nothing is trained: only 0 of the rows with a label are of the last 7 days" in said
    assert FolderStore(tmp_path / "store").versions("churn") == []


@pytest.mark.parametrize("told_by", ["file", "server"])
def test_when_all_labels_have_come_is_said_by_the_file_and_by_the_server(
    season: Path, tmp_path: Path, told_by: str
) -> None:
    """All rows of the season are of today, so that none of them may be learned yet."""
    config = tmp_path / "serve_config.yaml"
    args = {"model": "churn"} | ({"label_delay_days": 30} if told_by == "file" else {})
    app_of_file = {"name": "churn", "import_path": "serve_app.app:server", "args": args}
    config.write_text(yaml.safe_dump({"applications": [app_of_file]}))
    words = ["--config", str(config)]
    delay = 30.0 if told_by == "server" else None
    with answering(monitored_routes(labelled=WORSE, label_delay_days=delay)) as url:
        found = retrain(season, "--if-needed", "--url", url, *words)
    assert found.exit_code == ExitCode.OK, found.output
    said = " ".join(found.output.split())
    assert "2,000 are left out, younger than `label_delay_days` says" in said
    assert "nothing is trained: only 0 of the rows with a label are of the 7 days before" in said
    if told_by == "file":
        without = retrain(season, "--config", str(config))
        assert without.exit_code == ExitCode.REFUSED, without.output
        assert "2,000 are left out" in without.output


def test_the_verdict_of_another_model_trains_nothing(tmp_path: Path) -> None:
    """A URL without its prefix is the one at the root."""
    words = ["retrain", "delivery_time", "--labels", "none.csv", "--store", str(tmp_path)]
    with answering(monitored_routes(labelled=WORSE)) as url:
        found = CliRunner().invoke(app, [*words, "--if-needed", "--url", url])
    assert found.exit_code == ExitCode.REFUSED
    assert "serves churn, expected delivery_time" in " ".join(found.output.split())


@pytest.mark.parametrize("words", [[], ["--labels", "a.csv", "--data", "b.csv"]])
def test_labels_or_a_file_are_wanted_and_not_both(words: list[str]) -> None:
    """Before anything is asked or read."""
    found = CliRunner().invoke(app, ["retrain", "churn", *words], env={"LABELS_PATH": None})
    assert found.exit_code == ExitCode.REFUSED
    assert "of --labels and --data, expected one" in " ".join(found.output.split())


def test_what_was_logged_and_came_true_becomes_the_next_version(season: Path) -> None:
    """It passes the gates, proves itself, and its rollout stands in a file; then it is tried."""
    out = season / "rollout.yaml"
    # The store's 1.0.0 was made a moment ago, and so is what is trained.
    routes = monitored_routes(labelled=WORSE, rollout=NO_ROLLOUT)
    with answering(routes) as url:
        found = retrain(season, "--if-needed", "--url", url, "--out", str(out))
        assert found.exit_code == ExitCode.OK, found.output
        version = load(FolderStore(season / "store"), SPEC, "1.1.0")
        assert version.manifest.n_training_rows == round(0.8 * N_ROWS)
        assert "2,000 of 2,000 labels have their row in the log" in found.output
        block = yaml.safe_load(out.read_text())
        assert block["rollout"]["stable"] == "1.0.0"
        assert block["rollout"]["candidate"] == "1.1.0"
        assert block["versions"]["1.1.0"]["manifest_sha256"] == version.manifest_sha256
        # The world is as it was, and a fifth of the rows teaches almost the same.
        tolerated = block["rollout"].get("guardrails", {}).get("max_disagreement_percent", 10)
        assert tolerated <= 20


def test_after_the_target_changed_the_rollout_tolerates_other_answers(
    season: Path, tmp_path: Path
) -> None:
    """Seven of ten leave where a quarter did: begun with the defaults it would be put out."""
    best = churn.make_rows(N_ROWS, 99)["best_score"]
    leaves = (best > best.quantile(0.3)).astype(int)
    labels = write_labels(tmp_path / "new.csv", {f"id-{i}": leaf for i, leaf in enumerate(leaves)})
    words = ["retrain", "churn", "--labels", labels, "--log", str(season / "log")]
    words += ["--store", str(season / "store"), "--config", str(tmp_path / "none.yaml")]
    words += ["--version", "1.0.1"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == ExitCode.OK, found.output
    block = yaml.safe_load(found.output[found.output.index("# Written by") :])
    assert block["rollout"]["guardrails"]["max_disagreement_percent"] >= 30
    assert " rows that were held out 1.0.1 answers " in found.output


def test_what_is_under_the_floor_is_refused_and_nothing_is_written(
    season: Path, tmp_path: Path
) -> None:
    """The gates are those of every training: labels by chance teach nothing."""
    rng = np.random.default_rng(5)
    by_chance = {f"id-{i}": int(rng.random() < 0.3) for i in range(N_ROWS)}
    labels = write_labels(tmp_path / "chance.csv", by_chance)
    words = ["retrain", "churn", "--labels", labels, "--log", str(season / "log")]
    words += ["--store", str(tmp_path / "store"), "--config", str(tmp_path / "none.yaml")]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == ExitCode.REFUSED
    assert "under its quality floor" in " ".join(found.output.split())
    assert FolderStore(tmp_path / "store").versions("churn") == []


def test_a_file_is_trained_on_in_place_of_the_log(tmp_path: Path) -> None:
    """As `python -m training` reads it; the first version of a model needs no rollout."""
    rows = churn.make_rows(N_ROWS, 7).drop(columns="best_score")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    words = ["retrain", "churn", "--data", str(tmp_path / "rows.csv")]
    words += ["--store", str(tmp_path / "store"), "--config", str(tmp_path / "none.yaml")]
    words += ["--version", "3.0.0"]
    found = CliRunner().invoke(app, words, env={"LABELS_PATH": None})
    assert found.exit_code == ExitCode.OK, found.output
    assert load(FolderStore(tmp_path / "store"), SPEC, "3.0.0").manifest.version == "3.0.0"
    assert "rollout:" not in found.output
