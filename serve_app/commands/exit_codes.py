"""How a command ends: the table of exit codes, and the one way to say an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from serve_app.errors import SluiceError


class ExitCode(IntEnum):
    """What a script can tell from a command's end. The help of each command says which it uses."""

    OK = 0
    # The command was understood, and the answer is no: faults in a file, a version that breaks
    # clients, a store or a server that refuses.
    REFUSED = 1
    # Nothing can be said, because what the command needs cannot be read or does not answer.
    # A wrong command line ends with 2 as well: that is typer's own code.
    UNREADABLE = 2
    # `rollout status` alone: the candidate was aborted or rolled back.
    CANDIDATE_OUT = 3
    # `diff --fail-on` alone: which limit the candidate does not keep. Of several the lowest counts.
    WORSE = 4
    FLIPS = 5
    SHIFTED = 6
    SLOWER = 7
    # `monitor` and `retrain --if-needed`: another training would help; the data is at fault, and a
    # person has to look.
    RETRAIN = 10
    DATA_FAULT = 20
    # Programs of benchmarks/: Ctrl-C ended it, in the number that shells have for that.
    INTERRUPTED = 130


@contextmanager
def errors_in_words(*unreadable: "type[SluiceError]") -> Iterator[None]:
    """Turn an error raised inside into one red sentence on stderr and an exit code.

    The code is UNREADABLE for errors of the classes `unreadable`, and REFUSED for every other.
    What is no SluiceError is a defect of ours and passes through.
    """
    from serve_app.errors import SluiceError

    try:
        yield
    except SluiceError as error:
        say_error(str(error))
        is_unreadable = isinstance(error, unreadable)
        raise typer.Exit(ExitCode.UNREADABLE if is_unreadable else ExitCode.REFUSED) from None


def say_error(text: str) -> None:
    """Print one sentence in red on stderr; nothing in it is taken for markup or cut into lines."""
    from serve_app.commands.terminal import Terminal

    console = Terminal(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)
    console.print(text, style="red")
