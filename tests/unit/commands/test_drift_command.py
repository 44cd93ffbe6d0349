"""`sluice drift`: what a person sees of it in a terminal."""

from datetime import UTC, datetime

from typer.testing import CliRunner

from serve_app.commands.drift import lines
from serve_app.commands.main import app
from serve_app.monitoring.drift_view import DriftView, FieldDrift, VersionDrift, WindowDrift


def field(sentence: str, psi: float) -> FieldDrift:
    """A field with a limit of 0.2."""
    return FieldDrift(
        psi=psi,
        limit=0.2,
        is_drifting=psi > 0.2,
        missing_percent=0,
        missing_percent_in_training=0,
        out_of_range_percent=0,
        unseen_percent=None,
        sentence=sentence,
    )


def test_the_worst_come_first_and_those_that_drifted_are_marked() -> None:
    """With the rows, and since when; a version without a reference says why."""
    window = WindowDrift(
        since=datetime(2026, 11, 28, 9, 5, tzinfo=UTC),
        n_rows=12_345,
        n_drifting=1,
        worst=["nps_score: 31 % missing, 0 % in training", "plan: as in training"],
        features={"nps_score": field("31 % missing", 0.9), "plan": field("as in training", 0.1)},
        scores={"score": field("as in training", 0.05)},
    )
    versions = {
        "1.0.0": VersionDrift(detail="", windows={"1h": window, "24h_before": window}),
        "0.9.0": VersionDrift(detail="no reference", windows={}),
    }
    found = list(lines(DriftView(model="churn", detail="not kept", versions=versions)))
    assert found == [
        "not kept",
        "1.0.0, the last hour: 12,345 rows since 28 Nov 09:05 UTC; 1 of 3 features and scores have "
        "drifted",
        "  ! nps_score: 31 % missing, 0 % in training",
        "    plan: as in training",
        "0.9.0: no reference",
    ]


def test_a_server_that_does_not_answer_is_an_exit_code_of_its_own() -> None:
    """It is 2, and a sentence says what was asked."""
    found = CliRunner().invoke(app, ["drift", "--url", "http://127.0.0.1:1"])
    assert found.exit_code == 2
    assert "no answer" in found.output
