"""What a page is made of: texts that are escaped, tables, and plots with their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from serve_app.contract.plain_text import plain


def esc(found: object) -> str:
    """A text as it may stand in HTML, whoever wrote it: one plain line, escaped."""
    return escape(plain(str(found)), quote=True)


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `is_bad` is what somebody should look at."""

    text: str
    is_bad: bool = False


def table(heads: Sequence[str], rows: Iterable[Sequence[str | Cell]], n_texts: int = 1) -> str:
    """A table whose first `n_texts` columns are texts and the others numbers; all is escaped."""
    found = ["<div class='scroll'><table><tr>"]
    for place, head in enumerate(heads):
        found.append(f"<th{_class(place >= n_texts)}>{esc(head)}</th>")
    found.append("</tr>")
    for row in rows:
        found.append("<tr>")
        for place, one in enumerate(row):
            cell = one if isinstance(one, Cell) else Cell(one)
            kind = _class(place >= n_texts, is_bad=cell.is_bad)
            found.append(f"<td{kind}>{esc(cell.text)}</td>")
        found.append("</tr>")
    found.append("</table></div>")
    return "".join(found)


def _class(is_number: bool, *, is_bad: bool = False) -> str:
    names = [name for name, is_so in (("number", is_number), ("bad", is_bad)) if is_so]
    return f" class='{' '.join(names)}'" if names else ""


def figure(name: str, plot: str) -> str:
    """A plot, which is made of escaped texts already, under its name."""
    return f"<figure><figcaption>{esc(name)}</figcaption>{plot}</figure>"


def items(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{esc(sentence)}</li>" for sentence in sentences) + "</ul>"


def paragraph(text: str, *, is_dim: bool = False) -> str:
    """A sentence or two."""
    return f"<p{' class=dim' if is_dim else ''}>{esc(text)}</p>"
