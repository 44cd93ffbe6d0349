"""How the applications are doing, as it is written for `sluice up`."""

import json
import warnings
from types import SimpleNamespace

from serve_app.commands.trouble import troubles

with warnings.catch_warnings():
    # Ray's own modules use what pydantic deprecates.
    warnings.simplefilter("ignore")
    from ray.serve.schema import ApplicationStatus

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
