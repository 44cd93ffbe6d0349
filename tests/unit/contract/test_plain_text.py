"""What a terminal would obey is found in a text, and made harmless; all other text stays."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from serve_app.contract.plain_text import PLAIN_PATTERN, PlainText, control_fault, plain

OBEYED = (
    *map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)),
    *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
)
SPACES = "\n\r\t"
KEPT = "why: §1 ✓ Zürich 'naïve' ‎שלום‏ 東京 🙂 \N{NO-BREAK SPACE}~"


def test_what_a_terminal_obeys_is_no_part_of_a_plain_text() -> None:
    """Escapes clear a screen, C1 does the same in one letter, an override turns the letters."""
    for letter in OBEYED:
        found = plain(f"a{letter}b")
        assert found in ("a b", "a\ufffdb")
        assert bool(control_fault(letter)) is (letter not in SPACES)
    assert control_fault("a\x1b[2J") == "U+001B"
    assert TypeAdapter(PlainText).validate_python("a\x9b2J\nb") == "a\ufffd2J b"


def test_all_other_text_stays_as_it_is() -> None:
    """Languages that are written from right to left are no attack."""
    assert plain(KEPT) == KEPT
    assert control_fault(KEPT + SPACES) == ""


@pytest.mark.parametrize("text", [KEPT, "", SPACES, *OBEYED])
def test_the_pattern_of_the_schema_means_the_same_everywhere(text: str) -> None:
    """As Python reads it, and as pydantic does (Rust)."""
    adapter = TypeAdapter(PlainText)
    schema = {"type": "str", "pattern": PLAIN_PATTERN}
    is_plain = control_fault(text) == ""
    assert adapter.validate_python(text) == plain(text)
    assert bool(re.search(PLAIN_PATTERN.replace("$", r"\Z"), text)) is is_plain
    from pydantic_core import SchemaValidator

    validator = SchemaValidator(schema)
    if is_plain:
        assert validator.validate_python(text) == text
        return
    with pytest.raises(ValidationError):
        validator.validate_python(text)
