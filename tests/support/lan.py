"""A network of one's own on this machine: namespaces on a bridge, each a node as KubeRay would start it.

The nodes share this machine's disk, CPUs and process table; each has its own addresses and ports, and its own folders
where a pod has its own `/tmp`. The thread that opened the network is moved onto its bridge, as a gateway would be.
"""

import ctypes
import itertools
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from harness import BIN, ROOT, end_session, wait_until

NETWORK = "10.213.77"
GATEWAY = f"{NETWORK}.1"
TOKEN = "t" * 64
CLONE_NEWNET = 0x40000000
OWN_FOLDERS = (
    "/tmp/ray",
    "/tmp/haproxy-serve",
    "/tmp/bundles",
)  # what the image's processes write to, besides HOME
DERIVED = {  # what KubeRay adds to a container's environment
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
    process: "subprocess.Popen[Any]"
    log: Path

    @property
    def url(self) -> str:
        """Where its proxy answers."""
        return f"http://{self.ip}:8000"

    def is_ready(self) -> bool:
        """What the readiness probe of the manifest asks."""
        try:
            return requests.get(f"{self.url}/-/healthz", timeout=3).ok
        except requests.RequestException:
            return False

    def drain(self) -> None:
        """What kubelet does to a pod that shall go: SIGTERM to its first process."""
        os.kill(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """All its processes at once."""
        end_session(self.process)


class Lan:
    """The bridge, and the nodes on it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._nodes = folder, dict[str, Node]()
        self._names: list[str] = []
        self._bridge = self._namespace()
        self._number = itertools.count(2)
        self._inside("ip link set lo up", self._bridge)
        self._inside(
            f"ip link add br0 type bridge && ip addr add {GATEWAY}/24 dev br0 && ip link set br0 up",
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
        """A node with the environment of a container of the manifest, started by this `ray start …`."""
        number = next(self._number)
        ip, name = f"{NETWORK}.{number}", self._namespace()
        self._inside(f"ip link add v{number} type veth peer name eth0 netns {name}", self._bridge)
        self._inside(f"ip link set v{number} master br0 up", self._bridge)
        self._inside(
            f"ip link set lo up && ip addr add {ip}/24 dev eth0 && ip link set eth0 up", name
        )
        folder = self._folder / name
        mounts = ""
        for path in OWN_FOLDERS:  # `ip netns exec` has given the node a mount table of its own
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
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    "ip",
                    "netns",
                    "exec",
                    name,
                    "bash",
                    "-ec",
                    f"{mounts} exec {command.format(ip=ip)}",
                ],
                env={
                    **clean,
                    **DERIVED,
                    **given,
                    **env,
                    "HOME": str(folder),
                    "PYTHONPATH": str(ROOT),
                    "PATH": f"{BIN}:{os.environ['PATH']}",
                },
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._nodes[name] = node = Node(ip, process, log)
        return node

    def close(self) -> None:
        """End what runs, and take the network away."""
        for node in self._nodes.values():
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


class KubeRay:
    """What the operator does with a RayService: pods by its groups, and its `serveConfigV2` sent to the head."""

    def __init__(self, lan: Lan, manifest: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.manifest, self._lan, self._secrets = manifest, lan, dict(secrets)
        cluster = manifest["spec"]["rayClusterConfig"]
        self._head_group, (self._worker_group,) = (
            cluster["headGroupSpec"],
            cluster["workerGroupSpecs"],
        )
        self.config: str = manifest["spec"]["serveConfigV2"]
        self.head = self._start(self._head_group, "ray start --head --port=6379", {})
        self._api = f"http://{self.head.ip}:8265/api/serve/applications/"
        self.workers: list[Node] = []
        wait_until(lambda: self.applications() is not None, 90, f"the head, see {self.head.log}")

    def add_worker(self) -> Node:
        """One more pod of the worker group."""
        address = f"{self.head.ip}:6379"
        node = self._start(
            self._worker_group, f"ray start --address={address}", {"RAY_ADDRESS": address}
        )
        self.workers.append(node)
        wait_until(
            lambda: node.ip in self._living(), 60, f"the node in the cluster, see {node.log}"
        )
        return node

    def apply(self, config: str) -> None:
        """`serveConfigV2` as the operator sends it: YAML to JSON, with the token."""
        answer = requests.put(
            self._api, json=yaml.safe_load(config), headers=_authorized(), timeout=60
        )
        assert answer.status_code == 200, answer.text

    def applications(self) -> Any:
        """What Serve says of its applications."""
        answer = requests.get(self._api, headers=_authorized(), timeout=10)
        answer.raise_for_status()
        return answer.json()["applications"]

    def replicas(self, application: str = "churn") -> list[dict[str, Any]]:
        """The running replicas of its servers."""
        found = self.applications()[application]["deployments"]["Server"]["replicas"]
        return [replica for replica in found if replica["state"] == "RUNNING"]

    def _living(self) -> set[str]:
        answer = requests.get(
            f"http://{self.head.ip}:8265/api/v0/nodes", headers=_authorized(), timeout=10
        )
        answer.raise_for_status()
        nodes = answer.json()["data"]["result"]["result"]
        return {node["node_ip"] for node in nodes if node["state"] == "ALIVE"}

    def asks_for_a_token(self) -> bool:
        """Whether the dashboard refuses who has none."""
        return requests.get(self._api, timeout=10).status_code == 401

    def until_running(self, timeout_s: float = 120) -> None:
        """All applications up, and a proxy on each living worker."""

        def running() -> bool:
            return {app["status"] for app in self.applications().values()} == {"RUNNING"}

        wait_until(running, timeout_s, f"applications, see {self.head.log}")
        wait_until(
            lambda: all(node.is_ready() for node in self.workers), 60, "a proxy on each worker"
        )

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


def _authorized() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def opened(folder: Path) -> Iterator[Lan]:
    """A network for a `with` block, with this thread inside."""
    require_network()
    lan = Lan(folder)
    try:
        with lan.entered():
            yield lan
    finally:
        with suppress(ProcessLookupError):
            lan.close()
