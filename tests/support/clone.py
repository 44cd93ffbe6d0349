"""A folder like a reader's clone, in which the commands of README and docs/ are run."""

import re
import runpy
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from documents import ROOT, Block, programs
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from serve_app.commands.main import app as sluice
from training.cli import app as training
from training.models.churn import make_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    import ray.serve.schema  # noqa: F401 - `sluice check` imports it


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """The folder on the path, as `python -m` and `sluice` have the one where they are started."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@dataclass
class Clone:
    """The folder, and what each command printed there."""

    folder: Path
    output: dict[str, str] = field(default_factory=dict)

    def run(self, block: Block) -> None:
        """Run a block: Python is written to the file that its first line names, else to the script
        that the page calls `fit.py`; commands are run one by one.
        """
        # One thread: several of them on busy cores take ten times as long.
        with chdir(self.folder), importable(self.folder), threadpool_limits(1):
            if block.language == "python":
                _write(block.text)
                return
            for command in block.commands:
                for words in programs(command):
                    self.output[command] = _run(words)


def _write(text: str) -> None:
    """A file of the reader's, in a folder that can be imported."""
    first = text.splitlines()[0]
    named = re.fullmatch(r"# (\w+)/(\w+)\.py", first)
    path = Path(first.removeprefix("# ")) if named else Path("fit.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def _run(words: list[str]) -> str:
    """One command in this process, which has imported already what takes a command seconds."""
    if words[:2] == ["source", ".venv/bin/activate"]:
        return ""
    if words[:3] == ["python", "-m", "training"]:
        result = CliRunner().invoke(training, words[3:])
    elif words[0] == "sluice":
        result = CliRunner().invoke(sluice, words[1:])
    else:
        assert words == ["python", "fit.py"], words
        runpy.run_path("fit.py", run_name="__main__")
        return ""
    assert result.exit_code == 0, f"{' '.join(words)}: {result.output}"
    return result.output


def make_clone(folder: Path) -> Clone:
    """The shipped file, the versions of `make models`, and a CSV file of the reader's."""
    shutil.copy(ROOT / "serve_config.yaml", folder)
    for model in ("churn", "delivery_time"):
        trained = ROOT / "model_store" / model / "1.0.0"
        if not (trained / "manifest.json").exists():
            command = [sys.executable, "-m", "training", model, "--version", "1.0.0"]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        shutil.copytree(trained, folder / "model_store" / model / "1.0.0")
    make_rows(4_000, 99).drop(columns="best_score").to_csv(folder / "customers.csv", index=False)
    return Clone(folder)
