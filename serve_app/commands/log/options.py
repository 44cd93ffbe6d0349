"""What commands about the prediction log share: where it is, and how far back they look."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.target import choose, read_config, servers_of

if TYPE_CHECKING:
    from serve_app.monitoring.log.place import LogPlace

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LAST = re.compile(r"([1-9][0-9]{0,4})([mhdw])")

LogOption = Annotated[
    str | None,
    typer.Option(
        "--log",
        envvar="LOG_PATH",
        help="Folder or URI of the prediction log; else as the file says.",
    ),
]
LastOption = Annotated[
    str | None,
    typer.Option("--last", metavar="TIME", help="Only what is as new: 30m, 12h, 7d, 4w; else all."),
]


def since_of(last: str | None) -> datetime | None:
    """The time that `--last` means; None: from the beginning. Raises SettingsError."""
    from serve_app.errors import SettingsError

    if last is None:
        return None
    found = LAST.fullmatch(last)
    if not found:
        raise SettingsError(f"--last: found {last!r}, expected a time such as 30m, 12h, 7d or 4w")
    return datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})


def log_place(model: str, log: str | None, config: Path) -> "LogPlace":
    """Where the log of a model is. Raises SettingsError where none is kept, PredictionLogError."""
    from serve_app.errors import SettingsError
    from serve_app.monitoring.log.place import LogPlace

    if log is None:
        log = choose(servers_of(read_config(config)), model, config).log
    if log is None:
        raise SettingsError(
            f"{config}: {model} keeps no prediction log; write `log: prediction_log` into its "
            "args, or name one with --log"
        )
    return LogPlace(log)
