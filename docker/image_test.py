"""`make image-test`: build the image's targets for real and run them as production would.

    python docker/image_test.py [--only NAME ...]

A program with a report. It needs a Docker daemon, or root and `../shared/tools/container_build.sh`
(podman, on Debian). With neither it says so and checks nothing. Exit code 1 when a check fails.
"""

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import joblib
import yaml
from engine import (
    HARDENED,
    ROOT,
    SCRIPT,
    Container,
    Engine,
    find_engine,
    free_port,
    running,
    wait_until,
)

from serve_app.commands.cluster_config import for_cluster
from serve_app.models import get_spec

# Compressed.
MOST_MB = {"serve": 170, "sklearn": 200}
READY_S = 15.0
ROW = json.dumps(get_spec("churn").examples[0].row.model_dump()).encode()
ORDER = json.dumps(get_spec("delivery_time").examples[0].row.model_dump()).encode()
STORE = ROOT / "model_store"
MODELS = ("-v", f"{STORE}:/models:ro")
TOKEN = "t" * 64


def predict(url: str, body: bytes = ROW, prefix: str = "") -> dict[str, Any]:
    """Ask for one prediction."""
    request = urllib.request.Request(
        f"{url}{prefix}/v1/predict", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def built_as_it_is(engine: Engine) -> str:
    """The unchanged Dockerfile by the script: build, hardened run, probe, stop, exit code 0."""
    if engine.program != "podman":
        engine.build("serve")
        return "by Docker"
    curl = f"curl -fsS -H 'Content-Type: application/json' -d '{ROW.decode()}'"
    probe = f"{curl} http://127.0.0.1:$PORT/v1/predict"
    env = {
        **os.environ,
        "HEALTH": "/ready",
        "TAG": "sluice:serve",
        "PROBE": probe,
        "PORT": str(free_port()),
    }
    with context() as folder:
        command = ["bash", SCRIPT, folder, *MODELS]
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=1800, check=False
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert '"label":"Churned"' in done.stdout, done.stdout
    return "; ".join(
        line.removeprefix("== ")
        for line in done.stderr.splitlines()
        if "healthy" in line or "exit" in line
    )


@contextmanager
def context() -> Iterator[Path]:
    """What git would send: the script has no .dockerignore of its own to rely on."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with tempfile.TemporaryDirectory() as name:
        for file in filter(lambda file: (ROOT / file).is_file(), files.stdout.splitlines()):
            (Path(name) / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, Path(name) / file)
        yield Path(name)


def sizes(engine: Engine) -> str:
    """What a pull transfers, by target.

    `sklearn` over its mark is told and does not fail, since zstd brings it under.
    """
    found = {
        target: engine.gzip_mb(engine.build(target))
        for target in ("serve", "sklearn", "boosters", "train")
    }
    assert found["serve"] <= MOST_MB["serve"], found
    over = [
        f"{target} is over {most} MB" for target, most in MOST_MB.items() if found[target] > most
    ]
    return ", ".join([f"{target} {mb:.0f} MB" for target, mb in found.items()] + over) + " (gzip)"


def hardened(engine: Engine) -> str:
    """Ready in time, healthy and right, with a read-only root, an unknown user, no capabilities."""
    with running(
        engine, "sluice:serve", *HARDENED, "--cpus", "2", *MODELS, "--healthcheck"
    ) as container:
        ready_s = container.until_ready()
        assert predict(container.url)["label"] == "Churned"
        assert predict(container.url, ORDER, "/delivery-time")["delivery_minutes"] > 5
        if engine.program == "podman":
            engine.call("healthcheck", "run", container.name)
        words = ("--no-stream", "--format", "{{.MemUsage}}", container.name)
        stats = engine.call("stats", *words).split("/")[0].strip()
    assert ready_s <= READY_S, f"ready after {ready_s:.1f} s, expected {READY_S:g} s"
    return f"ready after {ready_s:.1f} s, {stats} in use"


def drained(engine: Engine) -> str:
    """Told to end, it is not ready at once, answers what is under way and comes, exit code 0."""
    with running(engine, "sluice:serve", *HARDENED, *MODELS) as container:
        container.until_ready()
        statuses: Counter[int | str] = Counter()
        unready = threading.Event()
        load = threading.Thread(target=_ask_until, args=(container, unready, statuses))
        load.start()
        half = _half_sent(container)
        stop = threading.Thread(target=engine.call, args=("stop", "-t", 60, container.name))
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
            statuses[200 if predict(container.url)["label"] == "Churned" else "another answer"] += 1
        except OSError as error:
            statuses[repr(error)] += 1
        time.sleep(0.01)


def without_a_model(engine: Engine) -> str:
    """No store: it ends with a sentence that says what to do, and not with exit code 0."""
    with running(engine, "sluice:serve", *HARDENED) as container:
        assert container.ended() == 1
        assert "not found; expected the bundle of churn 1.0.0" in container.logs(), container.logs()
    return "refused in words"


def uncompiled(engine: Engine) -> str:
    """An uncompiled bundle: the slim image names the target, and that one serves it."""
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store"
        shutil.copytree(STORE, store)
        folder = store / "churn" / "1.0.0"
        manifest = json.loads((folder / "manifest.json").read_text()) | {"runtime": "sklearn"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert joblib.load(folder / "pipeline.joblib") is not None
        for path in (Path(name), *Path(name).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        options = (*HARDENED, "-v", f"{store}:/models:ro")
        with running(engine, "sluice:serve", *options) as container:
            wait_until(
                lambda: "--target sklearn" in container.logs(),
                60,
                "the sentence that names the target",
            )
        with running(engine, engine.build("sklearn"), *options) as container:
            container.until_ready()
            assert predict(container.url)["label"] == "Churned"
    return "refused by serve with the target's name, served by sklearn"


# Each library predicts, without what was taken out; the system has what LightGBM asks for.
BOOSTERS = """
import catboost, lightgbm, numpy, pandas, xgboost
import shop.contracts, tomli_w
rows = pandas.DataFrame({"n": numpy.arange(200.0)})
text = pandas.DataFrame({"n": rows.n, "c": ["a", "b"] * 100})
y = rows.n > 100
quiet = {"verbose": 0, "allow_writing_files": False, "cat_features": ["c"]}
for model, x in (
    (lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), rows),
    (xgboost.XGBClassifier(n_estimators=5), rows),
    (catboost.CatBoostClassifier(iterations=5, **quiet), text),
):
    assert model.fit(x, y).predict_proba(x)[-1, 1] > 0.5, model
print(shop.contracts.GREETING)
"""


def boosters(engine: Engine) -> str:
    """LightGBM, XGBoost and CatBoost predict, beside a package and requirements of the user's."""
    with context() as folder:
        shop = folder / "shop"
        shop.mkdir()
        (shop / "__init__.py").touch()
        (shop / "contracts.py").write_text("GREETING = 'the shop is open'\n")
        (shop / "requirements.txt").write_text("tomli-w\n")
        given = ("REQUIREMENTS=shop/requirements.txt", "PACKAGES=shop")
        options = [word for argument in given for word in ("--build-arg", argument)]
        tag = engine.build("boosters", *options, context=folder, tag="sluice:shop")
    words = ("--entrypoint", "python", tag, "-W", "ignore", "-c", BOOSTERS)
    said = engine.call("run", "--rm", *HARDENED, *words)
    assert "the shop is open" in said, said
    return "three libraries predict, a package and a requirement of the user's are there"


def training(engine: Engine) -> str:
    """The last target trains a version into a mounted store."""
    tag = engine.build("train")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        words = ("delivery_time", "--version", "1.2.0", "--store", "/models")
        engine.call("run", "--rm", *HARDENED, "-v", f"{name}:/models", tag, *words, timeout_s=300)
        files = {path.name for path in (Path(name) / "delivery_time" / "1.2.0").iterdir()}
    assert {"manifest.json", "model.onnx", "report.html"} <= files
    return "delivery_time 1.2.0 written"


def cluster(engine: Engine) -> str:
    """A head without CPUs and a worker in the fast mode: deployed; the worker killed, replaced.

    Each node sets the fast mode's variables by what `sluice env` prints.
    """
    network = f"sluice-{free_port()}"
    subnet = f"10.89.{free_port() % 200 + 20}"
    auth = ("-e", "RAY_AUTH_MODE=token", "-e", f"RAY_AUTH_TOKEN={TOKEN}", "--entrypoint", "bash")
    engine.call("network", "create", "--subnet", f"{subnet}.0/24", network)
    try:
        with ExitStack() as stack:

            def node(ip: str, start: str) -> Container:
                options = (*HARDENED, *MODELS, *auth, "--network", network, "--ip", ip)
                # A login shell, as KubeRay starts it.
                command = ("-lc", f'eval "$(sluice env)" && exec ray start {start} --block')
                return stack.enter_context(
                    running(engine, "sluice:serve", *options, command=command)
                )

            ports = "--port=6379 --dashboard-host=0.0.0.0"
            head = node(f"{subnet}.2", f"--head {ports} --num-cpus=0 --node-ip-address={subnet}.2")
            address = f"--address={subnet}.2:6379 --num-cpus=4"
            wait_until(lambda: "Ray runtime started" in head.logs(), 90, "the head")
            worker = node(f"{subnet}.3", f"{address} --node-ip-address={subnet}.3")
            shipped = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
            config = yaml.safe_dump(for_cluster(shipped))
            write = f"cat > /tmp/config.yaml <<'E'\n{config}\nE\nserve deploy /tmp/config.yaml"

            def deployed() -> bool:
                said = engine.call("exec", head.name, "bash", "-lc", write, check=False)
                return "Sent deploy" in said

            wait_until(deployed, 90, "deploy")
            first_s = worker.until_ready()
            assert predict(worker.url)["label"] == "Churned"
            engine.call("kill", worker.name)
            second = node(f"{subnet}.4", f"{address} --node-ip-address={subnet}.4")
            second_s = second.until_ready()
            assert predict(second.url)["label"] == "Churned"
    finally:
        engine.call("network", "rm", "-f", network, check=False)
    return (
        f"first worker ready {first_s:.0f} s after deploy, the one in its place after "
        f"{second_s:.0f} s"
    )


CHECKS: tuple[Callable[[Engine], str], ...] = (
    built_as_it_is,
    hardened,
    drained,
    without_a_model,
    uncompiled,
    boosters,
    training,
    cluster,
    sizes,
)


def main() -> int:
    """Run the checks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="*", help="these checks alone")
    only = parser.parse_args().only
    engine = find_engine()
    if engine is None:
        say(
            "no Docker daemon, and no root with container_build.sh: nothing was built, nothing "
            "was checked"
        )
        return 0
    say(f"by {engine.program}")
    failed = 0
    for check in CHECKS:
        if only and check.__name__ not in only:
            continue
        start_s = time.monotonic()
        word = "ok    "
        try:
            found = check(engine)
        except AssertionError as error:
            found = str(error)
            word = "FAILED"
            failed += 1
        name = check.__name__.replace("_", " ")
        say(f"{word} {name:16} {time.monotonic() - start_s:4.0f} s  {found}")
    return 1 if failed else 0


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
