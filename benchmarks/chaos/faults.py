"""Everything that breaks, in the order in which it is tried."""

import copy
import json
import os
import random
import signal
import time
import urllib.request
from functools import partial
from pathlib import Path

from benchmarks.chaos import clients, disks
from benchmarks.chaos.config import CANDIDATE, MISSING, SPARE, table_of
from benchmarks.chaos.fault import Act, Fault, Stage
from benchmarks.chaos.store import Way
from benchmarks.errors import BenchmarkError, Skipped

FOR_S = 10.0
FAST = ("fast",)
PLAIN = ("plain",)
ISOLATED = ("isolated",)
MIXED_PARTS = ("server", "coordinator", "controller", "server", "isolated", "manager", "haproxy")
MIXED_PAUSE_S = 3.0
SEED = 11
# Of what is accepted under overload.
MOST_P99_MS = 500.0
# Of all processes together, over a soak: Ray's own among them.
MOST_GROWTH_PERCENT = 10.0


def _kill(part: str) -> Act:
    def act(stage: Stage) -> str:
        stage.served.kill(part)
        return ""

    return act


def _kill_up(stage: Stage) -> str:
    stage.served.program.kill_leader()
    return ""


def _stop(stage: Stage) -> str:
    stage.served.signal("server", signal.SIGSTOP)
    return ""


def _continue(stage: Stage) -> str:
    """All of them: which one is the oldest may have changed."""
    for pid in stage.served.pids("server"):
        os.kill(pid, signal.SIGCONT)
    return ""


def _fill(name: str, then: Act) -> Act:
    def act(stage: Stage) -> str:
        disks.require()
        disks.fill(stage.served.place.folder / name)
        return then(stage)

    return act


def _empty(name: str, then: Act) -> Act:
    def act(stage: Stage) -> str:
        disks.empty(stage.served.place.folder / name)
        return then(stage)

    return act


def _command(action: str, stage: Stage) -> str:
    """A person's command, which the coordinator writes to its log."""
    body = json.dumps({"by": "chaos", "reason": "the disk is full"}).encode()
    request = urllib.request.Request(
        f"{stage.served.url}/v1/rollout/{action}", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"`{action}` answered {answer.status}"
    except OSError as error:
        return f"`{action}`: {error}"


def _store(way: Way) -> Act:
    """The store changes its ways, and a new replica has to open the versions meanwhile."""

    def act(stage: Stage) -> str:
        assert stage.store is not None
        stage.store.way = way
        if way != "pass":
            stage.served.kill("server")
        return ""

    return act


def _bundle(stage: Stage) -> Path:
    folder = stage.served.place.folder / "store" / "churn" / CANDIDATE
    return max(folder.iterdir(), key=lambda path: path.stat().st_size)


def _corrupt(stage: Stage) -> str:
    """Turn a bit of the candidate's largest file, and let a new replica open it."""
    path = _bundle(stage)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    stage.served.kill("server")
    return ""


def _mend(stage: Stage) -> str:
    path = _bundle(stage)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return ""


def _deploy_table(**changes: object) -> Act:
    """Deploy the file with another table."""

    def act(stage: Stage) -> str:
        config = copy.deepcopy(stage.served.config)
        table_of(config).update(changes)
        return stage.deploy(config)

    return act


def _deploy_version(version: str) -> Act:
    """Deploy the file with one version more."""

    def act(stage: Stage) -> str:
        config = copy.deepcopy(stage.served.config)
        table_of(config)["versions"][version] = {}
        return stage.deploy(config)

    return act


def _deploy_no_file(stage: Stage) -> str:
    return stage.deploy({"applications": [{"name": "churn", "import_path": 7}]})


def _deploy_file(stage: Stage) -> str:
    stage.deploy(stage.served.config)
    return ""


def _redeploy_all(stage: Stage) -> str:
    """What Ray reserves changes, so that every replica is replaced."""
    for application in stage.served.config["applications"]:
        for deployment in application["deployments"]:
            deployment["ray_actor_options"]["num_cpus"] += 0.01
    return stage.deploy(stage.served.config)


def _overload(n_rows: int) -> Act:
    def act(stage: Stage) -> str:
        try:
            story, sample = clients.overload(stage.served.url, stage.question, n_rows, FOR_S)
        except BenchmarkError as error:
            raise Skipped(str(error)) from None
        # The steady load is a Python program: without a core of its own it measures itself.
        stage.samples.append(sample)
        return story

    return act


def _slow_clients(stage: Stage) -> str:
    clients.in_background(clients.wait_half_sent, stage.served.url, FOR_S)
    return ""


def _leaving_clients(stage: Stage) -> str:
    clients.in_background(clients.leave, stage.served.url, FOR_S)
    return ""


def _mixed(stage: Stage) -> str:
    """Several things die, one every three seconds, in an order that is the same each time."""
    parts = list(MIXED_PARTS)
    random.Random(SEED).shuffle(parts)
    killed = []
    for part in parts:
        if stage.served.pids(part):
            stage.served.kill(part)
            killed.append(part)
            time.sleep(MIXED_PAUSE_S)
    return "killed: " + ", ".join(killed)


FAULTS: tuple[Fault, ...] = (
    Fault("nothing", "nothing", lambda _: "", most_growth_percent=MOST_GROWTH_PERCENT),
    Fault("server", "a server replica killed", _kill("server")),
    Fault("isolated", "an isolated replica killed", _kill("isolated"), placements=ISOLATED),
    Fault("coordinator", "the coordinator killed", _kill("coordinator")),
    Fault("haproxy", "HAProxy killed", _kill("haproxy"), modes=FAST, most_recovery_s=6.0),
    Fault("manager", "HAProxy's manager killed", _kill("manager"), modes=FAST, most_recovery_s=6.0),
    Fault("fallback", "the fallback proxy killed", _kill("proxy"), modes=FAST),
    Fault("proxy", "the proxy killed", _kill("proxy"), modes=PLAIN),
    Fault("controller", "the controller killed", _kill("controller")),
    Fault(
        "stopped",
        "a server replica stopped for 10 s",
        _stop,
        _continue,
        FOR_S,
    ),
    Fault(
        "logs-full",
        "the logs' disk full for 10 s, a replica killed",
        _fill("ray", _kill("server")),
        _empty("ray", lambda _: ""),
        FOR_S,
        needs=("disks",),
    ),
    Fault(
        "state-full",
        "the rollout log's disk full for 10 s, a command given",
        _fill("state", partial(_command, "pause")),
        _empty("state", partial(_command, "resume")),
        FOR_S,
        needs=("disks",),
    ),
    Fault(
        "cache-full",
        "the cache's disk full for 10 s, a version added",
        _fill("cache", _deploy_version(SPARE)),
        _empty("cache", _deploy_file),
        FOR_S,
        needs=("disks", "store"),
    ),
    Fault(
        "store-away",
        "the store away for 10 s, a replica killed",
        _store("away"),
        _store("pass"),
        FOR_S,
        needs=("store",),
    ),
    Fault(
        "store-slow",
        "the store slow for 10 s, a replica killed",
        _store("slow"),
        _store("pass"),
        FOR_S,
        needs=("store",),
    ),
    Fault(
        "store-silent",
        "the store silent for 10 s, a replica killed",
        _store("silent"),
        _store("pass"),
        FOR_S,
        needs=("store",),
    ),
    Fault(
        "corrupt",
        "the candidate's bundle corrupt for 10 s, a replica killed",
        _corrupt,
        _mend,
        FOR_S,
    ),
    Fault(
        "broken-table",
        "a table deployed whose stable version is missing",
        _deploy_table(stable=MISSING, rollout=None),
        _deploy_file,
        FOR_S,
    ),
    Fault(
        "broken-version",
        "a version deployed that is missing",
        _deploy_version(MISSING),
        _deploy_file,
        FOR_S,
    ),
    Fault("broken-file", "a file deployed that is none", _deploy_no_file, _deploy_file, FOR_S),
    Fault("redeploy", "all replicas replaced", _redeploy_all),
    Fault(
        "overload",
        "overload by batches for 10 s",
        _overload(100),
        lasts_s=FOR_S,
        may_shed=True,
        most_p99_ms=MOST_P99_MS,
    ),
    Fault(
        "overload-rows",
        "overload by single rows for 10 s",
        _overload(1),
        lasts_s=FOR_S,
        may_shed=True,
        most_p99_ms=MOST_P99_MS,
    ),
    Fault("slow-clients", "500 clients that send half a request", _slow_clients, lasts_s=FOR_S),
    # More than plain mode can answer: some are told to come again.
    Fault(
        "leaving-clients",
        "100 clients a second that leave",
        _leaving_clients,
        lasts_s=FOR_S,
        may_shed=True,
    ),
    Fault("mixed", "one part after another killed", _mixed, lasts_s=20.0),
    Fault("raylet", "the raylet killed", _kill("raylet"), ends_server=True, most_recovery_s=60.0),
    Fault("gcs", "the GCS killed", _kill("gcs"), ends_server=True, most_recovery_s=60.0),
    Fault("up", "`sluice up` killed", _kill_up, ends_server=True, most_recovery_s=60.0),
)
# What the short form breaks.
SHORT = ("server", "haproxy", "proxy", "up")
