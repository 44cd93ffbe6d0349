"""`sluice score`: a file of rows in, the same file with the model's answers out.

Rows come from CSV or Parquet (`tables`), are read as a server reads them (`column`, `rows`), and
are answered by a bundle (`with_bundle`) or a running server (`with_server`). `run` puts it
together.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.target import CONFIG, ConfigOption, ModelOption, take_model

if TYPE_CHECKING:
    from serve_app.bundle.predictor import Predictor
    from serve_app.contract import ModelSpec


def score(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] FILE",
            help="The model, such as churn; rows in a .csv, or in a .parquet with pyarrow.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to, .csv or .parquet; else CSV on stdout.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Of the bundle; else the file's stable one.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", help="Of the bundle; else MODEL_PATH, else as the file says."),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Ask the server there instead of a bundle.")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the running server that the file names.")
    ] = False,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Score a file of rows with a bundle, here and without a server, or with a running server.

    Writes the columns of the file, those of the answer, and `error`: a row that a server would
    refuse is marked there with its line and the reason. Order is kept. Exit code 1: rows are
    marked; 2: file, bundle or server cannot be read.
    """
    from serve_app.commands.score.run import score_file
    from serve_app.commands.terminal import Terminal
    from serve_app.errors import SluiceError
    from serve_app.models import get_spec

    console = Terminal(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with errors_in_words(SluiceError):
        named, [file] = take_model(words, 1, model, config)
        path = Path(file)
        spec = get_spec(_listed(named, config))
        source, said = _source(spec, named, version, store, url, online, config)
        found = score_file(spec, source, path, out, console)
    console.print(
        f"{path}: {found.n_rows:,} rows scored with {said} in {found.seconds:.1f} s; "
        + (f"{found.n_bad:,} are marked in the column error" if found.n_bad else "none is marked"),
        style="yellow" if found.n_bad else "green",
    )
    if found.n_bad:
        raise typer.Exit(ExitCode.REFUSED)


def _listed(model: str, config: Path) -> str:
    """A model as the file writes it, so that `loan` is enough for `shop.models.loan`."""
    from serve_app.commands.target import read_config, servers_of
    from serve_app.errors import SettingsError

    try:
        served = servers_of(read_config(config))
    except SettingsError:
        # A bundle that is named in full needs no file.
        return model
    return next((one.model for one in served if one.is_called(model)), model)


def _source(
    spec: "ModelSpec",
    model: str,
    version: str | None,
    store: str | None,
    url: str | None,
    online: bool,
    config: Path,
) -> "tuple[Predictor | str, str]":
    """Who answers, and how to say that. Raises SettingsError or BundleError."""
    from serve_app.bundle.loading import load
    from serve_app.bundle.stores import open_store, served_uri
    from serve_app.commands.target import choose, find_target, read_config, servers_of
    from serve_app.errors import SettingsError

    if url is not None or online:
        if version is not None or store is not None:
            raise SettingsError(
                "--version, --store: found with a server, which has its own table; expected one of "
                "the two ways"
            )
        target = find_target(url, model, config)
        return target.url, target.said
    pin = None
    keys: tuple[str, ...] = ()
    said = ""
    if version is None or store is None:
        try:
            served = choose(servers_of(read_config(config)), model, config)
        except SettingsError as error:
            if version is None:
                raise SettingsError(f"{error}; or name a bundle with --version") from None
        else:
            if version is None:
                version = served.stable
                pin = served.pin
                said = f", the stable version of {config}"
            if store is None:
                store = served_uri(served.store)
                keys = served.public_keys
    if version is None:
        raise SettingsError(f"{config}: names no stable version of {model}; say it with --version")
    place = open_store(store or served_uri("model_store"))
    predictor = load(place, spec, version, pin, keys)
    return predictor, f"{spec.name} {version} of {place.uri}{said}"
