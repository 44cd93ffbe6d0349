"""`python -m training new`: its options, and what it says at the end."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serve_app.bundle.manifest import Manifest
from training.new.field import Marks
from training.new.look import Wishes
from training.new.write import Made, Order, make
from training.run import Step

# Shows the steps of what it is given.
Run = Callable[[Callable[[Step], Made]], Made]
MOST_SHOWN = 12


def add_new(app: typer.Typer, run: Run, console: Console) -> None:
    """Add the command to `app`; `run` shows the steps of the work, and ends it when refused."""

    @app.command("new")
    def new(
        name: Annotated[str, typer.Argument(help="Name of the new model, such as telco.")],
        data: Annotated[Path, typer.Option("--data", help="CSV file with a header.")],
        target: Annotated[
            str | None,
            typer.Option("--target", help="Column to predict; without it, an anomaly score."),
        ] = None,
        positive: Annotated[
            str | None,
            typer.Option("--positive", help="Of two classes the one whose probability is asked."),
        ] = None,
        kind: Annotated[
            Literal["binary_classifier", "classifier", "regressor"] | None,
            typer.Option("--kind", help="In place of the guess."),
        ] = None,
        pipeline: Annotated[
            Path | None,
            typer.Option(
                "--pipeline",
                help="A fitted pipeline to serve as it is, in a file of joblib.dump or skops or a "
                "model folder of MLflow. OPENING IT RUNS THE CODE INSIDE: trust it first.",
            ),
        ] = None,
        keep: Annotated[
            list[str] | None, typer.Option("--keep", help="A column that must be a field.")
        ] = None,
        leave_out: Annotated[
            list[str] | None, typer.Option("--leave-out", help="A column that must not be one.")
        ] = None,
        decimal: Annotated[
            Literal[".", ","] | None, typer.Option("--decimal", help="Before the fraction.")
        ] = None,
        thousands: Annotated[
            Literal[".", ","] | None, typer.Option("--thousands", help="Between thousands.")
        ] = None,
        day_first: Annotated[
            bool | None,
            typer.Option("--day-first/--month-first", help="Of dates such as 05/06/2026."),
        ] = None,
        config: Annotated[
            Path, typer.Option("--config", help="The file to add the model to.")
        ] = Path("serve_config.yaml"),
        package: Annotated[
            str, typer.Option("--package", help="Folder of your own models, next to --config.")
        ] = "my_models",
        store: Annotated[
            str | None,
            typer.Option(
                "--store",
                envvar="MODEL_PATH",
                help="Folder or object-store URI that keeps the bundles; as in --config.",
            ),
        ] = None,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Write the files of the model again.")
        ] = False,
    ) -> None:
        """Make a model of a CSV file: contract, training, examples, version 1.0.0, and its place
        in serve_config.yaml.

        Each guess stands as a comment next to its field. Exit code 1: refused, with the reason.
        """
        wishes = Wishes(
            target,
            positive,
            kind,
            tuple(keep or ()),
            tuple(leave_out or ()),
            Marks(decimal, thousands, day_first),
        )
        order = Order(name, data, config, package, store, pipeline, overwrite, wishes)
        show(run(lambda step: make(order, step)), order, console)


def show(made: Made, order: Order, console: Console) -> None:
    """What was guessed and made, and the two commands that come next."""
    guess = made.guess
    _say(console, f"\n[bold]{guess.target.kind}[/bold]: {escape(guess.target.why)}")
    nullable = [field.name for field in guess.fields if field.nullable]
    missing = f", {len(nullable)} of them may be missing" if nullable else ""
    _say(console, f"{len(guess.fields)} fields{missing}; each guess stands above its field")
    for left in guess.left_out[:MOST_SHOWN]:
        _say(console, f"left out: {escape(f'{left.column}: {left.why}')}")
    if len(guess.left_out) > MOST_SHOWN:
        _say(console, f"left out: {len(guess.left_out) - MOST_SHOWN} more, see the contract")
    console.print(_metrics(made.written.manifest))
    _say(console, f"runtime: {made.written.manifest.runtime}", markup=False)
    _say(console, f"  {made.written.manifest.runtime_reason}", markup=False)
    _say(console, f"bundle: {made.written.where}", markup=False)
    for path in made.files:
        _say(console, f"written: {path}", markup=False)
    file = "" if str(order.config) == "serve_config.yaml" else f" {order.config}"
    _say(console, "\n[bold]Serve it alone:[/bold]")
    _say(console, f"sluice up{file} --model {order.name}", markup=False)
    _say(console, "[bold]Then ask it:[/bold]")
    _say(console, curl(made), markup=False)
    _say(console, f"It answers: {as_json(made.answer)}", markup=False)


def curl(made: Made) -> str:
    """The command that asks for the first example."""
    body = shlex.quote(as_json(made.request))
    head = f"curl -s {made.url}/v1/predict -H 'Content-Type: application/json'"
    return f"{head} \\\n  -d {body}"


def as_json(values: object) -> str:
    """Compact enough for a terminal."""
    return json.dumps(values, ensure_ascii=False)


def _metrics(manifest: Manifest) -> Table:
    table = Table("metric", "value", "95 % interval", title=f"{manifest.model} on the hold-out")
    for name, metric in manifest.metrics.items():
        table.add_row(name, f"{metric.value:.4f}", f"{metric.low:.4f} – {metric.high:.4f}")
    return table


def _say(console: Console, text: str, *, markup: bool = True) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=markup, emoji=False)
