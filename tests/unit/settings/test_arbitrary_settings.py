"""Whatever stands in serve_config.yaml is a setting or a sentence, never another error."""

from typing import Any

import pytest
from arbitrary import json_values, mutated
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import SettingsError
from serve_app.settings import (
    ServerArgs,
    Setting,
    Table,
    VersionArgs,
    VersionConfig,
    parse_settings,
)

DOCUMENTS: dict[type[Setting], Any] = {
    Table: {
        "stable": "1.0.0",
        "versions": {
            "1.1.0": {"placement": "isolated", "coalesce": "never", "manifest_sha256": "a" * 64}
        },
        "batch": {"max_rows": 256, "wait_ms": 2.0},
        "log": {"sample_percent": 5.0, "leave_out": ["nps_score"], "keep_days": 7},
        "limits": {"max_rows": 100, "deadline_ms": 2_000, "candidate_deadline_ms": 150},
        "rollout": {
            "stable": "1.0.0",
            "candidate": "1.1.0",
            "steps": ["shadow", 1, 50.0, 100],
            "guardrails": {"alpha": 0.01, "slow_ms": 100},
            "slice_by": ["nps_score"],
            "notify": {"url": "https://hooks.example.com/x", "events": ["aborted"]},
        },
    },
    ServerArgs: {
        "model": "churn",
        "store": "s3://b",
        "state": "x",
        "log": "gs://c",
        "public_keys": ["A" * 43 + "="],
    },
    VersionArgs: {"model": "churn", "version": "1.1.0", "manifest_sha256": "a" * 64},
    VersionConfig: {"coalesce": "auto", "batch": {"max_rows": 1}},
}


def parsed(kind: type[Setting], values: Any) -> Setting | None:
    """The settings, which are the same again when they are written and read; None when refused."""
    try:
        found = parse_settings(kind, values, "user_config")
    except SettingsError as error:
        for line in str(error).split("\n"):
            assert line.startswith("user_config"), line
            # What stands in a file must not reach a terminal as a command, nor as a page.
            assert line.isprintable(), line
            assert len(line) < 1_000, line
        return None
    assert parse_settings(kind, found.model_dump(mode="json"), "user_config") == found
    return found


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_documents_that_are_changed_are_sound(kind: type[Setting]) -> None:
    """Else the tests below would try refusals alone."""
    assert parsed(kind, DOCUMENTS[kind]) is not None


@given(data=st.data())
def test_a_changed_file_gives_settings_or_a_sentence(data: Any) -> None:
    """One or two places hold anything: a replica that is alive must not stop for it."""
    kind = data.draw(st.sampled_from(list(DOCUMENTS)))
    parsed(kind, data.draw(mutated(DOCUMENTS[kind])))


@given(kind=st.sampled_from(list(DOCUMENTS)), value=json_values)
def test_any_value_gives_settings_or_a_sentence(kind: type[Setting], value: Any) -> None:
    """YAML may hold a list, a number or nothing where settings are expected."""
    parsed(kind, value)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_yaml_that_contains_itself_is_a_sentence(kind: type[Setting]) -> None:
    """An anchor may refer to what it stands in."""
    circle: dict[str, Any] = dict(DOCUMENTS[kind])
    for name in list(circle):
        value: list[Any] = []
        value.append(value)
        assert parsed(kind, circle | {name: value}) is None
        assert parsed(kind, circle | {name: circle}) is None
    circle["versions"] = circle
    assert parsed(kind, circle) is None
