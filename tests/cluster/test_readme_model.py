"""The worked example of the README: a third model with texts and missing values, by the places that
it names.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from harness import ROOT, running_cluster, wait_until


def block_after(heading: str) -> str:
    """The code block below a line of the README or of a page of docs/ that has this text."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        found = re.search(
            re.escape(heading) + r".*?\n```[^\n]*\n(.*?)```", page.read_text(), re.DOTALL
        )
        if found:
            return found.group(1)
    raise AssertionError(f"no page has a code block below {heading!r}")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the two files of docs/your-model.md, and the model trained."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("serve_app", "training"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for path in ("shop/loan.py", "shop/loan_training.py"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(block_after(f"`{path}`"))
    command = [sys.executable, "-m", "training", "shop.loan", "--version", "1.0.0"]
    command += ["--store", "model_store"]
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runtime: onnx" in done.stdout, "texts and missing values are compiled too"
    return folder


def test_the_readme_model_is_trained_bundled_and_served(project: Path) -> None:
    """Missing values are sent as null; the poor come out riskier than the rich; the rest is as with
    any model.
    """
    [application] = yaml.safe_load(block_after("YAML:"))
    with running_cluster("fast", project=project) as cluster:
        cluster.deploy({"applications": [application]})
        cluster.wait_for("RUNNING", "loan")
        check_answers(f"{cluster.url}/loan")


def check_answers(url: str) -> None:
    """Ask the model as a client would."""
    ready = f"{url}/ready"
    wait_until(lambda: requests.get(ready, timeout=60).status_code == 200, ready)
    poor = {"income_usd": 900.0, "n_children": 3, "employment": "none"}
    rich = {"income_usd": 9000.0, "n_children": None, "employment": None}
    found = []
    for row in (poor, rich):
        answer = requests.post(f"{url}/v1/predict", json=row, timeout=60)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["probability"])
    assert found[0] > 0.6 > 0.2 > found[1], found
    unknown = {**poor, "employment": "pirate"}
    wrong = requests.post(f"{url}/v1/predict", json=unknown, timeout=60)
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["allowed"] == "one of salaried, self, none or null"
    model = requests.get(f"{url}/v1/model", timeout=60).json()
    assert model["versions"]["1.0.0"]["runtime"] == "onnx"
