"""The page of wiring, without Ray: what a server answers reaches the coordinator's end."""

import asyncio
import json
import time
import warnings
from collections.abc import Iterator
from functools import partial
from math import nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import client_of, example_rows, table
from keyring import key_of, write_keys
from replica_context import be_a_replica
from toy_runtime import toy, write_toy

from serve_app.bundle.loading import Verified
from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.bundle.verified import read_manifest
from serve_app.cluster.coordinator import Coordinator
from serve_app.cluster.declared_metrics import OF_A_SERVER, OF_THE_COORDINATOR, Metric
from serve_app.cluster.readings import OnCoordinator
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import SettingsError
from serve_app.http.edge import door_in_front, put_in_front
from serve_app.models import get_spec
from serve_app.monitoring.labels.shapes import Label
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged, rows_of
from serve_app.monitoring.quality.report import QualityReport
from serve_app.settings import ServerArgs, Table

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported

    from serve_app.app import TELL_AT_END_S, coordinator_parts, server_parts
    from serve_app.cluster.metrics import Exporter

ROOT = Path(__file__).parents[2]
ROW = example_rows(get_spec("churn"))[0]
pytestmark = pytest.mark.usefixtures("collected")


class Handle:
    """The coordinator's method `report`, called as Ray does."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.reports: list[Report] = []

    async def remote(self, report: Report) -> Reply:
        """Hand it over."""
        self.reports.append(report)
        return self.inbox.receive(report)


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> list[Verified]:
    """What would be opened in a child process, which does not know the toy."""
    found: list[Verified] = []
    monkeypatch.setattr("serve_app.app.prove_first", found.append)
    return found


@pytest.fixture
def args(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proven: list[Verified]
) -> Iterator[ServerArgs]:
    """Arguments of a server whose store has a version; Ray says which application it is of."""
    be_a_replica(monkeypatch, app_name="churn")
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    for name in (
        "MODEL_PATH",
        "STATE_PATH",
        "KEYS_PATH",
        "LOG_PATH",
        "LABEL_KEYS",
        "LABEL_KEYS_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    write_toy(FolderStore(tmp_path / "store"))
    yield ServerArgs(model="churn", store=str(tmp_path / "store"), state=str(tmp_path / "state"))
    put_in_front(None)


async def test_an_answer_is_heard_reported_and_answered_by_the_coordinator(
    args: ServerArgs, proven: list[Verified]
) -> None:
    """The rollout is an observer of the router and a part of the report, at both ends."""
    inbox = coordinator_parts(args).inbox
    report = Handle(inbox)
    coordinator: Any = SimpleNamespace(report=report)
    parts = server_parts(args, coordinator)
    assert door_in_front() is parts.app.state.door, "the fast path has the door of this server"
    await parts.versions.start(table())
    assert [found.manifest.version for found in proven] == ["1.0.0"], "not opened here alone"
    async with client_of(parts.app) as client:
        for _ in range(3):
            assert (await client.post("/v1/predict", json=ROW)).status_code == 200
        assert (await client.get("/v1/rollout")).status_code != 404, "its routes are there"
    assert await parts.heartbeat.beat()
    [told] = report.reports
    assert told.parts["rollout"].n_rows == 3
    assert inbox.receive(told).parts.keys() == {"rollout", "rates", "drift", "quality"}


async def test_when_all_labels_have_come_is_known_where_they_are_judged(args: ServerArgs) -> None:
    """By `GET /v1/quality`, whose windows end then, and by the judge of a rollout."""
    said = args.model_copy(update={"label_delay_days": 30.0})
    quality = coordinator_parts(said).quality
    assert quality is not None
    await quality.keep()
    assert quality.view().label_delay_days == 30
    found = quality.labelled("1.0.0-1.1.0-3f9a2c41-run1", "1.0.0", "1.1.0", 1.1)
    assert found is not None
    assert "all of them have come after 30 days only" in found.unjudged


async def test_a_label_finds_its_prediction_and_reaches_the_coordinator(
    args: ServerArgs, tmp_path: Path
) -> None:
    """By the id that the answer had, also from another server; the secret is made on the way."""
    coordinating = coordinator_parts(args)
    assert coordinating.quality is not None
    await coordinating.quality.keep()

    class Asked:
        """The coordinator's method `quality`."""

        async def remote(self) -> Any:
            """What it says."""
            assert coordinating.quality is not None
            return coordinating.quality.view()

    coordinator: Any = SimpleNamespace(report=Handle(coordinating.inbox), quality=Asked())
    answering = server_parts(args, coordinator)
    labelling = server_parts(args, coordinator)
    for parts in (answering, labelling):
        await parts.versions.start(table())
    async with client_of(answering.app) as client:
        ids = [
            (await client.post("/v1/predict", json=ROW)).json()["prediction_id"] for _ in range(12)
        ]
    async with client_of(labelling.app) as client:
        body = [{"prediction_id": one, "actual": 1} for one in ids]
        assert (await client.post("/v1/feedback", json=body)).json()["succeeded"] == 12
        assert await answering.heartbeat.beat()
        assert await labelling.heartbeat.beat()
        found = (await client.get("/v1/quality")).json()
    [version] = found["versions"]
    assert version["version"] == "1.0.0"
    today = version["windows"][0]
    assert (today["n_predictions"], today["n_labels"]) == (12, 12)
    assert today["realised"]["recall_1"]["n"] == 12
    await coordinating.quality.keep()
    assert (tmp_path / "state/churn/churn/quality.json").exists()
    assert (tmp_path / "state/label_keys").exists()


async def test_a_server_asks_for_the_keys_of_its_file(args: ServerArgs, tmp_path: Path) -> None:
    """And follows the file while it runs; a first one that is broken keeps it from starting."""
    path = write_keys(tmp_path / "keys.yaml")
    keyed = args.model_copy(update={"auth": str(path)})
    coordinator: Any = SimpleNamespace(report=Handle(coordinator_parts(args).inbox))
    parts = server_parts(keyed, coordinator)
    await parts.versions.start(table())
    async with client_of(parts.app) as client:
        assert (await client.post("/v1/predict", json=ROW)).status_code == 401
        headers = {"X-API-Key": key_of("shop")}
        assert (await client.post("/v1/predict", json=ROW, headers=headers)).status_code == 200
        path.write_text("keys: []")
        following = asyncio.create_task(parts.follow_keys_forever())

        async with asyncio.timeout(300):
            while True:
                answer = await client.post("/v1/predict", json=ROW, headers=headers)
                if answer.status_code == 401:
                    break
                await asyncio.sleep(0.05)
        following.cancel()
    path.write_text("keys: 3")
    with pytest.raises(SettingsError, match="expected a mapping with one key"):
        server_parts(keyed, coordinator)


async def test_a_server_that_ends_tells_its_labels_and_writes_its_log_first(
    args: ServerArgs, tmp_path: Path
) -> None:
    """Ray ends it when it scales down; nobody sends again what was taken."""
    coordinating = coordinator_parts(args)
    assert coordinating.quality is not None
    await coordinating.quality.keep()
    coordinator: Any = SimpleNamespace(report=Handle(coordinating.inbox))
    log = tmp_path / "log"
    parts = server_parts(args.model_copy(update={"log": str(log)}), coordinator)
    await parts.versions.start(table())
    async with parts.app.router.lifespan_context(parts.app), client_of(parts.app) as client:
        answer = await client.post("/v1/predict", json=ROW)
        label = {"prediction_id": answer.json()["prediction_id"], "actual": 1}
        assert (await client.post("/v1/feedback", json=label)).status_code == 200
        assert coordinating.quality.view().n_labels == 0
    assert coordinating.quality.view().n_labels == 1
    assert [part for part in log.rglob("*.gz") if part.is_file()]


@pytest.mark.parametrize("is_under_way", [False, True])
async def test_a_server_that_ends_waits_for_a_coordinator_that_starts_again(
    args: ServerArgs, is_under_way: bool
) -> None:
    """Both go where `args` change; what was in the report that failed is told too."""

    class Starting(Handle):
        """Away at the first report."""

        async def remote(self, report: Report) -> Reply:
            """Hand it over, from the second on."""
            self.reports.append(report)
            if len(self.reports) == 1:
                raise RuntimeError("no replica")
            return self.inbox.receive(report)

    coordinating = coordinator_parts(args)
    assert coordinating.quality is not None
    await coordinating.quality.keep()
    coordinator: Any = SimpleNamespace(report=Starting(coordinating.inbox))
    parts = server_parts(args, coordinator)
    await parts.versions.start(table())
    async with parts.app.router.lifespan_context(parts.app), client_of(parts.app) as client:
        answer = await client.post("/v1/predict", json=ROW)
        label = {"prediction_id": answer.json()["prediction_id"], "actual": 1}
        assert (await client.post("/v1/feedback", json=label)).status_code == 200
        if is_under_way:
            assert not await parts.heartbeat.beat()
        assert coordinating.quality.view().n_labels == 0
    assert coordinating.quality.view().n_labels == 1


def test_the_page_says_for_how_long_a_server_that_ends_tells_its_labels() -> None:
    """Ray ends it by force after a time that the page names too."""
    page = " ".join((ROOT / "docs/labels.md").read_text().split())
    assert (
        f"it tries for {TELL_AT_END_S:g} seconds, as far as `graceful_shutdown_timeout_s`" in page
    )


async def test_a_coordinator_that_ends_writes_what_it_knows_first(
    args: ServerArgs, tmp_path: Path
) -> None:
    """Ray calls its `__del__` and waits for it; the interpreter, which would not wait, has none."""
    label = Label(1, "1.0.0", int(time.time()), True, (0.5, nan, nan), (1.0,))
    coordinator = Coordinator(coordinator_parts, args)
    await coordinator.report(Report("server", 1, {"quality": QualityReport((label,), {}, {})}))
    await coordinator.__del__()
    assert "__del__" not in vars(Coordinator)
    assert _kept_labels(tmp_path) == 1


def _kept_labels(folder: Path) -> int:
    """How many labels the one coordinator below has written."""
    [kept] = folder.rglob("quality.json")
    found: int = json.loads(kept.read_text())["n_counted"]
    return found


@pytest.mark.parametrize("docs", [True, False])
async def test_the_document_of_the_interface_is_there_before_a_client_asks(
    args: ServerArgs, docs: bool
) -> None:
    """It takes 70 ms to make, in which nobody else is answered; where nobody sees it, it is not."""
    coordinator: Any = SimpleNamespace(report=Handle(coordinator_parts(args).inbox))
    parts = server_parts(args.model_copy(update={"docs": docs}), coordinator)
    await parts.versions.start(table())
    parts.describe()
    assert bool(parts.app.openapi_schema) == docs


async def test_the_rate_of_a_key_is_counted_and_shared_out(
    args: ServerArgs, tmp_path: Path
) -> None:
    """The key comes before the rate, and the rate is a part of the report, at both ends."""
    path = write_keys(tmp_path / "keys.yaml")
    keyed = args.model_copy(update={"auth": str(path)})
    report = Handle(coordinator_parts(args).inbox)
    coordinator: Any = SimpleNamespace(report=report)
    parts = server_parts(keyed, coordinator)
    await parts.versions.start(table())
    async with client_of(parts.app, headers={"X-API-Key": key_of("shop")}) as client:
        answer = await client.post("/v1/predict", json=ROW)
    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"rows";q=100;w=2'
    assert await parts.heartbeat.beat()
    [told] = report.reports
    assert told.parts["rates"].wants.keys() == {"shop"}


async def test_what_was_counted_is_asked_of_the_coordinator(args: ServerArgs) -> None:
    """A bundle of an older format serves, and says that it has no reference."""
    made = coordinator_parts(args)

    async def sums() -> Any:
        return made.drift.sums()

    coordinator: Any = SimpleNamespace(
        report=Handle(made.inbox), drift=SimpleNamespace(remote=sums)
    )
    parts = server_parts(args, coordinator)
    await parts.versions.start(table())
    async with client_of(parts.app) as client:
        assert (await client.post("/v1/predict", json=ROW)).status_code == 200
        answer = await client.get("/v1/drift")
    assert answer.status_code == 200
    assert answer.json()["versions"]["1.0.0"]["detail"].startswith("no reference")
    assert made.forever, "the counts are carried through a restart"


async def test_what_a_server_answers_can_be_read_by_every_metric_that_is_declared(
    args: ServerArgs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The page of wiring gives each record of the table the object that counts for it."""
    coordinator: Any = SimpleNamespace(report=Handle(coordinator_parts(args).inbox))
    parts = server_parts(args.model_copy(update={"log": str(tmp_path / "log")}), coordinator)
    await parts.versions.start(table())
    async with client_of(parts.app) as client:
        answer = await client.post("/v1/predict", json=ROW)
        assert answer.status_code == 200
        assert (await client.post("/v1/predict", json={**ROW, "nps_score": 99})).status_code == 422
        label = {"prediction_id": answer.json()["prediction_id"], "actual": 1}
        assert (await client.post("/v1/feedback", json=label)).status_code == 200
        label["prediction_id"] = "A" * 64
        assert (await client.post("/v1/feedback", json=label)).status_code == 404
    async with parts.app.router.lifespan_context(parts.app):
        pass
    assert isinstance(parts.export_forever, partial)
    exporting = parts.export_forever.args[0]
    model, metrics, here = exporting.args
    assert (model, metrics) == ("churn", OF_A_SERVER)
    told: dict[str, float] = {}

    def make(metric: Metric[Any]) -> Any:
        return lambda value, tags: told.update({f"{metric.name} {[*tags.values()]}": value})

    Exporter(model, metrics, here, make).export()
    assert told["sluice_requests ['churn', '200']"] == 1
    assert told["sluice_requests ['churn', '422']"] == 1
    assert told["sluice_rejected ['churn', 'nps_score', 'is out of range']"] == 1
    assert told["sluice_predictions ['churn', '1.0.0', 'answered']"] == 1
    assert told["sluice_version_seconds_bucket ['churn', '1.0.0', '+Inf']"] == 1
    assert told["sluice_model_info ['churn', '1.0.0', 'toy', 'in_server']"] == 1
    assert told["sluice_model_age_seconds ['churn', '1.0.0']"] > 0
    scores = [value for name, value in told.items() if name.startswith("sluice_scores ")]
    assert sum(scores) == 1
    assert told["sluice_labels ['churn', '1.0.0', 'joined']"] == 1
    assert told["sluice_labels ['churn', 'unknown', 'unknown_prediction']"] == 1
    assert told["sluice_prediction_log_written ['churn']"] == 1
    assert not [record for record in caplog.records if "exported" in record.message]


async def test_a_rollout_that_begins_is_told_by_the_coordinator(
    args: ServerArgs, caplog: pytest.LogCaptureFixture
) -> None:
    """Without one there is nothing to tell."""
    controller = coordinator_parts(args).controller
    found = {metric.name: metric.read for metric in OF_THE_COORDINATOR}
    for read in found.values():
        assert read(OnCoordinator(controller)) == {}


async def test_a_server_keeps_its_answers_where_its_args_say_and_what_its_table_says(
    args: ServerArgs, tmp_path: Path
) -> None:
    """The log hears of each answer, and has all of them when the replica has ended."""
    report = Handle(coordinator_parts(args).inbox)
    coordinator: Any = SimpleNamespace(report=report)
    parts = server_parts(args.model_copy(update={"log": str(tmp_path / "log")}), coordinator)
    kept = {"stable": "1.0.0", "log": {"leave_out": ["nps_score"]}}
    await parts.versions.start(Table.model_validate(kept))
    ids = []
    async with client_of(parts.app) as client:
        for _ in range(3):
            answer = await client.post("/v1/predict", json=ROW)
            ids.append(answer.json()["prediction_id"])
        batch = await client.post("/v1/predict/batch", json=[ROW, {"nps_score": 99}, ROW])
    ids += [row["prediction_id"] for row in batch.json()["predictions"] if "prediction_id" in row]
    assert len(ids) == 5
    async with parts.app.router.lifespan_context(parts.app):
        pass
    lines = list(logged(LogPlace(str(tmp_path / "log")), "churn"))
    assert [name for line in lines for name in line.ids] == ids
    row = {name: value for name, value in ROW.items() if name != "nps_score"}
    contract = get_spec("churn").contract
    assert all(found == row for line in lines for found in rows_of(line, contract))
    manifest, digest = read_manifest(FolderStore(tmp_path / "store"), "churn", "1.0.0")
    assert {(line.version, line.manifest_sha256) for line in lines} == {(manifest.version, digest)}


def test_a_server_without_a_place_for_a_log_makes_no_file(
    args: ServerArgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's disk fills because they started a server on a Monday."""
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    coordinator: Any = SimpleNamespace(report=Handle(coordinator_parts(args).inbox))
    server_parts(args, coordinator)
    # The secret of prediction ids lies in the folder of the state.
    assert set(tmp_path.iterdir()) == before | {tmp_path / "state"}
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["label_keys"]
