"""The Dockerfile, built; what a pull of its targets transfers; what a change of code ships."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from container import MODELS, OPEN, ROW, free_port
from engine import ROOT, SCRIPT, Engine, context, on_stand_in

# Compressed.
MOST_MB = {"serve": 170, "sklearn": 220, "boosters": 300, "train": 300}
# Over its mark it is told, and nothing fails: zstd brings it under.
TOLD = ("sklearn",)
MOST_CODE_MB = 1.0
ZSTD = "zstd -19 -T0 -q"
PAGE = ROOT / "docs" / "deploy.md"
CODE = "/opt/code"


def built_as_it_is(engine: Engine) -> str:
    """The Dockerfile by the script: build, hardened run, probe, stop, exit code 0.

    Nothing in it is changed but its base, for which there may be no registry.
    """
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
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text(on_stand_in(dockerfile.read_text()))
        command: list[str | Path] = ["bash", SCRIPT, folder, *MODELS, *OPEN]
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
    """What a pull transfers, by target: not more than the page's marks."""
    found = {target: engine.packed_mb(engine.build(target)) for target in MOST_MB}
    over = {target: mb for target, mb in found.items() if mb > MOST_MB[target]}
    assert set(over) <= set(TOLD), f"over {MOST_MB}: {over}"
    told = [f"{target} is over {MOST_MB[target]} MB" for target in over]
    return ", ".join([f"{target} {mb:.0f} MB" for target, mb in found.items()] + told) + " (gzip)"


def write_sizes(engine: Engine) -> str:
    """Measure all targets with gzip and zstd, and write both into docs/deploy.md."""
    found = {}
    for target in MOST_MB:
        tag = engine.build(target)
        zstd_mb = engine.packed_mb(tag, ZSTD) if shutil.which("zstd") else None
        found[target] = (engine.packed_mb(tag), zstd_mb)
    PAGE.write_text(with_sizes(PAGE.read_text(), found))
    return f"written into {PAGE.relative_to(ROOT)}: {found}"


def with_sizes(page: str, found: Mapping[str, tuple[float, float | None]]) -> str:
    """The page with these megabytes, gzip and zstd, in its table of targets."""
    for target, (gzip_mb, zstd_mb) in found.items():
        row = re.compile(rf"^(\| `{target}`[^|]*)\|[^|]*\|[^|]*\|", re.MULTILINE)
        zstd = "–" if zstd_mb is None else f"{zstd_mb:.0f} MB"
        page, n = row.subn(rf"\g<1>| {gzip_mb:.0f} MB | {zstd} |", page)
        assert n == 1, f"docs/deploy.md: found {n} rows of {target}, expected one"
    return page


def layers(engine: Engine) -> str:
    """A change of code ships one small layer, and equal sources make equal folders."""
    tag = engine.build("serve")
    mb = engine.folder_mb(tag, CODE)
    assert mb < MOST_CODE_MB, f"{CODE}: found {mb:.2f} MB with gzip, expected less than 1 MB"
    again = engine.build("serve", "--no-cache", tag="sluice:again")
    for folder in ("/opt/sluice", CODE):
        sums = {engine.folder_sum(one, folder) for one in (tag, again)}
        assert len(sums) == 1, f"{folder}: two builds of equal sources differ"
    return f"a change of code ships {mb:.2f} MB; two builds hold the same, dates included"


def no_pip(engine: Engine) -> str:
    """`RUN pip install` on top of an image ends the build with a sentence that says what to do."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "Dockerfile").write_text(
            "FROM sluice:serve\nRUN pip install sortedcontainers\n"
        )
        said = engine.call("build", "-t", "sluice:on-top", name, check=False)
    assert "--build-arg REQUIREMENTS=FILE" in said, said[-2000:]
    return "refused in words"
