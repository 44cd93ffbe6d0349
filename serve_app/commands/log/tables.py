"""The log as a table of duckdb, which reads the parts as they are: lines of columns, unnested."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from serve_app.contract import Feature, ModelSpec
from serve_app.errors import PredictionLogError, SettingsError
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import files_of

# Own columns of a row, and their types in a line: `[]` has one value a row.
LINE = {
    "application": "VARCHAR",
    "server": "VARCHAR",
    "version": "VARCHAR",
    "manifest_sha256": "VARCHAR",
    "id": "VARCHAR[]",
    "at_us": "BIGINT[]",
    "assigned": "VARCHAR[]",
    "key": "VARCHAR[]",
    "ms": "DOUBLE[]",
    "outcome": "VARCHAR[]",
}
# Nothing is downloaded by itself: what a question needs is in the package or not there. One that
# says INSTALL is carried out. What forbids that (enable_external_access) forbids files too, such as
# a CSV of labels that somebody joins.
CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
MOST_LINE_BYTES = 256 * 1024**2
FORMATS = {".csv": "CSV, HEADER", ".parquet": "PARQUET", ".jsonl": "JSON"}


@dataclass(frozen=True)
class Found:
    """What a question gave: names of columns, and rows; `is_cut` where there are more."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_cut: bool

    def as_table(self) -> Any:
        """For a person."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in self.names:
            table.add_column(name, overflow="fold", header_style="dim")
        for row in self.rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        return table


class Predictions:
    """The table `predictions` of a connection."""

    def __init__(self, connection: Any, fault: type[Exception]) -> None:
        self._connection = connection
        self._fault = fault

    def ask(self, sql: str, most_rows: int | None) -> Found:
        """The answer to a question. Raises SettingsError for one that duckdb cannot answer."""
        try:
            answer = self._connection.execute(sql)
            names = [column[0] for column in answer.description or ()]
            rows = answer.fetchall() if most_rows is None else answer.fetchmany(most_rows + 1)
        except self._fault as error:
            raise SettingsError(f"query: {error}") from None
        is_cut = most_rows is not None and len(rows) > most_rows
        return Found(names, rows[:most_rows], is_cut)

    def export(self, path: Path) -> int:
        """Write all rows; how many there were. Raises SettingsError."""
        if path.suffix not in FORMATS:
            raise SettingsError(
                f"{path}: found {path.suffix or 'no suffix'}, expected one of {', '.join(FORMATS)}"
            )
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            self._connection.execute(
                f"COPY (SELECT * FROM predictions ORDER BY answered_at) TO {_text(str(draft))} "
                f"(FORMAT {FORMATS[path.suffix]})"
            )
            draft.replace(path)
        except (self._fault, OSError) as error:
            raise SettingsError(f"{path}: cannot be written ({error})") from None
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        [[n_rows]] = self._connection.execute("SELECT count(*) FROM predictions").fetchall()
        return int(n_rows)


@contextmanager
def opened(place: LogPlace, spec: ModelSpec, since: datetime | None) -> Iterator[Predictions]:
    """The table of a model, with rows since then. Raises PredictionLogError.

    What is no file of this machine is copied into a temporary folder meanwhile.
    """
    duckdb = _duckdb()
    with tempfile.TemporaryDirectory(prefix="sluice-log-") as folder:
        files = [str(path) for path in files_of(place, spec.name, since, Path(folder))]
        if not files:
            when = "" if since is None else f" since {since:%Y-%m-%d %H:%M} UTC"
            raise PredictionLogError(
                f"{place.uri}: found no part of {spec.name}{when}, expected at least one; a server "
                "writes them when its args have `log`"
            )
        with duckdb.connect(config={**CONFIG, "temp_directory": folder}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(view(spec, files, since))
            yield Predictions(connection, duckdb.Error)


def view(spec: ModelSpec, files: Sequence[str], since: datetime | None) -> str:
    """The SQL that makes the table out of parts."""
    columns = ["make_timestamp(unnest(at_us)) AS answered_at"]
    for name, kind in LINE.items():
        if name != "at_us":
            columns.append(f'unnest("{name}") AS "{name}"' if kind.endswith("[]") else f'"{name}"')
    taken = {*LINE, "answered_at", *_score_names(spec)}
    columns += [_column(feature, taken) for feature in spec.contract]
    columns += [
        f"unnest(scores[{i}]) AS {_name(name)}" for i, name in enumerate(_score_names(spec), 1)
    ]
    fields = ", ".join(
        f"{_name(feature.name)} {'VARCHAR' if feature.is_text else 'DOUBLE'}[]"
        for feature in spec.contract
    )
    types = {**LINE, "features": f"STRUCT({fields})", "scores": "DOUBLE[][]"}
    kinds = ", ".join(f"{_name(name)}: {_text(kind)}" for name, kind in types.items())
    where = ""
    if since is not None:
        where = f" WHERE answered_at >= make_timestamp({int(since.timestamp() * 1e6)})"
    return (
        f"CREATE VIEW predictions AS SELECT * FROM (SELECT {', '.join(columns)} "
        f"FROM read_json([{', '.join(_text(file) for file in files)}], "
        f"format = 'newline_delimited', compression = 'gzip', "
        f"maximum_object_size = {MOST_LINE_BYTES}, columns = {{{kinds}}})){where}"
    )


def _score_names(spec: ModelSpec) -> list[str]:
    if spec.n_scores == 1:
        return ["score"]
    return [f"score_{name}" for name in spec.classes or spec.outputs]


def _column(feature: Feature, taken: set[str]) -> str:
    """A field with its type; one that is called as a column of ours has `feature_` before it."""
    value = f"unnest(features.{_name(feature.name)})"
    if feature.is_text:
        value = f"nullif({value}, '')"
    elif feature.dtype in ("date", "datetime"):
        value = f"make_timestamp({value}::BIGINT)" + ("::DATE" if feature.dtype == "date" else "")
    elif feature.dtype != "float":
        value += "::BOOLEAN" if feature.dtype == "bool" else "::BIGINT"
    name = f"feature_{feature.name}" if feature.name in taken else feature.name
    return f"{value} AS {_name(name)}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise PredictionLogError(
            "the prediction log is asked and exported by duckdb, found none here; expected what "
            "requirements/query.txt lists: pip install --require-hashes -r requirements/query.txt"
        ) from None
    return duckdb
