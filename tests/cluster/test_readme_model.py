"""The worked example of the README: a third model with texts and missing values, by the places that it names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from harness import ROOT, Mode, running_cluster, wait_until


def readme_block(heading: str) -> str:
    """The code block that follows a text of the README."""
    text = (ROOT / "README.md").read_text()
    found = re.search(re.escape(heading) + r".*?```\w*\n(.*?)```", text, re.DOTALL)
    assert found, heading
    return found.group(1)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the README's two files and its registry line, and the model trained."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("serve_app", "training"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for path in ("serve_app/models/loan.py", "training/models/loan.py"):
        (folder / path).write_text(readme_block(f"`{path}`"))
    registry = folder / "serve_app/models/__init__.py"
    registry.write_text(registry.read_text().replace("MODELS = (\n", 'MODELS = (\n    "loan",\n'))
    command = [
        sys.executable,
        "-m",
        "training",
        "loan",
        "--version",
        "1.0.0",
        "--store",
        "model_store",
    ]
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runtime: onnx" in done.stdout, "texts and missing values are compiled too"
    return folder


@pytest.mark.parametrize("mode", ["plain", "fast"])
def test_the_readme_model_is_trained_bundled_and_served(project: Path, mode: Mode) -> None:
    """Missing values are sent as null; the poor come out riskier than the rich; the rest is as with any model."""
    [application] = yaml.safe_load(readme_block("YAML:"))
    with running_cluster(mode, project=project) as cluster:
        cluster.deploy({"applications": [application]})
        cluster.wait_for("RUNNING", "loan")
        _use(cluster.url)


def _use(server: str) -> None:
    wait_until(
        lambda: requests.get(f"{server}/loan/ready", timeout=5).status_code == 200, 20, "ready"
    )
    url = f"{server}/loan/v1/predict"
    poor = {"income_usd": 900.0, "n_children": 3, "employment": "none"}
    rich = {"income_usd": 9000.0, "n_children": None, "employment": None}
    answers = [requests.post(url, json=row, timeout=10) for row in (poor, rich)]
    assert [answer.status_code for answer in answers] == [200, 200], [
        answer.text for answer in answers
    ]
    found = [answer.json()["default_probability"] for answer in answers]
    assert found[0] > 0.6 > 0.2 > found[1], found
    wrong = requests.post(url, json={**poor, "employment": "pirate"}, timeout=10)
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["allowed"] == "one of salaried, self, none or null"
    assert (
        requests.get(f"{server}/loan/v1/model", timeout=10).json()["versions"]["1.0.0"]["runtime"]
        == "onnx"
    )
