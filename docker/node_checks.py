"""A cluster of containers: a head and workers in the fast mode."""

from contextlib import ExitStack

import yaml
from container import HARDENED, MODELS, Container, free_port, running, wait_until
from engine import ROOT, Engine

from serve_app.commands.cluster_config import for_cluster

TOKEN = "t" * 64
# Ray gives up on a process that does not come up in time; on a busy machine it takes longer.
PATIENT = (
    *("-e", "RAY_worker_register_timeout_seconds=300"),
    *("-e", "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S=60"),
    *("-e", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S=60"),
)
DEADLINE_S = 300.0


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
                place = ("--network", network, "--ip", ip)
                options = (*HARDENED, *MODELS, *auth, *PATIENT, *place)
                # A login shell, as KubeRay starts it. KubeRay also starts a node again that gave
                # up, which `ray start` does after 30 s.
                start = f"until ray start {start} --block; do sleep 1; done"
                command = ("-lc", f'eval "$(sluice env)" && {start}')
                return stack.enter_context(
                    running(engine, "sluice:serve", *options, command=command)
                )

            ports = "--port=6379 --dashboard-host=0.0.0.0"
            head = node(f"{subnet}.2", f"--head {ports} --num-cpus=0 --node-ip-address={subnet}.2")
            address = f"--address={subnet}.2:6379 --num-cpus=4"
            wait_until(lambda: "Ray runtime started" in head.logs(), DEADLINE_S, "the head")
            worker = node(f"{subnet}.3", f"{address} --node-ip-address={subnet}.3")
            shipped = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
            config = yaml.safe_dump(for_cluster(shipped))
            write = f"cat > /tmp/config.yaml <<'E'\n{config}\nE\nserve deploy /tmp/config.yaml"

            def deployed() -> bool:
                said = engine.call("exec", head.name, "bash", "-lc", write, check=False)
                return "Sent deploy" in said

            wait_until(deployed, DEADLINE_S, "deploy")
            first_s = worker.until_ready()
            assert worker.predict()["label"] == "Churned"
            engine.call("kill", worker.name)
            second = node(f"{subnet}.4", f"{address} --node-ip-address={subnet}.4")
            second_s = second.until_ready()
            assert second.predict()["label"] == "Churned"
    finally:
        engine.call("network", "rm", "-f", network, check=False)
    return (
        f"first worker ready {first_s:.0f} s after deploy, the one in its place after "
        f"{second_s:.0f} s"
    )
