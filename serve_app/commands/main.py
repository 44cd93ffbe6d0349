"""The `sluice` command. Each command imports what it needs itself, so that `sluice --help` is quick."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands import bundles, rollout

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(rollout.app, name="rollout")
for command in (bundles.push, bundles.versions, bundles.keygen, bundles.sign):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    logging.getLogger("serve_app").setLevel(
        logging.ERROR
    )  # `diff` counts rows that fail, a line for each says no more
    app(prog_name="sluice")


@app.callback()
def sluice() -> None:
    """Serve tabular models on Ray Serve, and let new versions in slowly, watched, and out again at once."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = Path("serve_config.yaml"),
    store: Annotated[
        bool, typer.Option("--store/--no-store", help="Look into the bundles of the store too.")
    ] = True,
    cpus: Annotated[
        float | None,
        typer.Option(
            "--cpus", min=0, help="CPUs of the cluster: do all replicas and their surge fit?"
        ),
    ] = None,
) -> None:
    """Find every fault of a serve_config.yaml before it is deployed: Ray itself ignores keys that it does not know.

    Exit code 1 when there are errors; warnings do not fail.
    """
    from rich.console import Console

    from serve_app.commands.check import check_file

    console = Console(soft_wrap=True, markup=False, highlight=False, emoji=False)
    report = check_file(file, with_store=store, n_cpus=cpus)
    for fault in report.faults:
        console.print(report.line(fault), style="red" if fault.severity == "error" else "yellow")
    console.print(report.summary, style="red" if report.n_errors else "green")
    if report.n_errors:
        raise typer.Exit(1)


@app.command()
def manifests(
    file: Annotated[Path, typer.Argument(help="What is served.")] = Path("serve_config.yaml"),
    into: Annotated[Path, typer.Option("--into", help="The RayService.")] = Path(
        "k8s/base/rayservice.yaml"
    ),
) -> None:
    """Write serve_config.yaml into the manifest for KubeRay, as a cluster needs it: two replicas or more of each."""
    from serve_app.commands.manifests import generated
    from serve_app.errors import SettingsError

    try:
        into.write_text(generated(file, into))
    except SettingsError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    check(into)


@app.command()
def diff(
    model: Annotated[str, typer.Argument(help="The model, such as churn.")],
    stable: Annotated[str, typer.Argument(help="The version that answers now.")],
    candidate: Annotated[str, typer.Argument(help="The version to be let in.")],
    store: Annotated[
        str,
        typer.Option(
            "--store", envvar="MODEL_PATH", help="Folder or object-store URI of the bundles."
        ),
    ] = "model_store",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Rows to score with both, best of real traffic.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare two versions before one is let in: contract, metrics, scores of the same rows, size and speed.

    Exit code 1 when the candidate breaks clients of stable, 2 when a bundle or the CSV file cannot be read.
    """
    from rich.console import Console

    from serve_app.bundle.stores import open_store
    from serve_app.commands.diff import compare
    from serve_app.commands.diff.page import as_json, show
    from serve_app.errors import SluiceError
    from serve_app.models import get_spec

    try:
        found = compare(open_store(store), get_spec(model), stable, candidate, csv)
    except SluiceError as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        raise typer.Exit(2) from None
    if json:
        typer.echo(as_json(found))
    else:
        show(found, Console(markup=False, highlight=False, emoji=False))
    if found.broken:
        raise typer.Exit(1)


@app.command()
def up(
    file: Annotated[Path, typer.Argument(help="What to serve.")] = Path("serve_config.yaml"),
    fast: Annotated[
        bool, typer.Option("--fast/--plain", help="With or without Ray's two flags for speed.")
    ] = True,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", envvar="SLUICE_HOST", help="In place of the file's, such as 0.0.0.0."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", envvar="SLUICE_PORT", min=1, max=65_535, help="In place of the file's."
        ),
    ] = None,
    drain_s: Annotated[
        float,
        typer.Option(
            "--drain-s",
            envvar="SLUICE_DRAIN_S",
            min=0,
            max=600,
            help="At SIGTERM: so long not ready, but answering.",
        ),
    ] = 0,
) -> None:
    """Check the file, start `serve run` on this machine, and say where it answers; Ctrl-C or SIGTERM ends it."""
    check(file)
    from rich.console import Console

    from serve_app.commands.up import UpOptions, run
    from serve_app.errors import SettingsError

    console = Console(highlight=False)
    try:
        raise typer.Exit(run(file, UpOptions(fast, host, port, drain_s), console))
    except SettingsError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None


@app.command()
def size(
    rate: Annotated[
        float,
        typer.Option("--rate", help="Requests a second at the peak: 200,000 a minute are 3333."),
    ],
    p95_ms: Annotated[
        float, typer.Option("--p95-ms", help="95 % of the answers within so many milliseconds.")
    ],
    rows: Annotated[int, typer.Option("--rows", help="Rows in each request.")] = 1,
    model: Annotated[
        str | None, typer.Option("--model", help="This model alone; else every server.")
    ] = None,
    file: Annotated[Path, typer.Option("--config", help="Which servers there are.")] = Path(
        "serve_config.yaml"
    ),
    overhead_ms: Annotated[
        float | None,
        typer.Option(
            "--overhead-ms",
            min=0,
            help="CPU a request that Ray adds in a replica; else as benchmarked.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure what a request costs here, and say how many replicas, CPUs and memory a wanted rate takes.

    Every server of the file is sized for the whole rate. Starts no Ray. What it cannot know: docs/performance.md.
    """
    import json
    from dataclasses import replace

    from rich.console import Console

    from serve_app.commands.size import FAST_MODE
    from serve_app.commands.size.servers import Wish, sizes
    from serve_app.commands.size.text import document, show
    from serve_app.errors import SluiceError

    aside = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    wish = Wish(rate, p95_ms, rows)
    overhead = FAST_MODE if overhead_ms is None else replace(FAST_MODE, replica_ms=overhead_ms)
    try:
        found = sizes(file, wish, overhead, model, lambda line: aside.print(line, style="dim"))
    except SluiceError as error:
        aside.print(str(error), style="red")
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(document(found, wish, overhead), indent=1))
    else:
        show(found, wish, overhead, Console(highlight=False, markup=False))
