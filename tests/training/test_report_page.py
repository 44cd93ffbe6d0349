"""`report.html`: complete, and readable without a network."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serve_app.models import get_spec
from training.bundling import Written

LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"}


class _Page(HTMLParser):
    """Collects what a browser would load, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag and every address in it."""
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in LOADING]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


@pytest.fixture(params=["churn_bundle", "delivery_bundle"])
def written(request: pytest.FixtureRequest) -> Written:
    """Each of the two trained bundles."""
    bundle: Written = request.getfixturevalue(request.param)
    return bundle


@pytest.fixture
def html(written: Written) -> str:
    """The report's source."""
    return (Path(written.where) / "report.html").read_text()


def test_a_report_loads_nothing_from_outside(html: str) -> None:
    """Every address is data inside the page; no script, no import, no style sheet, no font."""
    page = _Page(html)
    assert page.loads
    assert all(address.startswith("data:image/") for address in page.loads)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"https?://|@import|url\(", re.sub(r'src="data:[^"]*"', "", html))


def test_the_pictures_inside_a_report_load_nothing_either(html: str) -> None:
    """An SVG could point elsewhere; these only point into themselves."""
    pictures = [
        base64.b64decode(address.partition(",")[2]).decode() for address in _Page(html).loads
    ]
    for picture in pictures:
        assert picture.startswith("<svg")
        addresses = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', picture)
        assert all(
            first.startswith(("#", "data:image/png")) or second.startswith("#")
            for first, second in addresses
        )
        assert "<script" not in picture


def test_a_report_has_a_plot_of_each_kind_with_alternative_text(
    written: Written, html: str
) -> None:
    """Calibration and curves for a classifier, residuals and coverage for a regressor."""
    wanted = {
        "churn": [
            "Calibration plot",
            "ROC curve",
            "Precision-recall curve",
            "Permutation importance",
        ],
        "delivery_time": ["Residual plot", "Coverage by prediction", "Permutation importance"],
    }
    for text in wanted[written.manifest.model]:
        assert f'alt="{text}"' in html


def test_a_report_tells_metrics_baselines_slices_contract_and_runtime(
    written: Written, html: str
) -> None:
    """What a person needs before letting the version in."""
    text = " ".join(_Page(html).text.split())
    for name, metric in written.manifest.metrics.items():
        assert name.startswith("best_") or name in text
        assert f"{metric.value:.4g}" in text
    for feature in get_spec(written.manifest.model).contract:
        assert text.count(feature.name) >= 2
        assert feature.allowed in text
    for words in ("Linear", "Constant", "better than linear", written.manifest.runtime_reason):
        assert words in text
    assert written.manifest.training_data_sha256 in text
