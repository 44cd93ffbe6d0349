"""The `sluice` command: a list of commands, each in a module of its name.

Each command imports what it needs itself, so that `sluice --help` is quick.
"""

import logging
import sys
from pathlib import Path

import typer

from serve_app.commands import keys, log, rollout
from serve_app.commands.bundles import keygen, push, sign, versions
from serve_app.commands.check import check
from serve_app.commands.diff import diff
from serve_app.commands.drift import drift
from serve_app.commands.env import env
from serve_app.commands.label import label
from serve_app.commands.manifests import manifests
from serve_app.commands.monitor import monitor
from serve_app.commands.new import ANY_OPTION, new
from serve_app.commands.ready import ready
from serve_app.commands.replay import replay
from serve_app.commands.report import report
from serve_app.commands.retrain import retrain
from serve_app.commands.score import score
from serve_app.commands.size import size
from serve_app.commands.up import up
from serve_app.commands.why import why

COMMANDS = (
    check,
    manifests,
    diff,
    score,
    drift,
    monitor,
    label,
    replay,
    report,
    up,
    ready,
    env,
    size,
    push,
    versions,
    keygen,
    sign,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Lines of a docstring's paragraph flow, as wide as the terminal is.
    rich_markup_mode="markdown",
)
app.add_typer(rollout.app, name="rollout")
app.add_typer(keys.app, name="keys")
app.add_typer(log.app, name="log")
for command in COMMANDS:
    app.command()(command)
# A prediction id may begin with a dash, as an option does.
app.command(context_settings={"ignore_unknown_options": True})(why)
# Their options are those of `python -m training new` and `retrain`, which also write their help.
app.command(context_settings=ANY_OPTION)(new)
app.command(context_settings=ANY_OPTION)(retrain)


@app.callback()
def sluice() -> None:
    """Serve tabular models on Ray Serve, and let new versions in slowly, watched, and out again."""


def main() -> None:
    """Run the command line."""
    # A folder shop/ next to serve_config.yaml is found without being installed, as Ray finds it.
    sys.path.append(str(Path.cwd()))
    # `diff` counts the rows that fail: a line of log for each of them would say no more.
    logging.getLogger("serve_app").setLevel(logging.ERROR)
    app(prog_name="sluice")


if __name__ == "__main__":
    main()
