"""A column of text as a field: a closed list, an open one, or language."""

from training.new.field import Field, Reading
from training.new.summary import Summary

# A text with at most so many different values is a closed list, the others are open.
MOST_CHOICES = 50
# And each of them comes so often on average: else there will be new ones.
ROWS_OF_CHOICE = 20
# Words in a text on average, from which on it is read as language.
FREE_TEXT_WORDS = 4


def guess_text(summary: Summary, name: str) -> Field:
    """Guess the field of a column whose values are read as they are written."""
    reading = Reading("texts") if summary.n_padded else None
    n_values = summary.n_values
    is_closed = n_values <= MOST_CHOICES and n_values * ROWS_OF_CHOICE <= summary.n_known
    if summary.counts is not None and is_closed:
        values = tuple(sorted(summary.counts))
        listed = f"{n_values} values" if n_values > 1 else "1 value"
        why = f"text of a closed list, {listed}"
        return Field(summary.name, name, "category", why, choices=values, reading=reading)
    mean_words = summary.n_spaces / max(1, summary.n_lengths) + 1
    is_free = mean_words >= FREE_TEXT_WORDS and summary.share_different > 0.1
    kind = "free text" if is_free else "open text"
    n_found = f"more than {n_values - 1:,}" if summary.counts is None else f"{n_values:,}"
    room = max(20, -(-summary.longest * 2 // 10) * 10)
    return Field(
        summary.name,
        name,
        "text",
        f"{kind}: {n_found} values, up to {summary.longest} characters",
        max_length=room,
        is_free_text=is_free,
        reading=reading,
    )
