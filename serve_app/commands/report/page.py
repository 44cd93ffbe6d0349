"""The page of `sluice report`: HTML with its style and plots inside, and nothing from elsewhere.

Every text is escaped (`html`, `svg`): names of categories, versions and reasons are what others
have written. The page's own policy forbids scripts, and whatever would be loaded.
"""

from collections.abc import Iterator

from serve_app.commands.report import sections
from serve_app.commands.report.asked import Seen
from serve_app.commands.report.html import esc, items, paragraph

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 2rem auto; max-width: 62rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
.dim { color: #616e7c; }
.bad { color: #a6341b; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e7eb;
  vertical-align: top; }
td.number, th.number { text-align: right; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
figure { margin: 0; }
figcaption { font-weight: 600; font-size: .9rem; }
svg { max-width: 100%; height: auto; }
"""
VERDICTS = {
    "fine": "Nothing asks for another training.",
    "retrain": "Another training is asked for.",
    "data_fault": "The data is at fault: look at the rows first.",
}
NO_LABELS = "The server was not asked, or knows of no labels: docs/labels.md says how they come."
NO_LOG = "There is no prediction log to read: docs/prediction-log.md says how one is kept."


def page(seen: Seen) -> str:
    """The whole page."""
    body = "\n".join(_body(seen))
    title = esc(f"{seen.title}: {seen.model}")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _body(seen: Seen) -> Iterator[str]:
    yield f"<h1>{esc(seen.title)}</h1>"
    yield paragraph(
        f"{seen.model}, as of {seen.made_at:%d %b %Y %H:%M} UTC, of {' and '.join(seen.sources)}",
        is_dim=True,
    )
    yield from map(paragraph, seen.troubles)
    yield "<h2>What stands out</h2>"
    yield from _standing_out(seen)
    yield "<h2>Traffic</h2>"
    yield paragraph(NO_LOG) if seen.log is None else sections.traffic(seen.log)
    yield "<h2>Quality</h2>"
    if seen.quality is None or not seen.quality.versions:
        yield paragraph(NO_LABELS)
    else:
        yield from sections.quality(seen.quality)
    yield "<h2>Drift against training</h2>"
    yield paragraph("Grey: training. Blue: live. docs/monitoring.md says when one has drifted.")
    yield from sections.drift(seen.drift)
    yield "<h2>Slices</h2>"
    if seen.log is None:
        yield paragraph(NO_LOG)
    else:
        yield from sections.slices(seen.log)
    yield "<h2>Versions</h2>"
    yield sections.versions(seen.versions)


def _standing_out(seen: Seen) -> Iterator[str]:
    if seen.verdict is not None:
        yield paragraph(VERDICTS[seen.verdict.outcome])
        yield items([*seen.verdict.faults, *seen.verdict.reasons])
    found = list(sections.drifting(seen.drift))
    yield items(found) if found else paragraph("No field has drifted, as far as the rows tell.")
