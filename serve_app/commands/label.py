"""`sluice label`: what came true, from a CSV file to a running server."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.target import CONFIG, ConfigOption, ModelOption, take_model

if TYPE_CHECKING:
    from serve_app.contract import ModelSpec

ID = "prediction_id"
ACTUAL = "actual"
LABELS_A_REQUEST = 500
MOST_SHOWN = 20

Labels = list[tuple[int, dict[str, Any]]]
# What a list of labels is answered: one outcome each.
Send = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def label(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] FILE",
            help="The model, such as churn; a .csv with prediction_id and actual.",
        ),
    ],
    url: Annotated[
        str | None, typer.Option("--url", help="Of the server; else the one that the file names.")
    ] = None,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Tell a running server what came true for its predictions.

    The file has the columns `prediction_id` and `actual`; for a model with several outputs a column
    of each name in place of `actual`. A file may be sent again: a label counts once. Exit code 1:
    labels are refused, the first of them with line and reason; 2: file or server cannot be read.
    """
    from serve_app.commands.label_client import LabelClient
    from serve_app.commands.target import find_target
    from serve_app.commands.terminal import Terminal
    from serve_app.errors import SluiceError
    from serve_app.models import get_spec

    console = Terminal(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with errors_in_words(SluiceError):
        named, [file] = take_model(words, 1, model, config)
        path = Path(file)
        client = LabelClient(find_target(url, named, config).url)
        n_sent, refused = send_file(path, get_spec(named), client.send)
    for line, reason in refused[:MOST_SHOWN]:
        console.print(f"{path} {line}: {reason}", style="yellow")
    if len(refused) > MOST_SHOWN:
        console.print(f"and {len(refused) - MOST_SHOWN:,} more", style="yellow")
    console.print(
        f"{path}: {n_sent - len(refused):,} of {n_sent:,} labels were taken",
        style="yellow" if refused else "green",
    )
    if refused:
        raise typer.Exit(ExitCode.REFUSED)


def send_file(path: Path, spec: "ModelSpec", send: Send) -> tuple[int, list[tuple[int, str]]]:
    """Send all labels of a file; how many there are, and (line, reason) of each that is refused.

    Raises SettingsError for a file that has none.
    """
    n_sent = 0
    refused: list[tuple[int, str]] = []
    waiting: Labels = []
    for line, label in labels_in(path, spec):
        n_sent += 1
        waiting.append((line, label))
        if len(waiting) == LABELS_A_REQUEST:
            refused += _sent(waiting, send)
            waiting = []
    if waiting:
        refused += _sent(waiting, send)
    return n_sent, refused


def labels_in(path: Path, spec: "ModelSpec") -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the labels of a file, each with its line, as the server takes them.

    Raises SettingsError for a file that has none.
    """
    for line, row in _rows(path, spec):
        yield line, label_of(row, spec)


def _sent(labels: Labels, send: Send) -> list[tuple[int, str]]:
    outcomes = send([one for _, one in labels])
    return [
        (line, str((outcome.get("error") or {}).get("detail", "refused")))
        for (line, _), outcome in zip(labels, outcomes, strict=True)
        if outcome.get("status") != "success"
    ]


def label_of(row: Mapping[str, str], spec: "ModelSpec") -> dict[str, Any]:
    """A label as the server takes it; the server says what is wrong with it."""
    names = _columns(spec)
    actual: Any = (
        row[ACTUAL] if names == (ACTUAL,) else {name: _number(row[name]) for name in names}
    )
    if not spec.is_classifier and names == (ACTUAL,):
        actual = _number(actual)
    return {ID: row[ID].strip(), ACTUAL: actual}


def _columns(spec: "ModelSpec") -> tuple[str, ...]:
    return spec.outputs if spec.outputs and not spec.target else (ACTUAL,)


def _number(text: str) -> Any:
    try:
        found = float(text)
    except ValueError:
        return text
    # JSON has neither, and the server says what it expects.
    return found if abs(found) < float("inf") else text


def _rows(path: Path, spec: "ModelSpec") -> Iterator[tuple[int, dict[str, str]]]:
    import csv

    from serve_app.errors import SettingsError

    wanted = (ID, *_columns(spec))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            missing = [name for name in wanted if name not in columns]
            if missing:
                raise SettingsError(
                    f"{path}: the column {missing[0]} is missing; expected {', '.join(wanted)}"
                )
            doubled = [name for name in wanted if columns.count(name) > 1]
            if doubled:
                raise SettingsError(
                    f"{path}: the column {doubled[0]} stands twice; expected it once, since nobody "
                    "knows which one is meant"
                )
            for row in reader:
                yield reader.line_num, {name: row[name] or "" for name in wanted}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(f"{path}: cannot be read ({reason}); expected a CSV in UTF-8") from None
