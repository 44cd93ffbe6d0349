"""A network of a test's own on this machine: namespaces on a bridge, each a node as KubeRay would
start it.

The nodes share this machine's disk, CPUs and process table; each has its own addresses and ports,
and its own folders where a pod has its own `/tmp`. The thread that opened the network is moved onto
its bridge, as a gateway would be.
"""

import ctypes
import itertools
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from harness import (
    AUTHORIZED,
    BIN,
    FRUGAL,
    LEAN,
    PATIENCE_S,
    PATIENT,
    ROOT,
    TOKEN,
    applications_at,
    one_at_a_time,
    running_replicas,
    wait_until,
)
from program import Program

NETWORK = "10.213.77"
GATEWAY = f"{NETWORK}.1"
CLONE_NEWNET = 0x40000000
# What the image's processes write to, besides HOME.
OWN_FOLDERS = ("/tmp/ray", "/tmp/haproxy-serve", "/tmp/bundles")
# What KubeRay adds to a container's environment.
DERIVED = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
    "RAY_TIMEOUT_MS_TASK_WAIT_FOR_DEATH_INFO": "0",
    "RAY_GCS_SERVER_REQUEST_TIMEOUT_SECONDS": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
}


def require_network() -> None:
    """Skip the tests that cannot be run here, with the reason."""
    if os.getuid() != 0:
        pytest.skip("nodes in network namespaces need root")
    try:
        probe = subprocess.run(["ip", "netns", "add", "sl-probe"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `ip` here: apt-get install iproute2")
    subprocess.run(["ip", "netns", "del", "sl-probe"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no network namespaces here: {probe.stderr.decode().strip()}")


@dataclass
class Node:
    """A pod of the cluster, or what is left of it."""

    ip: str
    program: Program
    log: Path

    @property
    def url(self) -> str:
        """Where its proxy answers."""
        return f"http://{self.ip}:8000"

    def is_ready(self) -> bool:
        """What the readiness probe of the manifest asks."""
        try:
            return requests.get(f"{self.url}/-/healthz", timeout=10).ok
        except requests.RequestException:
            return False

    def drain(self) -> None:
        """What kubelet does to a pod that has to go: SIGTERM to its first process."""
        self.program.signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Whether its first process is gone."""
        return self.program.code() is not None

    def kill(self) -> None:
        """End all its processes at once."""
        self.program.end()


class Lan:
    """The bridge, and the nodes on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: list[Node] = []
        self._names: list[str] = []
        self._bridge = self._namespace()
        self._number = itertools.count(2)
        self._inside("ip link set lo up", self._bridge)
        self._inside(
            "ip link add br0 type bridge && ip link set br0 up "
            f"&& ip addr add {GATEWAY}/24 dev br0",
            self._bridge,
        )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and what it starts, stand on the bridge."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(descriptor: int) -> None:
            if libc.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._bridge}", os.O_RDONLY)
        try:
            enter(there)
            yield
        finally:
            enter(before)
            os.close(there)
            os.close(before)

    def start(self, container: Mapping[str, Any], command: str, env: Mapping[str, str]) -> Node:
        """A node with the environment of a container of the manifest, started by this `ray start
        …`.
        """
        number = next(self._number)
        ip, name = f"{NETWORK}.{number}", self._namespace()
        self._inside(f"ip link add v{number} type veth peer name eth0 netns {name}", self._bridge)
        self._inside(f"ip link set v{number} master br0 up", self._bridge)
        self._inside(
            f"ip link set lo up && ip addr add {ip}/24 dev eth0 && ip link set eth0 up", name
        )
        folder = self._folder / name
        mounts = ""
        # `ip netns exec` gives the node a mount table of its own.
        for path in OWN_FOLDERS:
            own = folder / path.removeprefix("/")
            own.mkdir(parents=True)
            mounts += f"mkdir -p {path} && mount --bind {own} {path} && "
        log = folder / "ray.log"
        given = {item["name"]: item["value"] for item in container["env"]}
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("RAY_", "AWS_", "MODEL_PATH"))
        }
        own_env = {
            "HOME": str(folder),
            # The stand-ins of tests are opened by their modules' names.
            "PYTHONPATH": os.pathsep.join((str(LEAN), str(ROOT), str(ROOT / "tests/support"))),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        script = f"{mounts} exec {command.format(ip=ip)}"
        program = Program(
            ["ip", "netns", "exec", name, "bash", "-ec", script],
            log,
            {**clean, **PATIENT, **FRUGAL, **DERIVED, **given, **env, **own_env},
            folder,
        )
        node = Node(ip, program, log)
        self._nodes.append(node)
        return node

    def close(self) -> None:
        """End what runs, and take the network away."""
        for node in self._nodes:
            node.kill()
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def _namespace(self) -> str:
        name = f"sl{os.getpid()}-{len(self._names)}"
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        self._names.append(name)
        return name

    def _inside(self, command: str, name: str) -> None:
        done = subprocess.run(
            ["ip", "netns", "exec", name, "bash", "-ec", command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def places() -> dict[str, str]:
    """MODEL_PATH and STATE_PATH as production has them, from its ConfigMap's one place."""
    text = (ROOT / "k8s/overlays/mine/kustomization.yaml").read_text()
    (made,) = yaml.safe_load(text)["configMapGenerator"]
    return dict(line.split("=", 1) for line in made["literals"])


class KubeRay:
    """What the operator does with a RayService: pods by its groups, and its `serveConfigV2` sent to
    the head.
    """

    def __init__(self, lan: Lan, manifest: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._lan = lan
        self._secrets = dict(secrets)
        cluster = manifest["spec"]["rayClusterConfig"]
        self._head_group = cluster["headGroupSpec"]
        (self._worker_group,) = cluster["workerGroupSpecs"]
        self.config: str = manifest["spec"]["serveConfigV2"]
        self._workers: list[Node] = []
        with one_at_a_time():
            self.head = self._start_head()
            wait_until(self._has_head, f"the head, see {self.head.log}")

    def _start_head(self) -> Node:
        return self._start(self._head_group, "ray start --head --port=6379", {})

    def _has_head(self) -> bool:
        # Ray gives up a start by itself after 30 s; as the operator does, another takes its place.
        if self.head.has_ended():
            self.head = self._start_head()
        return self.applications() is not None

    @property
    def _api(self) -> str:
        return f"http://{self.head.ip}:8265/api/serve/applications/"

    @property
    def workers(self) -> list[Node]:
        """The pods of the worker group that are still there."""
        return [node for node in self._workers if not node.has_ended()]

    def need_workers(self, n: int) -> None:
        """Add pods to the worker group until there are n, and wait until the cluster has them."""
        with one_at_a_time():
            wait_until(lambda: self._has_workers(n), f"{n} workers, see {self.head.log}")

    def _has_workers(self, n: int) -> bool:
        address = f"{self.head.ip}:6379"
        command = f"ray start --address={address}"
        # One that gave up its start has ended, and is replaced.
        while len(self.workers) < n:
            node = self._start(self._worker_group, command, {"RAY_ADDRESS": address})
            self._workers.append(node)
        return all(self._has(node) for node in self.workers)

    def apply(self, config: str) -> None:
        """`serveConfigV2` as the operator sends it: YAML to JSON, with the token."""
        body = yaml.safe_load(config)
        answer = requests.put(self._api, json=body, headers=AUTHORIZED, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text

    def applications(self) -> Any:
        """What Serve says of its applications."""
        return applications_at(self._api)

    def replicas(self, application: str = "churn") -> list[dict[str, Any]]:
        """The running replicas of its servers."""
        return running_replicas(self.applications(), application, "Server")

    def _has(self, node: Node) -> bool:
        url = f"http://{self.head.ip}:8265/api/v0/nodes"
        answer = requests.get(url, headers=AUTHORIZED, timeout=10)
        answer.raise_for_status()
        found = answer.json()["data"]["result"]["result"]
        return any(it["node_ip"] == node.ip and it["state"] == "ALIVE" for it in found)

    def asks_for_a_token(self) -> bool:
        """Whether the dashboard refuses who has none."""
        return requests.get(self._api, timeout=10).status_code == 401

    def until_running(self) -> None:
        """All applications up, and a proxy on each living worker."""

        def running() -> bool:
            return {app["status"] for app in self.applications().values()} == {"RUNNING"}

        wait_until(running, f"applications, see {self.head.log}")
        wait_until(lambda: all(node.is_ready() for node in self.workers), "a proxy on each worker")

    def _start(self, group: Mapping[str, Any], command: str, env: Mapping[str, str]) -> Node:
        container = group["template"]["spec"]["containers"][0]
        limits = container["resources"]["limits"]
        flags = {
            "num-cpus": str(limits["cpu"]),
            "memory": str(int(limits["memory"].removesuffix("Gi")) << 30),
        }
        flags |= {"dashboard-agent-listen-port": "52365"} | group["rayStartParams"]
        words = " ".join(f"--{name}={value}" for name, value in flags.items())
        start = f"{command} {words} --node-ip-address={{ip}} --object-store-memory=80000000 --block"
        return self._lan.start(container, start, {**self._secrets, **env})


@contextmanager
def opened(folder: Path) -> Iterator[Lan]:
    """A network for a `with` block, with this thread inside."""
    require_network()
    lan = Lan(folder)
    try:
        with lan.entered():
            yield lan
    finally:
        lan.close()
