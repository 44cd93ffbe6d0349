"""`sluice keys add|list|revoke`: the file of API keys, as a person handles it."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make, list and revoke API keys. Exit code 1: refused, or the file cannot be used.",
)
FileOption = Annotated[
    Path, typer.Option("--file", envvar="KEYS_PATH", help="The key file, which servers follow.")
]
KEYS = Path("keys.yaml")
Id = Annotated[str, typer.Argument(metavar="ID", help="Who uses the key, such as shop-2026.")]


@app.command()
def add(
    id_: Id,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="predict (the default), feedback or admin, which includes both; more than once.",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Such as 2027-01-31T00:00:00Z; else never.")
    ] = None,
    rows_per_s: Annotated[
        float | None, typer.Option("--rows-per-s", help="Most rows a second, of each model.")
    ] = None,
    burst_rows: Annotated[
        int | None, typer.Option("--burst-rows", help="Rows that may come at once.")
    ] = None,
    file: FileOption = KEYS,
) -> None:
    """Make a key, write its hash into the file, and print the key: here and now alone.

    Servers that follow the file take it within seconds.
    """
    from datetime import UTC, datetime

    from serve_app.access.key_file import alone_in, read_key_file, write_key_file
    from serve_app.access.keys import KeyFile, new_entry, new_secret, secret_sha256, whole_key
    from serve_app.errors import SettingsError

    secret = new_secret()
    values = {
        "id": id_,
        "secret_sha256": secret_sha256(secret),
        "scopes": scope or ["predict"],
        "expires": expires,
        "rows_per_s": rows_per_s,
        "burst_rows": burst_rows,
    }
    with errors_in_words(), alone_in(file.parent):
        _require_path(file)
        entry = new_entry(values)
        if entry.expires is not None and entry.expires <= datetime.now(UTC):
            raise SettingsError("expires: found a time that is over, expected one to come")
        known = read_key_file(file).keys if file.exists() else ()
        if any(other.id == entry.id for other in known):
            raise SettingsError(
                f"{file}: has a key {entry.id} already; expected another id, or "
                f"`sluice keys revoke {entry.id}` first"
            )
        write_key_file(file, KeyFile(keys=(*known, entry)))
        typer.echo(whole_key(entry.id, secret))
        typer.echo(f"{file}: has its hash; the key above is shown this once", err=True)


@app.command("list")
def list_(file: FileOption = KEYS) -> None:
    """List the keys of the file: who, what for, until when. No secret or hash is shown."""
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.table import Table

    from serve_app.access.key_file import read_key_file

    with errors_in_words():
        _require_path(file)
        found = read_key_file(file)
    table = Table("id", "scopes", "expires", "rows/s", "burst", box=None)
    now = datetime.now(UTC)
    for entry in found.keys:
        expires = "never" if entry.expires is None else f"{entry.expires:%Y-%m-%d %H:%M} UTC"
        if entry.expires is not None and entry.expires <= now:
            expires += " (expired)"
        table.add_row(
            entry.id,
            ", ".join(entry.scopes),
            expires,
            "" if entry.rows_per_s is None else f"{entry.rows_per_s:g}",
            "" if entry.burst_rows is None else f"{entry.burst_rows}",
        )
    Console(soft_wrap=True, highlight=False).print(table)


@app.command()
def revoke(id_: Id, file: FileOption = KEYS) -> None:
    """Take a key out of the file; servers that follow it refuse the key within seconds."""
    from serve_app.access.key_file import alone_in, read_key_file, write_key_file
    from serve_app.access.keys import KeyFile
    from serve_app.errors import SettingsError

    with errors_in_words(), alone_in(file.parent):
        _require_path(file)
        found = read_key_file(file)
        kept = tuple(entry for entry in found.keys if entry.id != id_)
        if len(kept) == len(found.keys):
            known = ", ".join(entry.id for entry in kept) or "none"
            raise SettingsError(f"{file}: has no key of this id; expected one of: {known}")
        write_key_file(file, KeyFile(keys=kept))
        typer.echo(f"{file}: {id_} revoked")


def _require_path(file: Path) -> None:
    """Raises SettingsError where the variable says that there are no keys."""
    from serve_app.errors import SettingsError
    from serve_app.settings import AUTH_DISABLED

    if str(file) == AUTH_DISABLED:
        raise SettingsError("KEYS_PATH: found disabled, expected the path of a key file")
