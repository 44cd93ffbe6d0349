"""One container that serves: hardened, told to end, without a model."""

import http.client
import json
import threading
import time
from collections import Counter

from container import HARDENED, MODELS, ROW, Container, running, wait_until
from engine import ROOT, Engine

from serve_app.models import get_spec

ORDER = json.dumps(get_spec("delivery_time").examples[0].row.model_dump()).encode()
# Python's own library has .pyc files: where the base leaves them out, nobody else may write them.
IS_COMPILED = "import asyncio, os; os.stat(asyncio.__cached__)"
# As the laptop's test looks at ports, here in the container: who listens where, and what a stranger
# without a token is told there.
LISTENS = (ROOT / "tests/support/listening.py").read_text()
ANSWERS = """
import json, os, grpc

def answer(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
        try:
            call(b"", timeout=30)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"

pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
found = listeners(pids)
inside = [one for one in found if one.is_for_this_machine]
outside = [one for one in found if not one.is_for_this_machine]
print(json.dumps({
    "outside": [(one.program, one.port, one.port == 8000 or answer(one.port)) for one in outside],
    "inside": by_program(inside),
    "unexpected": sorted(one.program for one in unexpected(found)),
}))
"""
# On two cores that have nothing else to do.
USUALLY_READY_S = 15.0
SETTLE_S = 10.0
IDLE_S = 90.0
MOST_GROWN_BYTES = 100_000


def hardened(engine: Engine) -> str:
    """Ready, healthy and right, with a read-only root, an unknown user, no capabilities."""
    with running(
        engine, "sluice:serve", *HARDENED, "--cpus", "2", *MODELS, "--healthcheck"
    ) as container:
        ready_s = container.until_ready()
        assert container.predict()["label"] == "Churned"
        assert container.predict(ORDER, "/delivery-time")["delivery_minutes"] > 5
        if engine.program == "podman":
            engine.call("healthcheck", "run", container.name)
        engine.call("exec", container.name, "python", "-c", IS_COMPILED)
        said = engine.call("exec", container.name, "sluice", "ready")
        assert said.count(": ready (") == 2, said
        words = ("--no-stream", "--format", "{{.MemUsage}}", container.name)
        stats = engine.call("stats", *words).split("/")[0].strip()
    return f"ready after {ready_s:.1f} s (usually below {USUALLY_READY_S:g} s), {stats} in use"


def drained(engine: Engine) -> str:
    """Told to end, it is not ready at once, answers what is under way and comes, exit code 0."""
    with running(engine, "sluice:serve", *HARDENED, *MODELS, "--stop-timeout", 60) as container:
        container.until_ready()
        statuses: Counter[int | str] = Counter()
        unready = threading.Event()
        load = threading.Thread(target=_ask_until, args=(container, unready, statuses))
        load.start()
        half = _half_sent(container)
        stop = threading.Thread(target=engine.call, args=("stop", container.name))
        told_s = time.monotonic()
        stop.start()
        wait_until(lambda: container.get("/ready") == 503, 10, "not ready")
        unready_s = time.monotonic() - told_s
        time.sleep(1)
        unready.set()
        half.send(ROW[10:])
        under_way = half.getresponse().status
        load.join(30)
        stop.join(90)
        code = container.ended()
        assert under_way == 200, under_way
        assert set(statuses) == {200}, statuses
        assert code == 0, container.logs()[-2000:]
    return (
        f"not ready after {unready_s:.1f} s, the request under way 200, {statuses.total()} others, "
        "0 failed, exit 0"
    )


def _half_sent(container: Container) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", container.port, timeout=30)
    connection.putrequest("POST", "/v1/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(ROW)))
    connection.endheaders(ROW[:10])
    time.sleep(0.5)
    return connection


def _ask_until(container: Container, stop: threading.Event, statuses: Counter[int | str]) -> None:
    while not stop.is_set():
        try:
            statuses[200 if container.predict()["label"] == "Churned" else "another answer"] += 1
        except OSError as error:
            statuses[repr(error)] += 1
        time.sleep(0.01)


def logged(engine: Engine) -> str:
    """A line for a request, as JSON, in what `docker logs` shows, for a user that is not root."""
    more = ("-e", "SLUICE_LOG_REQUESTS=1")
    with running(engine, "sluice:serve", *HARDENED, *MODELS, *more) as container:
        container.until_ready()
        container.predict()

        def lines() -> list[dict[str, object]]:
            said = container.logs().splitlines()
            found = [json.loads(line) for line in said if line.startswith("{")]
            return [line for line in found if line.get("outcome") == "answered"]

        [line] = wait_until(lines, 30, f"a line of the request in {container.logs()[-2000:]}")
    assert (line["model"], line["n_rows"]) == ("churn", 1), line
    assert line["request_id"], line
    return "the request's line is on standard output"


def quiet(engine: Engine) -> str:
    """Idle, it hardly writes: Ray's statistics alone, once a minute, are 200 KB in this time."""
    with running(engine, "sluice:serve", *HARDENED, *MODELS) as container:
        container.until_ready()
        time.sleep(SETTLE_S)

        def n_bytes() -> int:
            return int(engine.call("exec", container.name, "du", "-sb", "/tmp").split()[0])

        before = n_bytes()
        time.sleep(IDLE_S)
        grown = n_bytes() - before
    assert grown < MOST_GROWN_BYTES, f"/tmp: found {grown / 1e3:.0f} KB more in {IDLE_S:g} s"
    return f"/tmp: {grown / 1e3:.0f} KB more in {IDLE_S:g} s"


def ports(engine: Engine) -> str:
    """From outside of the container: the entrance, and ports of replicas that ask for a token; and
    on the loopback, of which the report says all, those of HAProxy and Ray alone.
    """
    with running(engine, "sluice:serve", *HARDENED, *MODELS) as container:
        container.until_ready()
        said = engine.call("exec", container.name, "python", "-c", LISTENS + ANSWERS)
        every = json.loads(said.splitlines()[-1])
    found = every["outside"]
    inside = every["inside"]
    entrance = {program for program, port, _ in found if port == 8000}
    replicas = [one for one in found if one[1] != 8000]
    assert entrance == {"haproxy"}, found
    assert all("ServeReplica" in program for program, *_ in replicas), found
    assert {answer for *_, answer in replicas} == {"UNAUTHENTICATED"}, found
    assert {"raylet", "gcs_server"} <= set(inside), inside
    assert every["unexpected"] == [], every
    listed = ", ".join(f"{program} {n}" for program, n in inside.items())
    return (
        f"8000 is haproxy's; {len(replicas)} ports of replicas ask for a token; no others; on the "
        f"loopback {sum(inside.values())} ports: {listed}"
    )


def without_a_model(engine: Engine) -> str:
    """No store: it ends with a sentence that says what to do, and not with exit code 0."""
    with running(engine, "sluice:serve", *HARDENED) as container:
        assert container.ended() == 1
        assert "not found; expected the bundle of churn 1.0.0" in container.logs(), container.logs()
    return "refused in words"


def without_keys(engine: Engine) -> str:
    """As the image is: it listens on every address, so without a key file it refuses to start."""
    as_it_is = ("-e", "KEYS_PATH=/keys/keys.yaml")
    with running(engine, "sluice:serve", *HARDENED, *MODELS, *as_it_is) as container:
        assert container.ended() == 1
        assert "/keys/keys.yaml: cannot be read" in container.logs(), container.logs()
    return "refused in words"
