"""`sluice score` with real bundles: the answers of a server, in the order of the file."""

import asyncio
import csv
import importlib.util
import io
import json
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import Direct, client_of
from rich.console import Console
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import FolderStore
from serve_app.commands.main import app
from serve_app.commands.score import tables
from serve_app.commands.score.run import score_file
from serve_app.contract import ModelSpec
from serve_app.http.application import create_app
from serve_app.models import get_spec
from serve_app.serving.member import Opened
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Limits, Table, VersionEntry

N_ROWS = 300
Body = dict[str, Any]


def made_rows(spec: ModelSpec, seed: int) -> list[Body]:
    """Random rows within the contract."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {}
    for feature in spec.contract:
        low = feature.minimum or 0.0
        high = feature.maximum or 0.0
        if feature.choices is not None:
            columns[feature.name] = rng.choice(np.array(feature.choices), N_ROWS).tolist()
        elif feature.dtype == "int":
            columns[feature.name] = rng.integers(int(low), int(high), N_ROWS).tolist()
        else:
            columns[feature.name] = np.round(rng.uniform(low + 0.5, high, N_ROWS), 2).tolist()
        if feature.nullable:
            columns[feature.name][::7] = [None] * len(columns[feature.name][::7])
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def cell_of(value: Any) -> str:
    """A value as it stands in a CSV file."""
    return "" if value is None else str(value)


def write(path: Path, spec: ModelSpec, rows: Sequence[Body]) -> Path:
    """A CSV file: a column that is no field first, and the fields in another order."""
    names = [feature.name for feature in spec.contract][::-1]
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["customer", *names])
        lines.writerows(
            [f"c{i}", *(cell_of(row[name]) for name in names)] for i, row in enumerate(rows)
        )
    return path


def served(spec: ModelSpec, predictor: Predictor, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """What the real HTTP application answers to a list of rows."""

    async def opened(version: str, entry: VersionEntry, table: Table) -> Opened:
        return Opened(predictor.manifest, predictor.manifest_sha256, Direct(predictor), False)

    async def ask() -> list[dict[str, Any]]:
        versions = Versions(opened)
        await versions.start(Table(stable="1.0.0", limits=Limits(max_rows=1_000)))
        async with client_of(create_app(spec, Router(spec, versions))) as client:
            body = json.dumps(list(rows)).encode()
            kind = {"content-type": "application/json"}
            answer = await client.post("/v1/predict/batch", content=body, headers=kind)
        found: list[dict[str, Any]] = answer.json()["predictions"]
        return found

    return asyncio.run(ask())


def run(*words: Any) -> Any:
    """The command; its result."""
    return CliRunner().invoke(app, ["score", *map(str, words)])


@pytest.mark.parametrize("model", ["churn", "delivery_time"])
def test_each_row_gets_what_a_server_answers_bit_for_bit(
    model: str, tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several chunks, with bad rows between them, other columns kept, and order too."""
    monkeypatch.setattr(tables, "N_ROWS", 64)
    spec = get_spec(model)
    rows = made_rows(spec, seed=7)
    field = spec.contract[0].name
    for i in (0, 63, 64, 200):
        rows[i] = rows[i] | {field: "no number"}
    path = write(tmp_path / "in.csv", spec, rows)
    out = tmp_path / "out.csv"
    found = run(model, path, "--out", out, "--version", "1.0.0", "--store", trained_store.uri)
    assert found.exit_code == 1, found.output
    assert "300 rows scored" in found.output
    assert "4 are marked" in found.output
    expected = served(spec, load(trained_store, spec, "1.0.0"), rows)
    with out.open(newline="") as file:
        scored = list(csv.DictReader(file))
    assert [row["customer"] for row in scored] == [f"c{i}" for i in range(N_ROWS)]
    for i, (row, answer) in enumerate(zip(scored, expected, strict=True)):
        if answer["status"] == "error":
            [fault] = answer["error"]["errors"]
            assert (
                row["error"]
                == f"line {i + 2}: {field} {fault['reason']}, expected " + (fault["allowed"])
            )
            assert not any(row[name] for name in spec.prediction.model_fields)
            continue
        assert not row["error"]
        for name in (*spec.prediction.model_fields, "model_version"):
            value = answer[name]
            assert type(value)(row[name]) == value
    assert {row["model_version"] for row in scored} == {"1.0.0", ""}


def test_the_stable_version_of_the_file_is_the_default(
    tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --out the rows go to stdout, and what is said goes to stderr."""
    monkeypatch.delenv("MODEL_PATH", raising=False)
    spec = get_spec("churn")
    path = write(tmp_path / "in.csv", spec, made_rows(spec, seed=1)[:3])
    application = {
        "import_path": "serve_app.app:server",
        "args": {"model": "churn", "store": trained_store.uri},
        "deployments": [{"name": "Server", "user_config": {"stable": "1.0.0"}}],
    }
    config = tmp_path / "serve_config.yaml"
    config.write_text(json.dumps({"applications": [application]}))
    found = run("churn", path, "--config", config)
    assert found.exit_code == 0, found.output
    assert len(found.stdout.splitlines()) == 4
    said = found.stderr.replace("\n", " ")
    assert f"churn 1.0.0 of {trained_store.uri}, the stable version of {config}" in said
    assert "none is marked" in said


def test_a_terminal_has_a_bar_and_what_is_read_is_let_go_of(
    tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the file is, two parts of it are in memory at most."""
    monkeypatch.setattr(tables, "N_ROWS", 20)
    parts: list[weakref.ref[Any]] = []
    n_alive = []

    class Watched(tables.Chunk):
        """A part of the file that is counted."""

        def __init__(self, *words: Any, **more: Any) -> None:
            super().__init__(*words, **more)
            parts.append(weakref.ref(self))
            n_alive.append(sum(part() is not None for part in parts))

    monkeypatch.setattr(tables, "Chunk", Watched)
    spec = get_spec("churn")
    path = write(tmp_path / "in.csv", spec, made_rows(spec, seed=1))
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    predictor = load(trained_store, spec, "1.0.0")
    found = score_file(spec, predictor, path, tmp_path / "out.csv", console)
    assert found.n_rows == N_ROWS
    assert len(n_alive) == N_ROWS / 20
    assert max(n_alive) <= 2
    assert isinstance(console.file, io.StringIO)
    assert "scoring" in console.file.getvalue()
    assert "100%" in console.file.getvalue()


BAD_FILES = [
    (b"a,b\n1,2\n", "missing columns: monthly_active_days"),
    (b"", "missing columns"),
    (b"\xff\xfe", "expected UTF-8"),
    (None, "cannot be read"),
]


@pytest.mark.parametrize(("data", "said"), BAD_FILES)
def test_a_file_that_is_none_is_a_sentence(
    tmp_path: Path, trained_store: FolderStore, data: bytes | None, said: str
) -> None:
    """Exit code 2, and no file is written."""
    path = tmp_path / "in.csv"
    if data is not None:
        path.write_bytes(data)
    out = tmp_path / "out.csv"
    words = ("--version", "1.0.0", "--store", trained_store.uri, "--out", out)
    found = run("churn", path, *words)
    assert found.exit_code == 2
    assert said in found.output.replace("\n", " ")
    assert not out.exists()


def test_a_file_that_breaks_in_its_middle_leaves_nothing_behind(
    tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half an output nor its draft; the line is named."""
    monkeypatch.setattr(tables, "N_ROWS", 2)
    spec = get_spec("churn")
    path = write(tmp_path / "in.csv", spec, made_rows(spec, seed=1)[:9])
    path.write_text(path.read_text() + '"never closed\n')
    words = ("--version", "1.0.0", "--store", trained_store.uri, "--out", tmp_path / "out.csv")
    found = run("churn", path, *words)
    assert found.exit_code == 2
    assert "is no CSV" in found.output.replace("\n", " ")
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"]


def test_a_version_that_is_not_there_is_a_sentence(
    tmp_path: Path, trained_store: FolderStore
) -> None:
    """The store's own words say what is missing; no traceback."""
    spec = get_spec("churn")
    path = write(tmp_path / "in.csv", spec, made_rows(spec, seed=1)[:1])
    found = run("churn", path, "--version", "9.9.9", "--store", trained_store.uri)
    assert found.exit_code == 2
    assert "not found" in found.output


def test_without_pyarrow_a_parquet_file_is_a_sentence(
    tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install; for what is read, and for what is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    spec = get_spec("churn")
    path = write(tmp_path / "in.csv", spec, made_rows(spec, seed=1)[:1])
    here = ("--version", "1.0.0", "--store", trained_store.uri)
    for words in ((tmp_path / "in.parquet",), (path, "--out", tmp_path / "out.parquet")):
        found = run("churn", *words, *here)
        assert found.exit_code == 2
        assert "requirements/parquet.txt" in found.output


@pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed here"
)
def test_parquet_in_and_out_gives_the_same_answers_as_csv(
    tmp_path: Path, trained_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Types stay: of the file's columns, and numbers for the answer's."""
    import pyarrow as pa
    from pyarrow import parquet

    monkeypatch.setattr(tables, "N_ROWS", 64)
    spec = get_spec("delivery_time")
    rows = made_rows(spec, seed=3)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    first = spec.contract[0].name
    columns[first][10] = None
    path = tmp_path / "in.parquet"
    parquet.write_table(pa.table(columns), path)
    rows[10] = rows[10] | {first: None}
    plain = write(tmp_path / "in.csv", spec, rows)
    here = ("--version", "1.0.0", "--store", trained_store.uri)
    codes = {
        run("delivery_time", path, "--out", tmp_path / "out.parquet", *here).exit_code,
        run("delivery_time", plain, "--out", tmp_path / "out.csv", *here).exit_code,
        run("delivery_time", plain, "--out", tmp_path / "texts.parquet", *here).exit_code,
    }
    assert len(codes) == 1
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.select(list(columns)).equals(pa.table(columns))
    with (tmp_path / "out.csv").open(newline="") as file:
        scored = list(csv.DictReader(file))
    for name in spec.prediction.model_fields:
        found = table[name].to_pylist()
        assert [cell_of(value) for value in found] == [row[name] for row in scored]
    errors = [error for error in table["error"].to_pylist() if error]
    assert all(error.startswith("row ") for error in errors)
    texts = parquet.read_table(tmp_path / "texts.parquet")
    assert texts["customer"].to_pylist() == [row["customer"] for row in scored]
