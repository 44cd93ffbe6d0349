"""Who wrote a file last, and what of our own counts it lacks."""

import pytest

from serve_app.monitoring.file_turns import FileTurns


class Words(list[str]):
    """What one process counted."""

    def merge(self, later: "Words") -> None:
        """Add what came after it."""
        self.extend(later)


def turn(turns: FileTurns[Words], stored: bytes | None, write: bytes) -> bool:
    """A whole turn; whether what was stored was news."""
    is_news = turns.is_news(stored)
    if is_news and stored is not None:
        turns.took(stored)
    turns.take()
    turns.sending(write)
    turns.arrived()
    return is_news


def test_what_was_written_or_read_here_is_no_news() -> None:
    """Only what somebody else wrote is, and a file that is gone is not."""
    turns = FileTurns(Words)
    assert turn(turns, b"theirs", b"both")
    assert not turn(turns, b"both", b"more")
    assert not turn(turns, None, b"again")
    assert turn(turns, b"both", b"last")


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_turn_that_broke_off_is_in_the_next_one_unless_its_bytes_are_there(
    is_whole: bool,
) -> None:
    """In the order in which it was counted, and nothing is lost when it breaks off twice."""
    turns = FileTurns(Words)
    turn(turns, None, b"")
    turns.since.append("first")
    turns.take()
    if is_whole:
        turns.sending(b"first")
    turns.since.append("second")
    assert turns.has_more
    assert not turns.is_news(None)
    assert turns.since == ["first", "second"]
    turns.take()
    turns.sending(b"first second")
    turns.since.append("third")
    assert not turns.is_news(b"first second")
    assert turns.since == ["third"]


def test_there_is_more_as_long_as_it_may_be_in_no_file() -> None:
    """Also while it is on its way."""
    turns = FileTurns(Words)
    assert not turns.has_more
    turns.since.append("first")
    turns.take()
    turns.sending(b"first")
    assert turns.has_more
    turns.arrived()
    assert not turns.has_more
