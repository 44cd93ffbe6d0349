"""`make serve` trains what the file names: no more, and no model that is not in it."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from own_package import write_package
from sklearn.linear_model import LogisticRegression

from serve_app.errors import SettingsError
from training import recipe
from training.missing import Wanted, main, train_missing, wanted_by

ROOT = Path(__file__).parents[2]


def config(folder: Path, *models: tuple[str, str]) -> Path:
    """A file that serves these models and stable versions from a store in `folder`."""
    path = folder / "serve_config.yaml"
    applications = [
        {
            "name": model,
            "import_path": "serve_app.app:server",
            "args": {"model": model, "store": str(folder / "store")},
            "deployments": [{"name": "Server", "user_config": {"stable": version}}],
        }
        for model, version in models
    ]
    path.write_text(yaml.safe_dump({"applications": applications}))
    return path


def test_the_project_s_own_file_wants_its_two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolated versions stand in comments there, and MODEL_PATH moves the store."""
    monkeypatch.setenv("MODEL_PATH", "elsewhere")
    text = (ROOT / "serve_config.yaml").read_text()
    assert list(wanted_by(yaml.safe_load(text))) == [
        Wanted("churn", "1.0.0", "elsewhere"),
        Wanted("delivery_time", "1.0.0", "elsewhere"),
    ]


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A contract of somebody's own, whose training needs a file."""
    folder = tmp_path / "models_of_ours"
    folder.mkdir()
    (folder / "__init__.py").touch()
    text = (ROOT / "serve_app/models/churn.py").read_text()
    (folder / "leaving.py").write_text(text.replace('name="churn"', 'name="leaving"'))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "models_of_ours.leaving"


def test_what_needs_a_file_is_named_with_the_command_that_makes_it(
    own_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo models are not trained for it."""
    assert main(config(tmp_path, (own_model, "1.0.0"))) == 1
    said = capsys.readouterr().err
    assert f"python -m training {own_model} --version 1.0.0 --data FILE.csv" in said
    assert not (tmp_path / "store").exists()


# All that `make serve` runs before Ray starts.
WITHOUT_DEMOS = """
import sys
from pathlib import Path

from serve_app.commands.main import app
from serve_app.models import MODELS, get_spec
from training.cli import app as training
from training.missing import main

print(list(MODELS), get_spec("shop.models.loan").name, main(Path(sys.argv[1])))
"""


def test_a_model_of_ones_own_needs_neither_of_the_two_that_are_shipped(tmp_path: Path) -> None:
    """In a copy of the project without them everything else is there."""
    copied = tmp_path / "copied"
    without = shutil.ignore_patterns("churn.py", "delivery_time.py", "__pycache__")
    for room in ("serve_app", "training"):
        shutil.copytree(ROOT / room, copied / room, ignore=without)
    write_package(tmp_path)
    manifest = tmp_path / "store/loan/1.0.0/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    path = config(tmp_path, ("shop.models.loan", "1.0.0"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEMOS, path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{copied}:{tmp_path}"},
    )
    assert done.stdout.strip() == "[] loan 0", done.stderr


def test_what_is_there_costs_nothing(own_model: str, tmp_path: Path) -> None:
    """Its folder stands in the store under the name of its SPEC."""
    manifest = tmp_path / "store/leaving/1.0.0/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    assert main(config(tmp_path, (own_model, "1.0.0"))) == 0


def test_an_object_store_is_left_alone(tmp_path: Path) -> None:
    """What is in it is nobody's scratch, and it may be far away."""
    path = config(tmp_path, ("churn", "9.9.9"))
    path.write_text(path.read_text().replace(str(tmp_path / "store"), "s3://bucket/models"))
    assert train_missing(path) == []


def test_a_model_with_a_recipe_is_trained_as_the_version_that_is_stable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: the second time it is there."""
    small = replace(recipe.get_training("churn"), n_rows=1_000, at_least={}, at_most={})
    monkeypatch.setattr(recipe, "get_training", lambda model: replace(small, pipeline=linear))
    path = config(tmp_path, ("churn", "2.1.0"))
    assert main(path) == 0
    manifest = tmp_path / "store/churn/2.1.0/manifest.json"
    before = manifest.read_bytes()
    assert main(path) == 0
    assert manifest.read_bytes() == before


def linear() -> LogisticRegression:
    """Quick to fit, to compile and to draw."""
    return LogisticRegression(max_iter=2_000)


@pytest.mark.parametrize("text", ["a: [", "- 1\n", None])
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    text: str | None, tmp_path: Path
) -> None:
    """It may not be there at all."""
    path = tmp_path / "serve_config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="serve_config"):
        train_missing(path)
