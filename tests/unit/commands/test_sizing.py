"""`sluice size`: the arithmetic against hand-made cases and simulated queues, what is measured, and what is printed."""

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.commands.main import app
from serve_app.commands.size import FAST_MODE, Size, Work, load, most_rate, size
from serve_app.errors import SettingsError
from serve_app.scaling import PLANNED_BUSY
from serve_app.settings import Table

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from serve_app.commands.check import check_file
    from serve_app.commands.size.measure import Measured, measure
    from serve_app.commands.size.servers import work_of

ROOT = Path(__file__).parents[3]
SHIPPED = (ROOT / "serve_config.yaml").read_text()
CHEAP = Work(own_ms=0.3)
DEAR = Work(own_ms=0.5, call_ms=12, wait_ms=2, most_per_call=100)

works = st.builds(
    Work,
    own_ms=st.floats(0.05, 20),
    call_ms=st.just(0.0) | st.floats(1, 40),
    wait_ms=st.just(0.0) | st.floats(0, 10),
    most_per_call=st.integers(1, 256),
)
rates = st.floats(0.1, 20_000)
objectives = st.floats(300, 5_000)


def test_a_cheap_model_by_hand() -> None:
    """3,333 × 0.3 ms is one CPU: two replicas at half of theirs carry it, a third may be lost."""
    found = size(CHEAP, rate=3_333, p95_ms=200)
    assert (found.min_replicas, found.max_replicas) == (2, 3)
    assert found.at_peak.cpus == pytest.approx(3_333 / 3 * 0.3e-3)
    assert found.with_one_lost.cpus == pytest.approx(3_333 / 2 * 0.3e-3)
    assert found.with_one_lost.p95_ms == pytest.approx(2.9957 * 0.3 / (1 - 0.49995), rel=1e-4)
    assert found.num_cpus == 0.8  # 0.49995 in use, at most 70 % busy: 0.714, rounded up


def test_a_dear_model_by_hand() -> None:
    """Calls of 14 ms for at most 100 requests: a request's own are 0.5 ms and 0.14 ms of its call."""
    found = size(DEAR, rate=800, p95_ms=42)
    assert found.max_replicas == 3
    busy, two_calls_ms = 0.4 * 0.64, 2 * (14 - 0.14)
    assert found.with_one_lost.p95_ms == pytest.approx(
        (two_calls_ms + 2.9957 * 0.64) / (1 - busy), rel=1e-4
    )
    assert found.with_one_lost.mean_ms == pytest.approx((0.75 * two_calls_ms + 0.64) / (1 - busy))
    # A fifth is its requests' own, and in what is left calls follow one another: 12 of 14 ms.
    assert found.with_one_lost.cpus == pytest.approx(0.2 + 0.8 * 12 / 14)
    assert found.num_cpus == 1.0


def test_calls_that_would_be_full_cost_replicas() -> None:
    """Where only two requests may share a call, a replica takes at most two in the time of a call with its rows."""
    few = Work(own_ms=0.5, call_ms=12, wait_ms=2, most_per_call=2)
    assert most_rate(few, 1_000) == pytest.approx(PLANNED_BUSY * 1_000 * 2 / (14 + 2 * 0.5))
    assert size(few, 400, 1_000).max_replicas == 6  # 93 requests a second each, and one more


def test_autoscaling_aims_at_the_replicas_that_were_reckoned() -> None:
    """Ray wants as many replicas as requests under way ÷ target: by Little's law these at the peak, fewer below."""
    found = size(CHEAP, rate=30_000, p95_ms=200)
    n = found.max_replicas
    response_s = 0.3e-3 / (1 - 30_000 / n * 0.3e-3)
    assert found.target_ongoing_requests == pytest.approx(30_000 / n * response_s, rel=0.05)
    half = load(CHEAP, 15_000 / n).under_way * n / found.target_ongoing_requests
    assert 0.2 * n < half < 0.6 * n


@given(works, rates, rates, objectives)
def test_a_higher_rate_never_takes_fewer_replicas(
    work: Work, one: float, other: float, p95_ms: float
) -> None:
    """Nor does one replica at the higher rate answer sooner."""
    low, high = sorted((one, other))
    assert size(work, low, p95_ms).max_replicas <= size(work, high, p95_ms).max_replicas


@given(works, rates, objectives, objectives)
def test_a_tighter_objective_never_takes_fewer_replicas(
    work: Work, rate: float, one: float, other: float
) -> None:
    """Asking for answers in less time can only cost more."""
    tight, loose = sorted((one, other))
    assert size(work, rate, tight).max_replicas >= size(work, rate, loose).max_replicas


@given(works, rates, objectives)
def test_what_is_left_when_one_is_lost_keeps_to_everything(
    work: Work, rate: float, p95_ms: float
) -> None:
    """With one lost the rest is busy for 70 % at most and in time; with two lost it is not."""
    found = size(work, rate, p95_ms)
    n_left = found.max_replicas - 1
    assert found.with_one_lost.p95_ms <= p95_ms * (1 + 1e-6)
    assert rate / n_left * work.own_ms / 1000 <= PLANNED_BUSY * (1 + 1e-6)
    assert found.at_peak.cpus <= found.with_one_lost.cpus + 1e-6 <= 1 + 2e-6
    assert 0.1 <= found.num_cpus <= 1
    assert found.with_one_lost.cpus <= found.num_cpus + 1e-6
    if n_left > 1:
        assert rate / (n_left - 1) > most_rate(work, p95_ms)


def simulated_ms(work: Work, rate: float, service: Callable[[int], float]) -> np.ndarray:
    """Response times of a replica whose requests come at random: what waits goes into the next call together."""
    rng = np.random.default_rng(4711)
    come_ms = np.cumsum(rng.exponential(1000 / rate, 60_000)).tolist()
    times, free_ms, i = [], 0.0, 0
    shared_ms = work.call_ms + work.wait_ms
    while i < len(come_ms):
        begin_ms, end = max(free_ms, come_ms[i]), i + 1
        while end < min(len(come_ms), i + work.most_per_call) and come_ms[end] <= begin_ms:
            end += 1
        free_ms = begin_ms + shared_ms + sum(service(k) for k in range(i, end))
        times += [free_ms - come for come in come_ms[i:end]]
        i = end
    return np.array(times)


@pytest.mark.parametrize("busy", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("shape", ["alike", "varied", "exponential"])
def test_a_simulated_queue_keeps_the_promise(shape: str, busy: float) -> None:
    """p95 is never above the promise, whether requests cost alike or exponentially; and then it is just that."""
    rng = np.random.default_rng(1)
    own_ms = {
        "alike": np.full(60_000, 0.3),
        "varied": rng.gamma(2, 0.15, 60_000),
        "exponential": rng.exponential(0.3, 60_000),
    }[shape]
    promise, times = (
        load(CHEAP, busy / 0.3e-3),
        simulated_ms(CHEAP, busy / 0.3e-3, lambda k: own_ms[k]),
    )
    share = float(np.percentile(times, 95)) / promise.p95_ms
    assert share <= 1.05
    assert times.mean() <= 1.05 * promise.mean_ms
    assert share >= {"alike": 0.4, "varied": 0.65, "exponential": 0.95}[shape]


@pytest.mark.parametrize("busy", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("most_per_call", [1, 2, 20, 100])
@pytest.mark.parametrize(("call_ms", "own_ms"), [(32, 0.35), (32, 2), (3, 0.35), (3, 5)])
def test_simulated_calls_keep_the_promise(
    call_ms: float, own_ms: float, most_per_call: int, busy: float
) -> None:
    """Where requests share calls, p95 and mean are never above the promise, nor a small part of it."""
    work = Work(own_ms, call_ms, most_per_call=most_per_call)
    rate = busy / PLANNED_BUSY * most_rate(work, 1e9)
    promise, times = load(work, rate), simulated_ms(work, rate, lambda _: own_ms)
    assert 0.3 <= np.percentile(times, 95) / promise.p95_ms <= 1
    assert 0.3 <= times.mean() / promise.mean_ms <= 1


@pytest.mark.parametrize(
    ("work", "p95_ms", "said"),
    [
        (
            Work(own_ms=90),
            200,
            "expected more than 270, however many replicas there are: a request alone takes 90 ms",
        ),
        (
            DEAR,
            25,
            "expected more than 29.6, however many replicas there are: a model call takes 12 ms after 2 ms",
        ),
        (CHEAP, 0, "--p95-ms: found 0, expected a number above 0"),
        (CHEAP, float("nan"), "--p95-ms: found nan, expected a number above 0"),
    ],
)
def test_an_objective_out_of_reach_is_said_in_words(work: Work, p95_ms: float, said: str) -> None:
    """More replicas do not make a call shorter: what was asked, what is possible, and why."""
    with pytest.raises(SettingsError, match="--p95-ms: found") as raised:
        size(work, 100, p95_ms)
    assert said in str(raised.value)


def table(**entry: object) -> Table:
    """A table with churn's stable version."""
    return Table.model_validate({"stable": "1.0.0", "versions": {"1.0.0": entry}})


def test_cost_grows_with_the_rows_of_a_request() -> None:
    """A list of a hundred rows costs more than one row and less than a hundred requests, in routes and model alike."""
    one, many = (
        measure("churn", str(ROOT / "model_store"), table(), n_rows) for n_rows in (1, 100)
    )
    assert 0 < one.app_ms < many.app_ms < 100 * one.app_ms
    assert 0 < one.model_ms < many.model_ms < 100 * one.model_ms
    assert one.memory_mb > 50
    assert not one.coalesces


@pytest.mark.parametrize("burns", [True, False])
def test_what_a_call_burns_counts_and_what_it_waits_does_not(
    monkeypatch: pytest.MonkeyPatch, burns: bool
) -> None:
    """A call that burns 4 ms of CPU costs 4 ms and is shared; one that sleeps 4 ms is cheap, though shared too."""
    score = OnnxRuntime.score

    def slow(runtime: OnnxRuntime, block: object) -> object:
        until_s = time.thread_time() + 4e-3
        while burns and time.thread_time() < until_s:
            pass
        time.sleep(0 if burns else 4e-3)
        return score(runtime, block)  # type: ignore[arg-type]

    monkeypatch.setattr(OnnxRuntime, "score", slow)
    found = measure("churn", str(ROOT / "model_store"), table(), 1)
    assert found.coalesces
    if burns:
        assert found.app_ms < found.model_ms
        assert min(found.model_ms, work_of(found, FAST_MODE, table(), 200).call_ms) >= 3.9
    else:
        assert found.model_ms < 2


def test_the_work_of_a_dear_model_is_its_call_and_what_each_request_adds() -> None:
    """The call is shared; routes, rows and what Ray adds are each request's own; batch and queue limit who shares."""
    found = Measured(
        "1.0.0", 10, app_ms=1, model_ms=13, call_ms=12.1, row_ms=0.1, coalesces=True, memory_mb=1
    )
    work = work_of(found, FAST_MODE, table(), max_ongoing_requests=40)
    assert work.own_ms == pytest.approx(FAST_MODE.replica_ms + FAST_MODE.batch_ms + 1 + 10 * 0.1)
    assert (work.call_ms, work.wait_ms) == (pytest.approx(12), 2)
    assert work.most_per_call == 20  # of 40 under way, half waits
    assert (
        work_of(found, FAST_MODE, table(), max_ongoing_requests=1_000).most_per_call == 25
    )  # 256 rows in a call
    long = work_of(replace(found, n_rows=600), FAST_MODE, table(), max_ongoing_requests=40)
    assert long.most_per_call == 1
    assert long.own_ms == pytest.approx(
        work.own_ms + 590 * 0.1 + 2 * 12
    )  # it takes three calls, all its own


def run(*arguments: str) -> Result:
    """`sluice size` from the root of the repository."""
    return CliRunner().invoke(app, ["size", *arguments])


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundles that `make models` trains."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MODEL_PATH", raising=False)


def test_the_command_answers_for_each_server_with_the_numbers_it_used(tmp_path: Path) -> None:
    """As written in the README: an answer a server, which `sluice check` accepts in place of what the file has."""
    result = run("--rate", "3333", "--p95-ms", "200", "--json")
    assert result.exit_code == 0, result.stderr
    answer, config = json.loads(result.stdout), yaml.safe_load(SHIPPED)
    assert [server["model"] for server in answer["servers"]] == ["churn", "delivery_time"]
    for server, application in zip(answer["servers"], config["applications"], strict=True):
        measured, found = server["measured"], server["size"]
        assert server["work"]["own_ms"] == pytest.approx(
            answer["constants"]["replica_ms"] + measured["app_ms"] + measured["model_ms"]
        )
        again = size(Work(**server["work"]), 3333, 200)
        assert (
            Size(**found | {name: getattr(again, name) for name in ("at_peak", "with_one_lost")})
            == again
        )
        assert measured["memory_mb"] > 100  # Ray's own modules among it, as in a replica
        deployment = application["deployments"][0]
        for key, values in server["Server"].items():
            deployment[key] |= values
        assert deployment["autoscaling_config"]["max_replicas"] == found["max_replicas"]
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    assert not check_file(path, with_store=False).faults


def test_the_answer_in_words_names_what_was_measured_and_what_is_constant(tmp_path: Path) -> None:
    """One server, shared calls: replicas, CPUs, memory, each number with where it comes from, and YAML to paste."""
    path = tmp_path / "serve_config.yaml"
    path.write_text(
        SHIPPED.replace("coalesce: auto", "coalesce: always").replace(
            '# "1.1.0": ', '"1.1.0": {} # '
        )
    )
    result = run(
        "--rate",
        "3333",
        "--p95-ms",
        "200",
        "--model",
        "churn",
        "--config",
        str(path),
        "--overhead-ms",
        "0.4",
    )
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
    ("", "", ["--p95-ms", "0.1"], "churn 1.0.0: --p95-ms: found 0.1, expected more than "),
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
