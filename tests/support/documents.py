"""README and docs/ as tests read them: fenced blocks with their tags, and commands.

A fence's info string says what a block is, and after it what becomes of the block in the tests:

    ```console run               run for real in a temporary copy (tests/docs/test_commands_run.py)
    ```console server            needs a running Sluice, and is run against one; README alone
    ```console runs-in=FILE      run by another test, which is named
    ```console needs-docker      not run here; NEEDS lists what else a block can need
    ```python run                run like `console run`; other Python is compiled only
    ```yaml                      a table of a server, or a list of applications
    ```yaml in=FILE              a piece of that file

A console block has one of these tags. However it is run, `tests/docs/test_commands.py` checks that
its commands, their options and their files exist.

In a console block a command begins with `$ ` and goes on while a quote is open or a line ends with
a backslash; every other line is output.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS = ("docker", "kubernetes", "cluster", "cloud", "network", "time")
_FENCE = re.compile(r"^```(\w*)([^`]*)$")
_SEPARATORS = {"|", "||", "&", "&&", ";"}
# Of a loop in a shell, which runs programs and is none.
_LOOP = {"until", "do", "done"}
_REDIRECTIONS = {">", ">>", "<", "2>"}


@dataclass(frozen=True)
class Block:
    """A fenced block. `place` is page and line, for messages."""

    page: Path
    place: str
    language: str
    tags: tuple[str, ...]
    text: str

    @property
    def needs(self) -> str | None:
        """What a person needs who wants to run this, other than this project."""
        found = [tag.removeprefix("needs-") for tag in self.tags if tag.startswith("needs-")]
        return found[0] if found else None

    @property
    def runs_in(self) -> str | None:
        """The other test that runs it."""
        found = [tag.removeprefix("runs-in=") for tag in self.tags if tag.startswith("runs-in=")]
        return found[0] if found else None

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, each as it is typed."""
        commands: list[str] = []
        is_open = False
        for line in self.text.splitlines():
            if is_open:
                commands[-1] += "\n" + line
            elif line.startswith("$ "):
                commands.append(line.removeprefix("$ "))
            else:
                continue
            is_open = line.endswith("\\") or _has_open_quote(commands[-1])
        return commands


def _has_open_quote(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError as error:
        return "quotation" in str(error)
    return False


def pages() -> list[Path]:
    """Every page that people read."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text().splitlines()
    begin: int | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if begin is None:
            begin = number
            continue
        language, tags = _FENCE.match(lines[begin]).groups()  # type: ignore[union-attr]
        text = "\n".join(lines[begin + 1 : number]) + "\n"
        place = f"{page.relative_to(ROOT)}:{begin + 1}"
        found.append(Block(page, place, language, tuple(tags.split()), text))
        begin = None
    assert begin is None, f"{page}:{begin}: a fence without an end"
    return found


def prose_of(page: Path) -> str:
    """The page without its fenced blocks; their lines are left empty, so that line numbers stay."""
    lines = []
    is_inside = False
    for line in page.read_text().splitlines():
        is_fence = _FENCE.match(line) is not None
        lines.append("" if is_inside or is_fence else line)
        is_inside ^= is_fence
    return "\n".join(lines)


def inline_code(page: Path) -> list[str]:
    """The code spans of the prose; a line break inside one counts as a space."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose_of(page))]


def programs(command: str) -> list[list[str]]:
    """A command line as its programs with their words.

    It is split at pipes and `&&`, and what is in `$(…)` is a program by itself. Redirections, and
    assignments of variables and words of a loop in front of a program, are left out.
    """
    inner = re.findall(r"\$\(([^()]*)\)", command)
    outer = re.sub(r"\$\([^()]*\)", "SUBSTITUTED", command).replace("\\\n", " ")
    lexer = shlex.shlex(outer, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    is_target = False
    for word in lexer:
        if word in _SEPARATORS:
            found.append([])
        elif word in _REDIRECTIONS:
            is_target = True
        elif is_target:
            is_target = False
        elif not found[-1] and word in _LOOP:
            continue
        elif found[-1] or not re.fullmatch(r"\w+=.*", word):
            found[-1].append(word)
    parts = [words for words in found if words]
    for text in inner:
        parts += programs(text)
    return parts
