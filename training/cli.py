"""`python -m training`: a command for each model, and `bundle` for a fitted pipeline.

A model of somebody's own is named by the module of its contract, `shop.models.loan`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from typer.core import TyperGroup

from serve_app.bundle.stores import open_store
from serve_app.commands.exit_codes import ExitCode
from serve_app.commands.target import STORE, StoreOption
from serve_app.errors import SettingsError, SluiceError
from serve_app.models import EXAMPLE, MODELS, get_spec, is_module
from training.bundling import Written
from training.foreign import types_to_trust
from training.new.cli import add_new
from training.recipe import get_training
from training.retraining.cli import add_retrain
from training.run import Step, bundle, train

MODEL_HELP = f"One of {', '.join(MODELS)}, or the module of a contract: {EXAMPLE}."
HELP = f"""Train a model and write its bundle: one of {", ".join(MODELS)}, or of a contract of your
own by its module, such as {EXAMPLE}.

With `bundle`, a pipeline that is fitted already becomes a version."""

# Of more classes or notes, the report tells all.
MOST_CLASSES = 10
MOST_NOTES = 20

console = Console()
Outcome = TypeVar("Outcome")


class Commands(TyperGroup):
    """The commands; for one that does not exist it says which do."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; a dotted module is one too."""
        if is_module(cmd_name):
            return _command_of(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args` begin with. Raises a usage error that lists all of them."""
        if args and args[0] not in self.commands and not is_module(args[0]):
            raise typer.BadParameter(
                f"found {args[0]!r}, expected one of {', '.join(self.commands)}, or a module with "
                f"SPEC such as {EXAMPLE}",
                param_hint="MODEL",
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=HELP,
)

VersionOption = Annotated[
    str, typer.Option("--version", help="Semantic version of the new bundle, such as 1.0.0.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="CSV file; without it, a recipe makes the rows.")
]
HoldoutOption = Annotated[
    Path, typer.Option("--data", help="CSV file with rows that the pipeline has not seen.")
]
PipelineOption = Annotated[
    Path,
    typer.Option(
        "--pipeline",
        help="File written by joblib.dump or skops, or a model folder of MLflow. OPENING IT RUNS "
        "THE CODE INSIDE: trust it first.",
    ),
]
MissingTextOption = Annotated[
    str | None,
    typer.Option(
        "--missing-text",
        help="What the pipeline was fitted on in place of a missing text: nan, none, or =TEXT; "
        "without it, the pipeline is asked.",
    ),
]
TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", metavar="TYPE", help="A type in a .skops file that may be opened; repeatable."
    ),
]


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m training")


def _add_model(to: typer.Typer, model: str) -> None:
    """A command with the model's name."""

    @to.command(model, help=_help(model))
    def command(
        version: VersionOption, data: DataOption = None, store: StoreOption = STORE
    ) -> None:
        _run(
            lambda step: train(
                get_training(model), get_spec(model), version, open_store(store), data, step
            )
        )


def _help(model: str) -> str:
    """What the command of a model does, or why it cannot."""
    try:
        return f"Train {get_spec(model).title.lower()} and write the bundle."
    except SettingsError as error:
        return str(error)


def _command_of(module: str) -> Any:
    """The command of a model that is named by its module."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    _add_model(single, module)
    return typer.main.get_command(single)


for _name in MODELS:
    _add_model(app, _name)


@app.command("bundle")
def bundle_command(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    pipeline: PipelineOption,
    data: HoldoutOption,
    version: VersionOption,
    store: StoreOption = STORE,
    missing_text: MissingTextOption = None,
    trust: TrustOption = None,
) -> None:
    """Make a bundle of a fitted pipeline, as it is. Opening its file runs the code inside it."""
    if model not in MODELS and not is_module(model):
        raise typer.BadParameter(
            f"found {model!r}, expected one of {', '.join(MODELS)}, or a module with SPEC such as "
            f"{EXAMPLE}",
            param_hint="MODEL",
        )
    with _refusals():
        trusted = _trusted(pipeline, trust or [])
        spec = get_spec(model)
        training = get_training(model)
    _run(
        lambda step: bundle(
            training, spec, version, open_store(store), pipeline, data, step, missing_text, trusted
        )
    )


def _trusted(pipeline: Path, trust: list[str]) -> list[str]:
    """The types that may be opened; at a terminal, a person is asked about the others."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return trust
    trusted = list(trust)
    for name in types_to_trust(pipeline):
        if name in trusted:
            continue
        if typer.confirm(f"{pipeline}: {name} is not known to skops. Run its code?"):
            trusted.append(name)
    return trusted


@contextmanager
def _refusals() -> Iterator[None]:
    """A refusal is one message and exit code 1."""
    try:
        yield
    except SluiceError as error:
        Console(stderr=True).print(
            f"[bold red]Refused:[/bold red] {escape(str(error))}", soft_wrap=True, highlight=False
        )
        raise typer.Exit(ExitCode.REFUSED) from None


def _run(work: Callable[[Step], Written]) -> None:
    """Show the steps while `work` goes on, then the outcome."""
    _show(_with_steps(work))


def _with_steps(work: Callable[[Step], Outcome]) -> Outcome:
    """Show the steps while `work` goes on; a refusal is one message and exit code 1."""
    columns = (
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with _refusals(), Progress(*columns, console=console) as progress:

        def step(name: str) -> None:
            _finish(progress)
            progress.add_task(escape(name), total=1)

        outcome = work(step)
        _finish(progress)
        return outcome


add_new(app, _with_steps, console)
add_retrain(app, _run)


def _finish(progress: Progress) -> None:
    for task in progress.tasks:
        progress.update(task.id, completed=1)


def _show(written: Written) -> None:
    """The metrics as a table, then where the bundle is and what a serving table may pin."""
    manifest = written.manifest
    table = RichTable(
        "metric",
        "value",
        "95 % interval",
        title=f"{manifest.model} {manifest.version} on the hold-out",
    )
    has_many = len(manifest.classes) > MOST_CLASSES
    for name, metric in manifest.metrics.items():
        if has_many and name.startswith(("precision_", "recall_")):
            continue
        low, high = _number(metric.low), _number(metric.high)
        table.add_row(escape(name), _number(metric.value), f"{low} – {high}")
    console.print(table)
    if has_many:
        console.print(f"precision and recall of {len(manifest.classes)} classes: see report.html")
    for name, value in (
        ("runtime", f"{manifest.runtime} ({manifest.runtime_reason})"),
        ("bundle", written.where),
        ("manifest_sha256", written.manifest_sha256),
    ):
        console.print(f"{name}: {escape(value)}", soft_wrap=True, highlight=False)
    for note in manifest.notes[:MOST_NOTES]:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True, highlight=False)
    if len(manifest.notes) > MOST_NOTES:
        console.print(f"and {len(manifest.notes) - MOST_NOTES} more notes: see report.html")


def _number(value: float) -> str:
    """Four decimals, or four digits where these would say nothing."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.4g}"
