"""`sluice size`: what is measured of a real bundle, and what is printed."""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.bundle.store import FolderStore
from serve_app.commands.main import app
from serve_app.commands.size.replicas import FAST_MODE, Size, Work, size
from serve_app.contract.block import Block, Scores
from serve_app.settings import Table

with warnings.catch_warnings():
    # Ray's own models warn when they are imported.
    warnings.simplefilter("ignore")
    from serve_app.commands.check.report import check_file
    from serve_app.commands.size.measure import measure
    from serve_app.commands.size.servers import work_of

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "serve_config.yaml").read_text()


def table(**entry: object) -> Table:
    """A table with churn's stable version."""
    return Table.model_validate({"stable": "1.0.0", "versions": {"1.0.0": entry}})


def burn(milliseconds: float) -> None:
    """Use so much CPU time."""
    until_s = time.thread_time() + milliseconds / 1000
    while time.thread_time() < until_s:
        pass


def call_first(monkeypatch: pytest.MonkeyPatch, first: Callable[[Block], None]) -> None:
    """Call a function before each call of a model, with its block."""
    score = OnnxRuntime.score

    def scored(runtime: OnnxRuntime, block: Block) -> Scores:
        first(block)
        return score(runtime, block)

    monkeypatch.setattr(OnnxRuntime, "score", scored)


def test_cost_grows_with_the_rows_of_a_request(
    monkeypatch: pytest.MonkeyPatch, trained_store: FolderStore
) -> None:
    """A list of a hundred rows costs more than one row and less than a hundred requests.

    A call burns 1 ms and 0.1 ms a row: what the machine adds to that is small.
    """
    call_first(monkeypatch, lambda block: burn(1 + len(block) / 10))
    one = measure("churn", trained_store.uri, table(), 1)
    many = measure("churn", trained_store.uri, table(), 100)
    assert one.model_ms >= 1
    assert many.model_ms >= 10
    assert one.model_ms < many.model_ms < 100 * one.model_ms
    assert min(one.app_ms, many.app_ms, one.row_ms) > 0
    assert one.memory_mb > 50


@pytest.mark.parametrize("burns", [True, False])
def test_what_a_call_burns_counts_and_what_it_waits_does_not(
    monkeypatch: pytest.MonkeyPatch, trained_store: FolderStore, burns: bool
) -> None:
    """A call that burns 4 ms of CPU costs 4 ms; one that sleeps 20 ms is cheap. Both are shared."""
    call_first(monkeypatch, lambda _: burn(4) if burns else time.sleep(20e-3))
    found = measure("churn", trained_store.uri, table(), 1)
    assert found.coalesces
    if burns:
        assert found.app_ms < found.model_ms
        assert min(found.model_ms, work_of(found, FAST_MODE, table(), 200).call_ms) >= 3.9
    else:
        assert found.model_ms < 20


def run(*arguments: str) -> Result:
    """`sluice size` from the root of the repository."""
    return CliRunner().invoke(app, ["size", *arguments])


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch, trained_store: FolderStore) -> None:
    """Where serve_config.yaml and its store are, as for a person who has cloned the repository."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MODEL_PATH", raising=False)


def test_the_command_answers_for_each_server_with_the_numbers_it_used(tmp_path: Path) -> None:
    """As written in the README: an answer a server, which `sluice check` accepts in the file."""
    result = run("--rate", "3333", "--p95-ms", "200", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    config = yaml.safe_load(SHIPPED)
    assert [server["model"] for server in answer["servers"]] == ["churn", "delivery_time"]
    for server, application in zip(answer["servers"], config["applications"], strict=True):
        measured = server["measured"]
        found = server["size"]
        assert server["work"]["own_ms"] == pytest.approx(
            answer["constants"]["replica_ms"] + measured["app_ms"] + measured["model_ms"]
        )
        again = size(Work(**server["work"]), 3333, 200)
        assert (
            Size(**found | {name: getattr(again, name) for name in ("at_peak", "with_one_lost")})
            == again
        )
        # Ray's own modules are part of it, as in a replica.
        assert measured["memory_mb"] > 100
        deployment = application["deployments"][0]
        for key, values in server["Server"].items():
            deployment[key] |= values
        assert deployment["autoscaling_config"]["max_replicas"] == found["max_replicas"]
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    assert not check_file(path, with_store=False).faults


def test_the_answer_in_words_names_what_was_measured_and_what_is_constant(tmp_path: Path) -> None:
    """One server, shared calls: every number with where it comes from, and YAML to paste."""
    path = tmp_path / "serve_config.yaml"
    path.write_text(
        SHIPPED.replace("coalesce: auto", "coalesce: always").replace(
            '# "1.1.0": ', '"1.1.0": {} # '
        )
    )
    wish = ("--rate", "3333", "--p95-ms", "200", "--model", "churn", "--overhead-ms", "0.4")
    result = run(*wish, "--config", str(path))
    assert result.exit_code == 0, result.stderr
    said = result.stdout
    assert said.startswith("churn 1.0.0: 3,333 requests/s of 1 row, p95 within 200 ms\n")
    assert "delivery_time" not in said
    for start in (
        "  replicas ",
        "  CPUs ",
        "  memory ",
        "  CPU in use ",
        "  p95 ",
        "  not counted",
        "  measured ",
    ):
        assert f"\n{start}" in said
    # How wide a column is depends on what was measured, so runs of spaces are not compared.
    lines = {" ".join(line.split()) for line in said.splitlines()}
    assert "constant 0.4 ms CPU that Ray adds in the replica (--overhead-ms)" in lines
    assert "constant 0.3 ms CPU that Ray and @serve.batch add to a request" in lines
    assert "from the file 2 ms a call waits so long to fill (batch.wait_ms)" in lines
    pasted = yaml.safe_load(said[said.index("    autoscaling_config") : said.index("\nTogether")])
    assert pasted["autoscaling_config"]["min_replicas"] == 2
    assert pasted["ray_actor_options"]["num_cpus"] > 0


CHANGES = [
    ("", "", ["--rate", "0"], "--rate: found 0, expected a number above 0"),
    ("", "", ["--rows", "101"], "--rows: found 101, expected 1 to 100, limits.max_rows of churn"),
    (
        "",
        "",
        ["--model", "chrun"],
        "--model: found chrun, expected one that the file serves: churn, delivery_time",
    ),
    ("min_replicas: 1", "min_replica: 1", [], "autoscaling_config.min_replica: unknown key"),
    ("app:server", "app:version", ["--model", "churn"], "`sluice check"),
    ("coalesce: auto", "placement: isolated", [], "churn: stable 1.0.0 is isolated"),
    ('stable: "1.0.0"', 'stable: "9.9.9"', [], "model_store/churn/9.9.9/manifest.json: not found"),
    (
        "",
        "",
        ["--model", "churn", "--p95-ms", "0.1"],
        "churn 1.0.0: --p95-ms: found 0.1, expected more than ",
    ),
]


@pytest.mark.parametrize(("old", "new", "options", "said"), CHANGES)
def test_what_cannot_be_answered_is_said_in_words(
    tmp_path: Path, old: str, new: str, options: list[str], said: str
) -> None:
    """Exit code 1, one line that says what was found and what is expected, and no answer."""
    path = tmp_path / "serve_config.yaml"
    path.write_text(SHIPPED.replace(old, new, 1))
    result = run("--config", str(path), "--rate", "100", "--p95-ms", "200", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not result.stdout
