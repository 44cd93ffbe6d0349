"""`sluice monitor` against a server that answers three routes: verdict, reasons, exit codes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from canned_routes import answering, monitored_routes
from monitored import drift, drifted, measure, quality, window
from typer.testing import CliRunner, Result

from serve_app.commands.exit_codes import ExitCode
from serve_app.commands.main import app
from serve_app.monitoring.drift_view import VersionDrift

WORSE = quality({"auc": measure(0.75, 0.02)})
GONE = drift(day=window(plan=drifted(missing_percent=100.0)))


def run(url: str, *words: str) -> Result:
    """The command about the server at this URL."""
    return CliRunner().invoke(app, ["monitor", *words, "--url", url])


@pytest.mark.parametrize(
    ("routes", "code", "said"),
    [
        (monitored_routes(), ExitCode.OK, "1.0.0: fine: nothing asks"),
        (monitored_routes(labelled=WORSE), ExitCode.RETRAIN, "  ! auc is 0.75 by labels"),
        (monitored_routes(age_days=100), ExitCode.RETRAIN, "  ! it was trained 100 days ago"),
        (monitored_routes(GONE, WORSE), ExitCode.DATA_FAULT, "  ! plan: is gone within"),
        (monitored_routes(GONE, WORSE), ExitCode.DATA_FAULT, "  - auc is 0.75 by labels"),
    ],
)
def test_the_exit_code_is_the_verdict_and_the_reasons_are_shown(
    routes: dict[str, tuple[int, bytes]], code: ExitCode, said: str
) -> None:
    """10 asks for retraining, 20 for a person, whatever else is seen."""
    with answering(routes) as url:
        found = run(url, "churn")
    assert found.exit_code == code, found.output
    assert any(line.startswith(said) for line in found.stdout.splitlines()), found.stdout


def test_programs_get_the_same_as_json() -> None:
    """With the exit code of its verdict."""
    with answering(monitored_routes(labelled=WORSE)) as url:
        found = run(url, "--json")
    assert found.exit_code == ExitCode.RETRAIN
    shown = json.loads(found.stdout)
    assert (shown["version"], shown["outcome"]) == ("1.0.0", "retrain")
    assert len(shown["reasons"]) == 1
    assert shown["faults"] == shown["notes"] == []


def test_the_age_that_asks_for_retraining_can_be_set() -> None:
    """In days, also in parts of one."""
    with answering(monitored_routes()) as url:
        assert run(url, "--max-age-days", "9.5").exit_code == ExitCode.RETRAIN
        assert run(url, "--max-age-days", "10.5").exit_code == ExitCode.OK


def test_a_model_without_a_week_can_be_judged_sooner() -> None:
    """By `--least-days`: one that is asked the same on all days, or a test of an hour."""
    now = datetime.now(UTC)
    young = {
        name: one.model_copy(update={"since": now - timedelta(days=2)})
        for name, one in drift().windows.items()
    }
    routes = monitored_routes(VersionDrift(detail="", windows=young), WORSE)
    with answering(routes) as url:
        assert run(url).exit_code == ExitCode.OK
        assert run(url, "--least-days", "1").exit_code == ExitCode.RETRAIN


def test_more_days_than_are_kept_are_refused() -> None:
    """The rows of a week begin less than 7 days ago: quality and drift would never be judged."""
    with answering(monitored_routes(labelled=WORSE)) as url:
        assert run(url, "--least-days", "6.5").exit_code == ExitCode.RETRAIN
        found = run(url, "--least-days", "7")
    assert found.exit_code == ExitCode.UNREADABLE
    assert "--least-days" in found.output


def test_the_server_is_found_in_the_file_by_the_name_of_the_model(tmp_path: Path) -> None:
    """As `sluice drift` finds it; which one it is, is said."""
    with answering(monitored_routes()) as url:
        file = tmp_path / "serve_config.yaml"
        file.write_text(
            f"http_options: {{host: 127.0.0.1, port: {url.rpartition(':')[2]}}}\n"
            "applications:\n"
            "- {name: churn, import_path: serve_app.app:server, args: {model: churn}}\n"
        )
        found = CliRunner().invoke(app, ["monitor", "churn", "--config", str(file)])
        assert found.exit_code == ExitCode.OK, found.output
        assert f"churn at {url}" in found.stderr
        other = CliRunner().invoke(app, ["monitor", "telco", "--config", str(file)])
        assert other.exit_code == ExitCode.REFUSED


def test_a_server_that_does_not_answer_or_has_no_version_is_no_verdict() -> None:
    """It is exit code 2: nobody knows how the model is."""
    assert run("http://127.0.0.1:1").exit_code == ExitCode.UNREADABLE
    empty = monitored_routes()
    model = json.loads(empty["/v1/model"][1])
    empty["/v1/model"] = (200, json.dumps({**model, "versions": {}}).encode())
    with answering(empty) as url:
        found = run(url)
    assert found.exit_code == ExitCode.UNREADABLE
    assert "no version is loaded" in found.stderr


def test_the_verdict_of_another_model_is_refused() -> None:
    """A URL without its prefix is the one at the root: churn's verdict says nothing of it."""
    with answering(monitored_routes(labelled=WORSE)) as url:
        found = run(url, "delivery_time")
    assert found.exit_code == ExitCode.REFUSED
    assert "serves churn, expected delivery_time" in " ".join(found.stderr.split())


def test_two_models_are_refused() -> None:
    """One server is asked at a time."""
    assert run("http://127.0.0.1:1", "churn", "telco").exit_code == ExitCode.UNREADABLE
    assert run("http://127.0.0.1:1", "churn", "--model", "telco").exit_code == ExitCode.REFUSED
