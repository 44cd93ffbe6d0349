"""`sluice new` as a whole: a file in, files that a person reads and a version that answers out."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import joblib
import lookalikes
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow_folder import signature_of, write_sklearn
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.errors import SluiceError
from training.cli import app
from training.new.contract_text import contract_text
from training.new.field import Marks
from training.new.look import Wishes, look
from training.new.source import find_source
from training.new.training_text import training_text
from training.new.write import Made, Order, load_model, make
from training.new.yaml_text import application_text, with_application
from training.reading import check, read_csv
from training.table import Table

ROOT = Path(__file__).parents[3]
APPLICATION = application_text("telco", "my_models.telco", "model_store", "1.0.0")


def order(
    folder: Path, rows: pd.DataFrame, name: str, target: str | None, **wishes: object
) -> Order:
    """What is asked for, with the rows in a file of `folder`."""
    data = folder / f"{name}.csv"
    rows.to_csv(data, index=False)
    return Order(
        name,
        data,
        folder / "serve_config.yaml",
        "my_models",
        wishes=Wishes(target, **wishes),  # type: ignore[arg-type]
    )


def opened(made: Made) -> tuple[Predictor, Table]:
    """The version as a replica opens it, and all rows of the file as training read them."""
    folder = made.files[0].parent
    spec, training = load_model(folder, made.guess.model)
    store = FolderStore(folder.parent / "model_store")
    rows = read_csv(made.guess.source.path, spec, training.map_columns, training.csv)
    return load(store, spec, "1.0.0"), rows


def read(task: Order) -> Table:
    """All rows of the file as the guessed training reads them; nothing is trained."""
    guess, rows = look(find_source(task.data), task.name, task.package, task.wishes)
    folder = task.config.parent / task.package
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / f"{task.name}.py").write_text(contract_text(guess, rows))
    (folder / f"{task.name}_training.py").write_text(training_text(guess))
    spec, training = load_model(folder, task.name)
    return read_csv(task.data, spec, training.map_columns, training.csv)


@pytest.fixture(scope="module")
def telco(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The look-alike of the Telco file, as somebody tries it first."""
    folder = tmp_path_factory.mktemp("telco")
    return make(order(folder, lookalikes.telco(1_200).rows, "telco", "Churn"))


def test_telco_is_compiled_and_comes_near_the_best_that_is_possible(telco: Made) -> None:
    """On customers that it has not seen; their true probability is known."""
    predictor, _ = opened(telco)
    assert predictor.manifest.runtime == "onnx", predictor.manifest.runtime_reason
    spec, training = load_model(telco.files[0].parent, "telco")
    others = lookalikes.telco(2_000, seed=99)
    rows = check(training.map_columns(others.rows), spec, "others")
    found = roc_auc_score(rows.target, predictor.score(rows.block))
    best = roc_auc_score(rows.target, others.best)
    assert best - 0.03 < found <= best + 0.01


def test_telco_needs_no_typing(telco: Made) -> None:
    """Blanks in TotalCharges are missing, Yes and No stay, the id is left out."""
    by_name = {field.name: field for field in telco.guess.fields}
    assert len(by_name) == 19
    assert by_name["TotalCharges"].dtype == "float"
    assert [field.name for field in telco.guess.fields if field.nullable] == ["TotalCharges"]
    assert by_name["SeniorCitizen"].choices == (0, 1)
    assert [left.column for left in telco.guess.left_out] == ["customerID"]
    assert telco.guess.target.positive == "Yes"
    assert set(telco.answer) == {"label", "probability"}
    contract = telco.files[0].read_text()
    assert "# Number, found" in contract
    assert "customerID: an id" in contract


def test_the_examples_and_the_printed_answer_are_those_of_the_version(telco: Made) -> None:
    """One that is positive and one that is not; the first is what the curl sends."""
    spec, _ = load_model(telco.files[0].parent, "telco")
    assert [example.name for example in spec.examples] == ["positive", "negative"]
    assert spec.examples[0].row.model_dump(mode="json") == telco.request
    predictor, _ = opened(telco)
    [score] = predictor.score(Layout(spec.contract).block([telco.request]))
    assert telco.answer["probability"] == pytest.approx(score)


def test_what_is_written_is_laid_out_as_our_own_code(telco: Made) -> None:
    """So that it can live in a project with the same tools.

    Which imports are a project's own, and so their order, depends on where the files stand.
    """
    files = [str(path) for path in telco.files[:2]]
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT / "pyproject.toml")]
    for words in (["format", "--diff"], ["check", "--ignore", "I001"]):
        done = subprocess.run(
            [*ruff, *words, *config, *files], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_three_classes_with_names_of_columns_that_python_does_not_have(tmp_path: Path) -> None:
    """The names are mapped, and stand as descriptions in the contract."""
    made = make(order(tmp_path, lookalikes.flowers(330).rows, "flowers", "species"))
    predictor, rows = opened(made)
    assert rows.spec.contract[0].name == "sepal_length_cm"
    assert rows.spec.contract[0].description == "Sepal length (cm)"
    scores = predictor.score(rows.block)
    assert (scores.argmax(axis=1) == rows.target).mean() > 0.9
    assert set(made.answer["probabilities"]) == {"setosa", "versicolor", "virginica"}


def test_a_regression_with_dates(tmp_path: Path) -> None:
    """A time of the file's own form, a German date, a number of the row, many cities."""
    rides = lookalikes.rides(450)
    made = make(order(tmp_path, rides.rows, "rides", "price"))
    predictor, rows = opened(made)
    dtypes = {feature.name: feature.dtype for feature in rows.spec.contract}
    assert dtypes == {
        "started_at": "datetime",
        "booked": "date",
        "distance_km": "float",
        "city": "text",
    }
    error = np.abs(predictor.score(rows.block) - rides.best)
    assert np.median(error) < 1
    assert made.request["started_at"].count(":") == 2


def test_a_file_of_many_columns(tmp_path: Path) -> None:
    """Its probes are asked together: hundreds of fields do not take hundreds of calls each."""
    made = make(order(tmp_path, lookalikes.wide(330, 30).rows, "wide", "y"))
    assert len(made.guess.fields) == 30
    assert made.written.manifest.runtime == "onnx"


def test_decimal_commas_semicolons_and_latin_1(tmp_path: Path) -> None:
    """As a spreadsheet of a German office writes them."""
    rows = lookalikes.flowers(330).rows.rename(columns={"Sepal length (cm)": "Länge"})
    task = order(tmp_path, rows, "blumen", "species")
    rows.to_csv(task.data, index=False, sep=";", decimal=",", encoding="cp1252")
    table = read(task)
    assert table.column("Länge") == pytest.approx(rows["Länge"])


def test_rows_without_a_target_teach_nothing_and_blanks_around_texts_are_dropped(
    tmp_path: Path,
) -> None:
    """Both are said in the training file, and done by its map_columns."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"x": rng.normal(size=400).round(3), "side": rng.choice([" a", "b "], 400)})
    rows["y"] = np.where(rows["x"] + rng.normal(size=400) > 0, "up", "down")
    rows.loc[::40, "y"] = ""
    table = read(order(tmp_path, rows, "gaps", "y"))
    assert len(table) == 390
    assert table.spec.contract[1].choices == ("a", "b")


def test_without_a_target_it_is_an_anomaly_score(tmp_path: Path) -> None:
    """Nothing has to be known of what is unusual."""
    rows = lookalikes.flowers(330).rows
    rows.loc[::25, "Petal width (cm)"] = np.nan
    made = make(order(tmp_path, rows, "odd", None))
    assert set(made.answer) == {"score", "is_anomaly"}


def test_a_fitted_pipeline_is_served_as_it_is(tmp_path: Path) -> None:
    """Its own columns are the fields, in its order, and its training has no pipeline."""
    rows = lookalikes.telco(800).rows
    columns = ["tenure", "Contract", "MonthlyCharges"]
    encoder = ("text", OneHotEncoder(handle_unknown="ignore"), ["Contract"])
    steps = ColumnTransformer([encoder], remainder="passthrough")
    fitted = Pipeline([("columns", steps), ("model", LogisticRegression(max_iter=2_000))])
    fitted.fit(rows[columns], rows["Churn"])
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    task = order(tmp_path, rows, "given", "Churn", positive="No")
    made = make(dataclasses.replace(task, pipeline=tmp_path / "fitted.joblib"))
    predictor, table = opened(made)
    assert [feature.name for feature in table.spec.contract] == columns
    expected = fitted.predict_proba(rows[columns])[:, 0]
    assert predictor.score(table.block) == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_the_fields_of_a_model_of_mlflow_are_the_columns_of_its_signature(tmp_path: Path) -> None:
    """Also of one that was fitted without names; the other columns of the file are no fields."""
    rows = lookalikes.wide(330, 5).rows
    columns = ["x2", "x0"]
    fitted = LogisticRegression(max_iter=2_000).fit(rows[columns].to_numpy(), rows["y"])
    signature = signature_of(**dict.fromkeys([*columns, "y"], "double"))
    folder = write_sklearn(tmp_path / "logged", fitted, signature=signature)
    task = order(tmp_path, rows, "given", "y")
    made = make(dataclasses.replace(task, pipeline=folder))
    predictor, table = opened(made)
    assert [feature.name for feature in table.spec.contract] == columns
    expected = fitted.predict_proba(rows[columns].to_numpy())[:, 1]
    assert predictor.score(table.block) == pytest.approx(expected, abs=1e-5)


def test_too_few_rows_and_ambiguous_numbers_are_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    """What cannot work is said before any file is made."""
    rows = lookalikes.flowers(330).rows
    amounts = [f"{1 + i % 9},{100 + i}" for i in range(330)]
    for wrong, words in (
        (rows.head(200), "found 200 rows, expected at least 300"),
        (rows.assign(amount=amounts), "--decimal , or --thousands ,"),
        (rows[["species"]].assign(other="same"), "no column to learn from"),
    ):
        with pytest.raises(SluiceError) as refusal:
            make(order(tmp_path, wrong, "few", "species"))
        assert words in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["few.csv"]
    task = order(
        tmp_path, rows.assign(amount=amounts), "few", "species", marks=Marks(thousands=",")
    )
    assert read(task).spec.contract[-1].maximum == 14_000


def test_a_model_that_is_there_is_refused_and_written_again_only_when_asked(
    telco: Made, tmp_path: Path
) -> None:
    """What to do stands in the refusal: the next version, another name, or --overwrite."""
    folder = telco.files[0].parents[1]
    rows = lookalikes.telco(400).rows
    with pytest.raises(SluiceError) as refusal:
        make(order(folder, rows, "telco", "Churn"))
    for words in ("python -m training my_models.telco --version 1.1.0", "--overwrite"):
        assert words in str(refusal.value)


def test_a_training_that_fails_leaves_the_files_to_correct_and_the_yaml_as_it_was(
    tmp_path: Path,
) -> None:
    """A server must not find a model in its file that has no version."""
    rows = lookalikes.flowers(330).rows
    rows.loc[320:, "species"] = "rare"
    with pytest.raises(SluiceError) as refusal:
        make(order(tmp_path, rows, "flowers", "species"))
    assert "expected at least 30 of each" in str(refusal.value)
    assert "stay as they were guessed" in str(refusal.value)
    assert (tmp_path / "my_models/flowers.py").exists()
    assert not (tmp_path / "serve_config.yaml").exists()


@pytest.mark.parametrize(
    "text",
    [
        "applications:\n- name: a\n  args: {model: a}  # first\n# the end\n",
        "applications:\n  - name: a\n    args:\n      model: a\n\nother: 1  # stays\n",
        "applications:\n- name: a\n  args:\n    text: |\n      lines\n      more\n",
        "http_options: {port: 8000}  # where\n",
        "applications: []\n"[:13] + "\n",
        "applications:  # none yet\n\nother: 1\n",
        "applications:\n- name: a",
    ],
)
def test_an_application_is_added_to_a_file_and_every_other_line_stays(text: str) -> None:
    """Comments too, wherever the list of applications stands."""
    added = with_application(text, APPLICATION, "file")
    before = yaml.safe_load(text)
    after = yaml.safe_load(added)
    assert after["applications"][-1]["args"]["model"] == "my_models.telco"
    assert after["applications"][:-1] == (before.get("applications") or [])
    lines = iter(added.splitlines())
    assert all(line in lines for line in text.splitlines())


def test_a_list_of_applications_in_brackets_is_left_to_its_author() -> None:
    """What to write stands in the refusal."""
    with pytest.raises(SluiceError, match="Write this into it yourself"):
        with_application("applications: [{name: a}]\n", APPLICATION, "file")


def test_the_project_s_own_file_takes_a_model_too() -> None:
    """Its comments about isolated versions stand between two applications."""
    text = (ROOT / "serve_config.yaml").read_text()
    assert with_application(text, APPLICATION, "file").startswith(text)


def test_the_command_prints_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guesses, the metrics, `sluice up --model`, and a curl with the answer to expect."""
    monkeypatch.chdir(tmp_path)
    lookalikes.flowers(330).rows.to_csv("flowers.csv", index=False)
    words = ["new", "flowers", "--data", "flowers.csv", "--target", "species"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    for part in ("sluice up --model flowers", "/flowers/v1/predict", "It answers: {", "accuracy"):
        assert part in result.output
    [body] = [line for line in result.output.splitlines() if line.startswith("  -d ")]
    assert set(json.loads(body.removeprefix("  -d '").removesuffix("'"))) == {
        "sepal_length_cm",
        "sepal_width_cm",
        "petal_length_cm",
        "petal_width_cm",
    }
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 1
    assert "Traceback" not in again.output


def test_of_zero_and_one_the_zero_can_be_asked_for(tmp_path: Path) -> None:
    """Then a pipeline is fitted on the labels of the file, not on "is it the positive one"."""
    rows = lookalikes.wide(330, 10).rows
    table = read(order(tmp_path, rows, "zero", "y", positive="0"))
    assert table.target.tolist() == (rows["y"] == 0).astype(float).tolist()
    assert table.labels.tolist() == rows["y"].tolist()
