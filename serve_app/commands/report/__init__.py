"""`sluice report`: one page for people who do not read metrics: traffic, quality, drift, slices."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words
from serve_app.commands.log.options import LastOption, since_of
from serve_app.commands.target import (
    CONFIG,
    STORE,
    ConfigOption,
    ModelOption,
    StoreOption,
    take_model,
)

if TYPE_CHECKING:
    from serve_app.commands.report.asked import Seen
    from serve_app.contract import ModelSpec

LOG_PATH = "LOG_PATH"
NO_LOG = "There is no prediction log: no traffic over time, and no slices."
NOT_READ = (
    "No traffic over time, and no slices: the prediction log that {0} names was not read, since "
    "--url may be of another server. LOG_PATH={1} before the command reads it too, and --log {1} "
    "reads it alone."
)


def report(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]", help="The model, such as churn.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page; else report-<model>.html here.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Of the server; else the one that the file names.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log", help="Of this prediction log alone: no server is asked. A folder or URI."
        ),
    ] = None,
    last: LastOption = None,
    store: StoreOption = STORE,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Write one page to read offline: traffic, quality, drift against training, slices, versions.

    The server is asked, and the prediction log read where there is one; `--last` is for the log.

    Exit code 1: refused, or the page cannot be written; 2: server or log cannot be read.
    """
    from serve_app.commands.report.page import page
    from serve_app.commands.rollout_client import Unreachable
    from serve_app.errors import PredictionLogError, SettingsError
    from serve_app.models import get_spec

    with errors_in_words(Unreachable, PredictionLogError):
        named, _ = take_model(words or [], 0, model, config)
        spec = get_spec(named)
        seen = _seen(spec, named, url, log, last, store, config)
        path = out or Path(f"report-{spec.name}.html")
        try:
            path.write_text(page(seen), encoding="utf-8", errors="replace")
        except OSError as error:
            raise SettingsError(f"{path}: cannot be written ({error.strerror})") from None
    for trouble in seen.troubles:
        typer.echo(trouble, err=True)
    typer.echo(f"{path}: of {' and '.join(seen.sources)}")


def _seen(
    spec: "ModelSpec",
    named: str,
    url: str | None,
    log: str | None,
    last: str | None,
    store: str,
    config: Path,
) -> "Seen":
    """What is known. Raises what the one source raises, or the server where neither is there."""
    from serve_app.bundle.stores import open_store
    from serve_app.commands.report.asked import ask_server, nothing_seen, read_log
    from serve_app.commands.target import choose, find_target, read_config, servers_of
    from serve_app.errors import PredictionLogError
    from serve_app.monitoring.log.place import LogPlace

    seen = nothing_seen(spec)
    since = since_of(last)
    if log is not None:
        read_log(seen, LogPlace(log), spec, open_store(store), since)
        return seen
    ask_server(seen, find_target(url, named, config).url)
    place = os.environ.get(LOG_PATH)
    if place is None and url is None and config.exists():
        place = choose(servers_of(read_config(config)), named, config).log
    if place is None:
        in_file = None if url is None else _log_of(config, named)
        seen.troubles.append(NO_LOG if in_file is None else NOT_READ.format(config, in_file))
        return seen
    try:
        read_log(seen, LogPlace(place), spec, open_store(store), since)
    except PredictionLogError as error:
        seen.troubles.append(str(error))
    return seen


def _log_of(config: Path, named: str) -> str | None:
    """The prediction log that a file names; None also where it is no file of this model."""
    from serve_app.commands.target import choose, read_config, servers_of
    from serve_app.errors import SettingsError

    try:
        return choose(servers_of(read_config(config)), named, config).log
    except SettingsError:
        return None
