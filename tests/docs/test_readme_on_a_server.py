"""README from the first prediction to the finished canary, and the model of docs/your-model.md, as
printed, against a running Sluice.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml
from clone import Clone
from documents import ROOT, Block, blocks_of
from harness import BIN, Cluster, running_cluster, wait_until

README = ROOT / "README.md"
FILE = "serve_config.yaml"
# How long what must come is waited for, on a machine that has other things to do too.
PATIENCE_S = 900.0


@dataclass
class Reader:
    """Somebody who follows README in a clone next to a running server."""

    clone: Clone
    cluster: Cluster
    bin: Path

    def typed(self, command: str) -> str:
        """A command for this server: its port and its Ray's, in place of the usual ones."""
        command = command.replace("http://127.0.0.1:8000", self.cluster.url)
        if command.startswith("serve "):
            command += f" -a http://127.0.0.1:{self.cluster.dashboard_port}"
        if command.startswith("sluice rollout"):
            command += f" --url {self.cluster.url}"
        return command

    def start(self, command: str) -> "subprocess.Popen[str]":
        """A command in a terminal of its own."""
        path = f"{self.bin}:{BIN}:{self.cluster.env['PATH']}"
        return subprocess.Popen(
            ["bash", "-c", self.typed(command)],
            cwd=self.clone.folder,
            env=self.cluster.env | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> str:
        """A command that ends well; what it printed."""
        with self.start(command) as process:
            output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, f"{command}: {output}"
        return output

    def run_block(self, block: Block) -> str:
        """The commands of a block, one after the other."""
        return "".join(self.run(command) for command in block.commands)

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """A command that goes on for as long as the `with` block lasts."""
        with self.start(command) as process:
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGKILL)

    def edit(self, old: str, new: str) -> None:
        """Edit the table of churn, which is the first that has these words."""
        path = self.clone.folder / FILE
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def is_ready(self) -> bool:
        """Whether the stable version of churn can answer."""
        return bool(requests.get(f"{self.cluster.url}/ready", timeout=10).status_code == 200)

    def answers(self, version: str) -> bool:
        """Whether this version answers a prediction."""
        row = (self.clone.folder / "customer.json").read_bytes()
        headers = {"Content-Type": "application/json"}
        url = f"{self.cluster.url}/v1/predict"
        answer = requests.post(url, data=row, headers=headers, timeout=10)
        return bool(answer.json()["model_version"] == version)


def make_bin(folder: Path) -> Path:
    """`sluice` as this folder's code has it, wherever the environment's own was installed from."""
    command = folder / "sluice"
    code = "from serve_app.commands.main import main; main()"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$@\"\n")
    command.chmod(0o755)
    return folder


def server_blocks() -> dict[str, Block]:
    """README's blocks for a running server, by the heading above."""
    found: dict[str, Block] = {}
    text = README.read_text().splitlines()
    for block in blocks_of(README):
        if block.tags == ("server",):
            line = int(block.place.rpartition(":")[2])
            heading = next(one for one in reversed(text[:line]) if one.startswith("## "))
            heading = heading.removeprefix("## ")
            assert heading not in found, f"{block.place}: expected one such block below a heading"
            found[heading] = block
    return found


@pytest.fixture(scope="module")
def reader(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The shipped file is deployed with this folder's store, as `make serve` does in a clone."""
    path: Path = clone.folder / FILE
    shipped = path.read_text()
    with running_cluster("fast", beside=[clone.folder]) as cluster:
        port = shipped.replace("port: 8000", f"port: {cluster.http_port}")
        places = port.replace("store: model_store", f"store: {clone.folder}/model_store")
        state = tmp_path_factory.mktemp("state")
        path.write_text(places.replace("state: rollout_state", f"state: {state}"))
        reader = Reader(clone, cluster, make_bin(tmp_path_factory.mktemp("bin")))
        reader.run(f"serve deploy {FILE}")
        wait_until(reader.is_ready, what="churn is ready", timeout_s=PATIENCE_S)
        yield reader
    path.write_text(shipped)


def test_readme_can_be_followed_from_the_first_prediction_to_the_finished_canary(
    reader: Reader,
) -> None:
    """One prediction, one batch, the reader's own version, and a rollout that lets one in."""
    blocks = server_blocks()
    # Each of them is run below; another one would be run by nobody.
    assert set(blocks) == {"One prediction", "One batch", "Your own pipeline", "One canary"}
    one = blocks["One prediction"]
    answer = yaml.safe_load(reader.run_block(one))
    shown = yaml.safe_load(one.text.splitlines()[-1])
    assert {**answer, "prediction_id": ""} == {**shown, "prediction_id": ""}

    batch = yaml.safe_load(reader.run_block(blocks["One batch"]))
    assert [entry["status"] for entry in batch["predictions"]] == ["success", "error"]
    assert batch["predictions"][1]["error"]["code"] == "invalid_rows"

    reader.edit('stable: "1.0.0"', 'stable: "2.0.0"')
    assert "Sent deploy request successfully" in reader.run_block(blocks["Your own pipeline"])
    wait_until(lambda: reader.answers("2.0.0"), what="2.0.0 answers", timeout_s=PATIENCE_S)

    [rollout] = [block.text for block in blocks_of(README) if block.language == "yaml"]
    reader.edit('      stable: "2.0.0"\n', rollout)
    reader.run(blocks["Your own pipeline"].commands[-1])
    traffic, watch = blocks["One canary"].commands
    with reader.running(traffic):
        page = reader.run(watch)
        assert re.search(r"\bfinished\b", page), page
        assert reader.answers("1.1.0")


def test_the_model_of_the_page_is_trained_bundled_and_served(reader: Reader) -> None:
    """Missing values are sent as null; the poor come out riskier than the rich; the rest is as with
    any model.
    """
    run, application = blocks_of_the_model()
    # Whoever has read the page in this folder before has it already.
    if not (reader.clone.folder / "model_store/loan").exists():
        for block in run:
            reader.clone.run(block)
    [loan] = yaml.safe_load(application.text)
    loan["args"]["store"] = str(reader.clone.folder / "model_store")
    # Beside the reader's own application, which another test may still need.
    path = reader.clone.folder / FILE
    shipped = yaml.safe_load(path.read_text())
    reader.cluster.deploy({**shipped, "applications": [*shipped["applications"], loan]})
    reader.cluster.wait_for("RUNNING", "loan")
    check_answers(f"{reader.cluster.url}/loan")


def blocks_of_the_model() -> tuple[list[Block], Block]:
    """Of docs/your-model.md: what makes the version of the loan model, and its application."""
    blocks = blocks_of(ROOT / "docs/your-model.md")
    names = [block.text for block in blocks]
    first = next(i for i, text in enumerate(names) if text.startswith("# shop/loan.py"))
    last = next(i for i, text in enumerate(names) if "training shop.loan --version" in text)
    application = next(block for block in blocks if block.language == "yaml")
    return blocks[first : last + 1], application


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
    assert model["versions"]["1.0.0"]["runtime"] == "onnx", "texts and missing values are compiled"
