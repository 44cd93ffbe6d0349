"""The unchanged Dockerfile, built; and what a pull of its targets transfers."""

import os
import subprocess

from container import MODELS, OPEN, ROW, free_port
from engine import SCRIPT, Engine, context

# Compressed.
MOST_MB = {"serve": 170, "sklearn": 200}


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
        command = ["bash", SCRIPT, folder, *MODELS, *OPEN]
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
