"""A process that takes itself for a replica of Ray Serve, without Ray."""

from types import SimpleNamespace

import pytest


def be_a_replica(monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    """Let Ray's context of a replica have these facts, such as `app_name`.

    `@serve.batch` asks it besides how many requests it takes.
    """
    limits = SimpleNamespace(max_ongoing_requests=1_000)
    context = SimpleNamespace(_deployment_config=limits, **facts)
    monkeypatch.setattr("ray.serve.get_replica_context", lambda: context)
