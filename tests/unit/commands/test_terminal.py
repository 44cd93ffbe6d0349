"""What others wrote is shown on an operator's terminal, and not obeyed."""

import io
import json
import re
from pathlib import Path

import pytest
from checking import manifest_of
from rich.table import Table
from typer.testing import CliRunner
from views import event, rollout_view

from serve_app.bundle.manifest import MANIFEST, parse
from serve_app.bundle.store import FolderStore
from serve_app.commands.main import app
from serve_app.commands.rollout_page import page
from serve_app.commands.terminal import Terminal
from serve_app.errors import BundleError

# Clear the screen, in two ways; ring; turn the letters.
ATTACK = "a\x1b[2Jb\x9b2Jc\x07d\u202ee"
HARMLESS = "a\ufffd[2Jb\ufffd2Jc\ufffdd\ufffde"
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def shown(*things: object) -> str:
    """What a terminal with colours gets; without the colours."""
    said = io.StringIO()
    terminal = Terminal(file=said, force_terminal=True, width=200, highlight=False, markup=False)
    for thing in things:
        terminal.print(thing, style="red")
    assert "\x1b[31m" in said.getvalue(), "our own colours are kept"
    return COLOUR.sub("", said.getvalue())


def test_a_text_and_a_table_are_shown_harmless() -> None:
    """Letters that a terminal obeys are U+FFFD; lines end where they did."""
    table = Table(ATTACK)
    table.add_row(ATTACK)
    found = shown(ATTACK + "\nnext", table)
    # Rich leaves bells out of a Text by itself.
    for letter in "\x1b\x9b\x07\u202e":
        assert letter not in found
    assert "\ufffd[2Jb" in found
    assert "\nnext\n" in found


def test_the_page_of_a_rollout_obeys_nothing_that_a_server_says() -> None:
    """Nor do the values of slices, which come from data."""
    view = rollout_view(trouble=ATTACK, now=ATTACK, few_keys=ATTACK)
    view.worst_slices[0].rows = ATTACK
    found = shown(page(view))
    assert not set(found) & set("\x1b\x9b\x07\u202e")
    assert found.count("\ufffd[2Jb") == 4


def test_a_decision_that_another_wrote_is_harmless_as_soon_as_it_is_read() -> None:
    """A log may be older than the rule that keeps such letters out of it."""
    found = event(1, "paused", 5.0, ATTACK, f"{ATTACK}\nb", writer=ATTACK, cause=ATTACK)
    assert (found.by, found.writer, found.cause) == (HARMLESS,) * 3
    assert found.reason == f"{HARMLESS} b"


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("created_at", {"created_at": "2026\x1b[2J"}),
        ("runtime_reason", {"runtime_reason": "a\x9b2J"}),
        ("notes", {"notes": ["fine", "\u202eenif"]}),
        ("libraries", {"libraries": {"a\x07": "1"}}),
        ("parameters", {"parameters": {"\x7f": 1.0}}),
    ],
)
def test_a_manifest_with_such_letters_is_no_manifest(place: str, change: dict[str, object]) -> None:
    """It is refused before a listing prints it, with the place and without the letters."""
    with pytest.raises(BundleError, match=f"{place}: found the control character U") as error:
        parse(manifest_of("churn", "1.0.0", **change), "store")
    assert not set(str(error.value)) & set("\x1b\x9b\x07\x7f\u202e")


def test_a_listing_of_a_store_with_such_a_manifest_says_so(tmp_path: Path) -> None:
    """As `sluice versions` does, in one sentence."""
    manifest = manifest_of("churn", "1.0.0", created_at="2026-01-01\x1b]0;owned\x07")
    FolderStore(tmp_path).write("churn", "1.0.0", {MANIFEST: manifest})
    result = CliRunner().invoke(app, ["versions", "churn", "--store", str(tmp_path)])
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "created_at: found the control character U+001B" in result.output.replace("\n", " ")


def test_values_of_rows_may_hold_any_letter() -> None:
    """A contract is as its data is; so are prose's ends of lines."""
    data = json.loads(manifest_of("churn", "1.0.0", notes=["one\ntwo"]))
    data["golden_rows"][0]["row"]["region"] = "a\x1bb"
    data["classes"] = ["a\x0b", "b"]
    assert parse(json.dumps(data).encode(), "store").classes == ["a\x0b", "b"]
