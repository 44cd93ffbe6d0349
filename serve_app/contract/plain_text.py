"""Text without what a terminal obeys: control characters, and those that turn the order of letters.

Whoever writes into a log, a store or a table is read by an operator: `ESC [2J` in a reason would
clear the screen, and a bidirectional override shows a name that it is not.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

_SPACES = "\n\r\t"
# C0 but for these, DEL and C1, line and paragraph separators, bidirectional embeddings, overrides
# and isolates.
# As Python, Rust and ECMAScript all read it.
_OBEYED = (
    r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
)
# Of a JSON schema.
PLAIN_PATTERN = f"^[^{_OBEYED}]*$"
_FOUND = re.compile(f"[{_OBEYED}]")
_FOUND_OR_SPACE = re.compile(f"[{_OBEYED}{_SPACES}]")
REPLACEMENT = "\ufffd"


def control_fault(text: str) -> str:
    """Name the first character that a terminal would obey; empty when there is none.

    Ends of lines and tabs are none: prose may have them.
    """
    found = _FOUND.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""


def plain(text: str) -> str:
    """The text with U+FFFD for what a terminal would obey, in one line."""
    return _FOUND_OR_SPACE.sub(_harmless, text)


def _harmless(found: re.Match[str]) -> str:
    return " " if found[0] in _SPACES else REPLACEMENT


# Of records that others may have written: harmless as soon as it is read.
PlainText = Annotated[str, AfterValidator(plain)]
