"""How the applications are doing, as it is written for `sluice up`."""

import json
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.commands.trouble import troubles

with warnings.catch_warnings():
    # Ray's own modules use what pydantic deprecates.
    warnings.simplefilter("ignore")
    from ray.serve.schema import ApplicationStatus

    from serve_app.cluster import told_run
    from serve_app.cluster.told_run import told


def test_what_ray_says_of_an_application_and_its_deployments_is_plain_json() -> None:
    """The command that reads it knows neither Ray nor its types."""
    server = SimpleNamespace(message="a\nValueError: no such bundle")
    application = SimpleNamespace(
        status=ApplicationStatus.DEPLOY_FAILED, message="", deployments={"Server": server}
    )
    status = SimpleNamespace(applications={"churn": application})
    written = json.loads(json.dumps(told(status)))
    assert written["churn"]["status"] == "DEPLOY_FAILED"
    [trouble] = troubles(written)
    assert str(trouble) == "churn failed to deploy: ValueError: no such bundle"


def test_the_port_of_the_metrics_is_one_that_prometheus_can_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`serve run` has no option for it, so Ray is started before; else it takes any free port."""
    begun: list[dict[str, Any]] = []
    called: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["told_run", "status.json", "config.yaml"])
    monkeypatch.setattr("ray.init", lambda **options: begun.append(options))
    monkeypatch.setattr(told_run, "cli", called.append)
    monkeypatch.setattr(told_run, "_tell_forever", lambda path: None)
    monkeypatch.delenv(told_run.METRICS_PORT, raising=False)
    told_run.main()
    assert called == [["run", "config.yaml"]]
    assert begun == []
    monkeypatch.setenv(told_run.METRICS_PORT, "8080")
    told_run.main()
    assert called[1] == ["run", "--address", "auto", "config.yaml"]
    [options] = begun
    assert (options["address"], options["_metrics_export_port"]) == ("local", 8080)
