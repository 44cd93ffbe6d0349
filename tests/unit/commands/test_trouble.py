"""Why an application does not get ready: one sentence out of what Ray says of it."""

import io
import sys
from pathlib import Path

import pytest
import yaml
from ports import PortBlock
from rich.console import Console

from serve_app.commands import serve_run
from serve_app.commands.serve_run import UpOptions, run
from serve_app.commands.trouble import MAX_LENGTH, read_troubles, sentence, troubles
from serve_app.errors import SettingsError

TRACEBACK = """\
The deployment failed to start 3 times in a row. This may be due to a problem with its \
constructor or initial health check failing. See controller logs for details. Error:
ray.exceptions.RayTaskError(RuntimeError): ray::ServeReplica:telco:Server (pid=1, ip=127.0.0.1)
  File "/somewhere/replica.py", line 1, in initialize_and_get_metadata
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "/somewhere/predictor.py", line 2, in open_version
    raise BundleError(f"{where}: {fault}")
serve_app.errors.BundleError: telco/1.0.0: needs the module shop.transforms, found none.
"""
REASON = "telco/1.0.0: needs the module shop.transforms, found none."
UPDATED = "Failed to update the deployments ['Server']."


def test_the_sentence_of_our_own_error_is_said_without_its_traceback() -> None:
    """It was written for people; where it was raised was not."""
    assert sentence(TRACEBACK) == REASON


def test_an_error_of_somebody_else_keeps_its_type() -> None:
    """`KeyError: 'a'` says more than `'a'`; of several the last one counts."""
    foreign = TRACEBACK.replace("serve_app.errors.BundleError", "KeyError")
    assert sentence(foreign) == f"KeyError: {REASON}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("Waiting: 1 replica has no CPU.\n", "Waiting: 1 replica has no CPU."),
        ("first\n\n  last line \n", "last line"),
        ("a\nValueError: \x1b[31mred", "ValueError:  [31mred"),
    ],
)
def test_a_message_without_a_traceback_is_its_last_line(text: str, said: str) -> None:
    """What could steer a terminal is left out."""
    assert sentence(text) == said


def test_a_long_text_is_cut() -> None:
    """An error may quote a whole document."""
    assert len(sentence("a\nValueError: " + "x" * 9_000)) == MAX_LENGTH


def test_only_applications_in_the_way_are_told() -> None:
    """One that runs, and one that starts without a word, are not; what our error says wins."""
    found = troubles(
        {
            "telco": {"status": "DEPLOY_FAILED", "messages": [UPDATED, TRACEBACK]},
            "first_try": {"status": "DEPLOYING", "messages": ["", TRACEBACK]},
            "starting": {"status": "DEPLOYING", "messages": ["", ""]},
            "fine": {"status": "RUNNING", "messages": ["", "a word"]},
            "silent": {"status": "DEPLOY_FAILED", "messages": [""]},
        }
    )
    assert [str(trouble) for trouble in found] == [
        f"telco failed to deploy: {REASON}",
        f"first_try is not ready yet: {REASON}",
        "silent failed to deploy: DEPLOY_FAILED",
    ]


def test_a_status_that_is_not_there_yet_is_no_trouble(tmp_path: Path) -> None:
    """Ray takes seconds to start; half a file does not end the command."""
    path = tmp_path / "status.json"
    assert read_troubles(path) == []
    path.write_text('{"telco": ')
    assert read_troubles(path) == []


# Stands for `serve run`: it tells of a failure, waits to be told to end, and keeps what it served.
LAUNCHER = """
import json, pathlib, sys, time
status, config = map(pathlib.Path, sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(config.read_text())
told = {"telco": {"status": "DEPLOY_FAILED", "messages": [%r]}}
status.with_name("draft").write_text(json.dumps(told))
status.with_name("draft").replace(status)
time.sleep(60)
"""


@pytest.mark.parametrize("http_options", [{"host": "0.0.0.0"}, {"port": 8000}, {}])
def test_a_server_that_others_would_reach_without_keys_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http_options: dict[str, object]
) -> None:
    """The start looks for itself, whatever was checked before; Ray's own host is every one."""
    monkeypatch.delenv("KEYS_PATH", raising=False)
    server = {"import_path": "serve_app.app:server", "args": {"model": "telco"}}
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump({"http_options": http_options, "applications": [server]}))
    with pytest.raises(SettingsError, match=r"auth: missing, and http_options.host is 0\.0\.0\.0"):
        run(path, UpOptions(), Console(file=io.StringIO()), ("false",))


def test_up_says_why_at_once_goes_on_waiting_and_ends_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is said once, not at each look; with a model the others are left out."""
    monkeypatch.setattr(serve_run, "READY_TIMEOUT_S", 1.5)
    monkeypatch.setattr(serve_run, "POLL_S", 0.05)
    ports = PortBlock()
    server = {"import_path": "serve_app.app:server", "args": {"model": "telco"}}
    version = {"import_path": "serve_app.app:version", "args": {"model": "telco"}}
    applications = [
        {"name": "other", "route_prefix": "/other", **server, "args": {"model": "other"}},
        {"name": "telco", "route_prefix": "/telco", **server},
        {"name": "telco-1.1.0", "route_prefix": None, **version},
    ]
    path = tmp_path / "serve_config.yaml"
    http_options = {"host": "127.0.0.1", "port": ports.one()}
    values = {"http_options": http_options, "applications": applications}
    path.write_text(yaml.safe_dump(values))
    script = tmp_path / "launcher.py"
    script.write_text(LAUNCHER % TRACEBACK)
    said = io.StringIO()
    options = UpOptions(fast=False, model="telco")
    console = Console(file=said, highlight=False)
    launcher = (sys.executable, str(script), str(tmp_path / "served.yaml"))
    assert run(path, options, console, launcher) == 1
    ports.close()
    assert said.getvalue().count(f"telco failed to deploy: {REASON}") == 1
    assert f"not ready within 2 s: telco failed to deploy: {REASON}" in capsys.readouterr().err
    served = yaml.safe_load((tmp_path / "served.yaml").read_text())
    assert [app["name"] for app in served["applications"]] == ["telco", "telco-1.1.0"]
    # The file itself stays as it was.
    assert yaml.safe_load(path.read_text()) == values
