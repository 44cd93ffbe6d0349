"""`sluice drift`: how the rows of today differ from those that each version was trained on."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words
from serve_app.commands.target import CONFIG, ConfigOption, ModelOption

if TYPE_CHECKING:
    from serve_app.monitoring.drift_view import DriftView

# Others are for programs alone.
LONG_NAMES = {"1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days"}


def drift(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="Of the server, with the model's prefix, such as …:8000/delivery-time; else as "
            "the file says.",
        ),
    ] = None,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how rows and scores differ from training, the worst first.

    Exit code 1: refused; 2: no answer.
    """
    from serve_app.commands import rollout_client as client
    from serve_app.commands.target import find_target

    with errors_in_words(client.Unreachable):
        target = find_target(url, model, config)
        if url is None:
            typer.echo(target.said, err=True)
        view = client.drift(target.url)
    if as_json:
        typer.echo(json.dumps(view.model_dump(mode="json")))
        return
    for line in lines(view):
        typer.echo(line)


def lines(view: "DriftView") -> Iterator[str]:
    """What is shown: of each version and window its rows, and its worst fields."""
    if view.detail:
        yield view.detail
    for version, found in view.versions.items():
        if found.detail:
            yield f"{version}: {found.detail}"
        shown = [(name, one) for name, one in found.windows.items() if name in LONG_NAMES]
        for name, window in shown:
            n_fields = len(window.features) + len(window.scores)
            yield (
                f"{version}, {LONG_NAMES[name]}: {window.n_rows:,} rows since "
                f"{window.since:%d %b %H:%M} UTC; {window.n_drifting} of {n_fields} features and "
                "scores have drifted"
            )
            # Those that have drifted come first.
            for place, sentence in enumerate(window.worst):
                yield f"  {'!' if place < window.n_drifting else ' '} {sentence}"
