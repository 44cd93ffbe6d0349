"""`sluice report`: one page that names what differs, and in which nobody's text is HTML."""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from drifting import DIGEST, block_of, frozen, rows_of_orders, scores_of
from drifting import seen as seen_orders
from every_kind import CLASSIFIER, VALUE, YES_NO
from logging_server import NOW_S, LoggingServer, answered
from typer.testing import CliRunner

from serve_app.bundle.manifest import Manifest, Metric
from serve_app.commands.exit_codes import ExitCode
from serve_app.commands.main import app
from serve_app.commands.report import plots, svg
from serve_app.commands.report.asked import Fact, Seen, nothing_seen
from serve_app.commands.report.log_facts import LOGGED, LogFacts, log_facts
from serve_app.commands.report.page import page
from serve_app.contract import ModelSpec
from serve_app.models import get_spec
from serve_app.monitoring.drift_view import DriftView, VersionDrift
from serve_app.monitoring.quality.view import (
    MeasureView,
    QualityView,
    VersionQualityView,
    WindowView,
)
from serve_app.monitoring.retraining_verdict import RetrainingVerdict
from serve_app.serving.status import Description, VersionFacts
from training.references import references
from training.table import Table

HOSTILE = "\"><script>alert('1')</script><img src=x onerror=alert(2)>"
VOID = {"meta"}


class Reader(HTMLParser):
    """Tags, attributes and texts of a page; each tag that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It is the one that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.texts.append(data)


def logged(
    spec: ModelSpec, folder: Path, rows: list[dict[str, Any]], **options: Any
) -> LoggingServer:
    """A log in which 1.0.0 has answered these rows, ten a line; the third one failed."""
    server = LoggingServer(spec, folder, manifest=DIGEST, **options)
    scores = scores_of(spec, len(rows), seed=3)
    scores[2] = np.nan
    for begin in range(0, len(rows), 10):
        some = slice(begin, begin + 10)
        server.write(answered(spec, rows[some], scores[some]))
    server.finish()
    return server


def facts(server: LoggingServer, bundle: tuple[Manifest, str] | str) -> LogFacts:
    """What the log of a server says, with this bundle."""
    return log_facts(server.place.uri, server.lines(), server.spec, lambda version: bundle)


def seen_of_log(found: LogFacts) -> Seen:
    """A report of a log alone."""
    seen = nothing_seen(VALUE)
    seen.sources.append("a log")
    seen.log = found
    seen.drift = {version: one.drift for version, one in found.versions.items()}
    seen.versions = [Fact("1.0.0", "100 %", "2026-11-01T10:00", {"mae": "1.5"}, DIGEST)]
    return seen


@pytest.mark.parametrize("spec", [VALUE, YES_NO, CLASSIFIER], ids=lambda spec: spec.kind)
def test_a_report_of_a_log_names_what_differs_from_training_and_nothing_else(
    spec: ModelSpec, tmp_path: Path
) -> None:
    """As orders of another hour of the day would: their amounts are higher, the rest is as ever."""
    rows = rows_of_orders(600, seed=8)
    for row in rows:
        row["amount"] += 40.0
    found = facts(logged(spec, tmp_path, rows), (frozen(spec), DIGEST))
    window = found.versions["1.0.0"].drift.windows[LOGGED]
    assert [name for name, one in window.features.items() if one.is_drifting] == ["amount"]
    seen = seen_of_log(found)
    reader = Reader(page(seen))
    [first] = [text for text in reader.texts if text.startswith("amount: ")]
    assert first.endswith("(1.0.0, all rows of the log)")
    assert "amount has drifted" in reader.texts
    # The plot of what differs most comes first.
    assert reader.texts.index("amount has drifted") < reader.texts.index("city")


def test_a_log_is_counted_by_time_outcome_and_slice(tmp_path: Path) -> None:
    """Each row once, in the bins of training; a row that failed has no score."""
    server = logged(VALUE, tmp_path, rows_of_orders(600, seed=8))
    lines = [
        replace(line, at_us=[int((NOW_S + 60 * minute) * 1e6)] * len(line))
        for minute, line in enumerate(server.lines())
    ]
    found = log_facts("here", lines, VALUE, lambda version: (frozen(VALUE), DIGEST))
    one = found.versions["1.0.0"]
    assert found.n_rows == one.n_rows == sum(one.by_time.values()) == 600
    assert sorted(one.by_time.values()) == [50] * 12
    assert (one.outcomes["answered"], one.outcomes["failed"]) == (599, 1)
    assert one.times.n_times == 600
    scores = scores_of(VALUE, 600, seed=3)
    scores[2] = 0.0
    for field in ("amount", "city", "is_gift"):
        of_field = [one.slices[name] for name in one.slices if name[0] == field]
        assert sum(bin_.n_rows for bin_ in of_field) == 600
        assert sum(bin_.n_failed for bin_ in of_field) == 1
        assert sum(bin_.score_sum for bin_ in of_field) == pytest.approx(scores.sum())
    assert math.isnan(type(of_field[0])(n_rows=2, n_failed=2).mean_score)


def test_it_does_not_matter_how_the_rows_of_a_log_are_cut_into_lines(tmp_path: Path) -> None:
    """A line with three thousand rows, or one each for a month with days between them."""
    rows = rows_of_orders(3_000, seed=8)
    whole = LoggingServer(VALUE, tmp_path / "whole", manifest=DIGEST)
    whole.write(answered(VALUE, rows, scores_of(VALUE, 3_000, seed=3)))
    whole.finish()
    lines = whole.lines()
    pieces = [
        replace(
            line,
            ids=line.ids[i : i + 7],
            at_us=[at_us + 10**10 * i for at_us in line.at_us[i : i + 7]],
            ms=line.ms[i : i + 7],
            outcomes=line.outcomes[i : i + 7],
            features={name: column[i : i + 7] for name, column in line.features.items()},
            scores=line.scores[i : i + 7],
        )
        for line in lines
        for i in range(0, len(line), 7)
    ]
    found = [
        log_facts("here", some, VALUE, lambda version: (frozen(VALUE), DIGEST)).versions["1.0.0"]
        for some in (lines, pieces)
    ]
    assert len(lines) < 10
    assert len(pieces) > 400
    windows = [one.drift.windows[LOGGED] for one in found]
    for name, field in windows[0].features.items():
        assert windows[1].features[name].histograms == field.histograms
    assert found[0].slices.keys() == found[1].slices.keys()
    assert found[0].times.n_times == found[1].times.n_times == 3_000
    assert len(found[1].by_time) > len(found[0].by_time)


def test_what_a_client_sent_is_never_html(tmp_path: Path) -> None:
    """Whether training knew the text, or it came in a row, a version's name or a reason."""
    rows = rows_of_orders(400, seed=1, city=HOSTILE)
    known = references(Table(VALUE, block_of(VALUE, rows), np.zeros(len(rows))))
    manifest = frozen(VALUE, references=known)
    seen = seen_of_log(facts(logged(VALUE, tmp_path, rows), (manifest, DIGEST)))
    seen.troubles.append(HOSTILE)
    seen.sources.append(HOSTILE)
    seen.verdict = RetrainingVerdict((HOSTILE,), (HOSTILE,), ())
    seen.versions.append(Fact(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE))
    seen.quality = quality(HOSTILE)
    text = page(seen)
    reader = Reader(text)
    assert not reader.tags & {"script", "img", "iframe", "object", "embed", "link", "base", "a"}
    assert not [name for name in reader.attributes if name.startswith("on")]
    assert not {"src", "href", "action", "srcset"} & set(reader.attributes)
    assert sum("<script>alert('1')</script>" in shown for shown in reader.texts) > 5
    assert "<script" not in text


def test_a_page_takes_nothing_from_elsewhere() -> None:
    """By its own policy too, which forbids every script."""
    text = page(nothing_seen(VALUE))
    reader = Reader(text)
    assert "default-src 'none'" in " ".join(reader.attributes["content"])
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in text
    assert "@import" not in text


def quality(version: str) -> QualityView:
    """A version that is worse than on its hold-out."""
    mae = MeasureView(value=4.5, low=4.2, high=4.8, n=900)
    window = WindowView(days=7, n_predictions=0, n_labels=900, realised={"mae": mae}, estimated={})
    one = VersionQualityView(
        version=version, baseline={"mae": 3.0}, no_estimate="Only labels say.", windows=[window]
    )
    return QualityView(
        model="orders", versions=[one], n_labels=900, n_duplicates=0, n_too_old=0, trouble=""
    )


def test_quality_is_shown_with_its_interval_and_the_hold_out() -> None:
    """In a table and in a plot; why there is no estimate is said."""
    seen = nothing_seen(VALUE)
    seen.quality = quality("1.0.0")
    reader = Reader(page(seen))
    assert {"mae", "4.5", "4.2 to 4.8", "900", "3", "Only labels say."} <= set(reader.texts)
    assert "mae, 7 d" in reader.texts


def test_fields_that_the_log_lacks_are_neither_compared_nor_sliced(tmp_path: Path) -> None:
    """Hashed or left out: they would all look missing."""
    server = logged(
        VALUE, tmp_path, rows_of_orders(300, seed=8), leave_out=("amount",), hashed=("city",)
    )
    one = facts(server, (frozen(VALUE), DIGEST)).versions["1.0.0"]
    assert not {"amount", "city"} & set(one.drift.windows[LOGGED].features)
    assert not {"amount", "city"} & {field for field, _ in one.slices}
    assert "the log lacks amount, city" in one.drift.detail


def test_rows_of_another_bundle_are_not_compared_and_a_missing_bundle_is_told(
    tmp_path: Path,
) -> None:
    """The traffic is shown all the same."""
    server = logged(VALUE, tmp_path, rows_of_orders(100, seed=8))
    other = facts(server, (frozen(VALUE), "e" * 64)).versions["1.0.0"]
    assert not other.drift.windows
    assert "another bundle" in other.drift.detail
    found = facts(server, "the store is away")
    assert "the store is away" in found.versions["1.0.0"].drift.detail
    assert found.n_rows == 100
    assert "the store is away" in page(seen_of_log(found))


def test_a_report_without_log_or_server_ends_with_its_own_code(tmp_path: Path) -> None:
    """2, and no page; a sentence says what was asked."""
    out = tmp_path / "page.html"
    words = ["report", "churn", "--out", str(out)]
    for more in (["--log", str(tmp_path / "none")], ["--url", "http://127.0.0.1:1"]):
        found = CliRunner().invoke(app, [*words, *more])
        assert found.exit_code == ExitCode.UNREADABLE, found.output
        assert not out.exists()
    assert "no answer" in found.output


def test_plots_are_well_formed_and_escape_their_texts() -> None:
    """As XML too: a file of its own is read more strictly than a page."""
    drawn = [
        plots.bars([HOSTILE, "b" * 80], [1, 2], [0, 0]),
        plots.columns([HOSTILE, ""], {HOSTILE: [1, 2], "b": [0, 3]}, HOSTILE),
        plots.lines(
            [plots.Line(HOSTILE, [(0, 1.0), (1, None), (2, 3.0)], svg.LIVE, has_dots=True)],
            svg.Axis(0, 2, [(0, HOSTILE)]),
            HOSTILE,
            [plots.Mark(1, HOSTILE)],
            [(0, 1, HOSTILE)],
        ),
        plots.intervals([plots.Measure(HOSTILE, 1.0, 0.5, 1.5, 0.7), plots.Measure("b", 2.0)]),
    ]
    for text in drawn:
        root = ElementTree.fromstring(text)
        shown = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
        assert all(shown)
        assert "<script" not in text


def test_an_axis_has_round_ticks_around_all_values() -> None:
    """Also of one value, of none, and of what is not finite."""
    assert [text for _, text in svg.nice_axis([3.0, 97.0], from_zero=True).ticks] == [
        "0",
        "20",
        "40",
        "60",
        "80",
        "100",
    ]
    for values in ([], [5.0], [0.0], [math.nan, 2.0], [-3.0, -3.0]):
        axis = svg.nice_axis(values)
        assert axis.low < axis.high
        assert all(axis.low <= value <= axis.high for value in values if math.isfinite(value))


def served(monkeypatch: pytest.MonkeyPatch, drift: VersionDrift) -> None:
    """A server of churn that tells this."""
    spec = get_spec("churn")
    versions = {"1.0.0": drift}
    told = {
        "description": Description(
            model="churn",
            title=spec.title,
            kind=spec.kind,
            contract=[],
            stable="1.0.0",
            versions={"1.0.0": facts_of_version()},
        ),
        "drift": DriftView(model="churn", detail="not kept", versions=versions),
        "quality": quality("1.0.0"),
    }
    for name, view in told.items():
        monkeypatch.setattr(f"serve_app.commands.rollout_client.{name}", lambda url, v=view: v)


def facts_of_version() -> VersionFacts:
    """A version with everybody."""
    return VersionFacts(
        state="ready",
        detail="",
        placement="in_server",
        weight_percent=100.0,
        runtime="onnx",
        coalesces=False,
        manifest_sha256=DIGEST,
        created_at="2026-11-01T10:00:00+00:00",
        metrics={"auc": Metric(value=0.8456, low=0.8, high=0.9)},
    )


def test_a_report_of_a_server_shows_what_three_routes_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the verdict of `sluice monitor`, and without a log: that is said."""
    monkeypatch.delenv("LOG_PATH", raising=False)
    window = seen_orders(VALUE, rows_of_orders(300, seed=8, city="Bern"))
    served(monkeypatch, VersionDrift(detail="", windows={"24h": window.windows["1h"]}))
    out = tmp_path / "page.html"
    words = ["report", "churn", "--url", "http://127.0.0.1:1", "--out", str(out)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == ExitCode.OK, found.output
    assert "There is no prediction log" in found.stderr
    assert f"{out}: of the server at http://127.0.0.1:1" in found.stdout
    texts = Reader(out.read_text()).texts
    assert {"100 %, stable", "0.8456", "4.2 to 4.8", "not kept", "city has drifted"} <= set(texts)
    assert any(text.startswith("city: ") and "(1.0.0, the last 24 hours)" in text for text in texts)
    assert any(text.endswith(".") and "training" in text for text in texts)


def test_a_report_reads_the_log_that_the_variable_names_next_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traffic and slices are the log's, and drift stays the server's; a broken log is told."""
    spec = get_spec("churn")
    row = spec.examples[0].row.model_dump(mode="json")
    server = LoggingServer(spec, tmp_path / "log", manifest=DIGEST)
    server.write(answered(spec, [row] * 40, [0.25] * 40))
    server.finish()
    served(monkeypatch, VersionDrift(detail="as the server says", windows={}))
    out = tmp_path / "page.html"
    words = ["report", "churn", "--url", "http://127.0.0.1:1", "--out", str(out)]
    monkeypatch.setenv("LOG_PATH", server.place.uri)
    found = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store")])
    assert found.exit_code == ExitCode.OK, found.output
    texts = Reader(out.read_text()).texts
    assert "as the server says" in texts
    assert "Rows over time (UTC)" in texts
    assert "40" in texts
    # Its store has no bundle with bins.
    assert any(text.startswith("There is none: the bins") for text in texts)
    monkeypatch.setenv("LOG_PATH", str(tmp_path / "none"))
    found = CliRunner().invoke(app, [*words, "--last", "7d"])
    assert found.exit_code == ExitCode.OK, found.output
    assert "found no row of churn since" in found.stderr


def test_a_report_of_a_url_says_that_the_log_of_the_file_was_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is of one server, and the URL may be of another: how to name the log is said."""
    monkeypatch.delenv("LOG_PATH", raising=False)
    served(monkeypatch, VersionDrift(detail="", windows={}))
    config = tmp_path / "serve_config.yaml"
    args = {"model": "churn", "log": "kept/here"}
    app_of_file = {"name": "churn", "import_path": "serve_app.app:server", "args": args}
    config.write_text(yaml.safe_dump({"applications": [app_of_file]}))
    out = tmp_path / "page.html"
    words = ["report", "churn", "--url", "http://127.0.0.1:1", "--out", str(out)]
    found = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert found.exit_code == ExitCode.OK, found.output
    assert "There is no prediction log" not in found.stderr
    assert f"the prediction log that {config} names was not read" in found.stderr
    assert "LOG_PATH=kept/here before the command" in found.stderr
    config.write_text("applications: 7")
    found = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert found.exit_code == ExitCode.OK, found.output
    assert "There is no prediction log" in found.stderr


def test_a_server_of_another_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers under this model's name would be believed."""
    served(monkeypatch, VersionDrift(detail="", windows={}))
    out = tmp_path / "page.html"
    words = ["report", "delivery_time", "--url", "http://127.0.0.1:1", "--out", str(out)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == ExitCode.REFUSED
    assert "serves churn, expected delivery_time" in found.output
    assert not out.exists()
