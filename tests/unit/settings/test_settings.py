"""The settings: a typing error is an error, and its message names the place."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.errors import SettingsError
from serve_app.settings import (
    Batch,
    Guardrails,
    Limits,
    Rollout,
    ServerArgs,
    Setting,
    Table,
    VersionArgs,
    VersionConfig,
    VersionEntry,
    parse_settings,
)

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {"stable": "1.0.0", "versions": {"1.1.0": {"weight_percent": 10}}}


def refusal(kind: type[Setting], values: Any) -> str:
    """What is said to wrong settings."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(kind, values, "user_config")
    return str(caught.value)


def test_a_good_table_is_read_as_it_is_written() -> None:
    """Values, defaults, and stable first among the names even when it is not listed."""
    table = parse_settings(Table, GOOD, "user_config")
    assert table.stable == "1.0.0"
    assert table.names == ("1.0.0", "1.1.0")
    assert table.weights == (("1.1.0", 10),)
    assert table.entry("1.0.0") == VersionEntry()
    assert table.limits == Limits()
    assert table.batch == Batch()


def test_stable_may_stand_anywhere_in_the_file() -> None:
    """Its place in the file is of no meaning: it comes first and has no weight."""
    table = parse_settings(
        Table, {"stable": "1.0.0", "versions": {"1.1.0": {"weight_percent": 5}, "1.0.0": {}}}, ""
    )
    assert table.names == ("1.0.0", "1.1.0")
    assert table.weights == (("1.1.0", 5),)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no stable": ({}, "user_config.stable: Field required"),
    "unknown key": (
        {"stabel": "1.0.0"},
        "user_config.stabel: unknown key; expected one of: stable, versions, batch",
    ),
    "unknown key of a version": (
        {"versions": {"1.1.0": {"weigth": 1}}},
        "user_config.versions.1.1.0.weigth: unknown key; expected one of: weight_percent, "
        "placement",
    ),
    "unknown key of the limits": (
        {"limits": {"max_row": 1}},
        "user_config.limits.max_row: unknown key; expected one",
    ),
    "unknown key of the batch": (
        {"batch": {"rows": 1}},
        "user_config.batch.rows: unknown key; expected one of",
    ),
    "version that is a number": (
        {"stable": 1.0},
        "user_config.stable: Input should be a valid string",
    ),
    "version that is no version": ({"stable": "v1"}, "user_config.stable: String should match"),
    "version with a trailing line": (
        {"stable": "1.0.0\n"},
        "user_config.stable: String should match",
    ),
    "version that leaves its folder": (
        {"stable": "../1.0.0"},
        "user_config.stable: String should match",
    ),
    "version in digits of another script": (
        {"stable": "1.٣.0"},
        "user_config.stable: String should match",
    ),
    "key that is a number": (
        {"versions": {1.1: {}}},
        "user_config.versions.1.1: Input should be a valid string",
    ),
    "key that is no version": (
        {"versions": {"new": {}}},
        "user_config.versions.new: String should match",
    ),
    "version without settings": (
        {"versions": {"1.1.0": None}},
        "versions.1.1.0: Input should be a valid dict",
    ),
    "text for a weight": (
        {"versions": {"1.1.0": {"weight_percent": "10"}}},
        "1.1.0.weight_percent: Input should be",
    ),
    "true for a weight": (
        {"versions": {"1.1.0": {"weight_percent": True}}},
        "1.1.0.weight_percent: Input should be",
    ),
    "NaN for a weight": (
        {"versions": {"1.1.0": {"weight_percent": float("nan")}}},
        "weight_percent: Input should",
    ),
    "negative weight": (
        {"versions": {"1.1.0": {"weight_percent": -1}}},
        "weight_percent: Input should be greater",
    ),
    "weight over 100": (
        {"versions": {"1.1.0": {"weight_percent": 101}}},
        "weight_percent: Input should be less",
    ),
    "weights over 100 in all": (
        {"versions": {"1.1.0": {"weight_percent": 60}, "1.2.0": {"weight_percent": 40.5}}},
        "versions: found weights of 100.5 % in all, expected at most 100 %",
    ),
    "stable with a weight": (
        {"versions": {"1.0.0": {"weight_percent": 10}}},
        "versions.1.0.0.weight_percent: stable takes what the others leave; remove it",
    ),
    "unknown placement": (
        {"versions": {"1.1.0": {"placement": "beside"}}},
        "placement: Input should be 'in_server'",
    ),
    "unknown coalesce": (
        {"versions": {"1.1.0": {"coalesce": True}}},
        "coalesce: Input should be 'auto'",
    ),
    "short pin": (
        {"versions": {"1.1.0": {"manifest_sha256": "abc"}}},
        "manifest_sha256: String should match",
    ),
    "no rows": (
        {"limits": {"max_rows": 0}},
        "user_config.limits.max_rows: Input should be greater than or equal to 1",
    ),
    "half a row": (
        {"limits": {"max_rows": 1.5}},
        "user_config.limits.max_rows: Input should be a valid integer",
    ),
    "text for a limit": (
        {"limits": {"deadline_ms": "2000"}},
        "limits.deadline_ms: Input should be a valid integer",
    ),
    "list for the limits": (
        {"limits": [1]},
        "user_config.limits: Input should be a valid dictionary",
    ),
    "batch without rows": (
        {"batch": {"max_rows": 0}},
        "user_config.batch.max_rows: Input should be greater",
    ),
    "negative wait": (
        {"batch": {"wait_ms": -1}},
        "user_config.batch.wait_ms: Input should be greater",
    ),
    "candidate slower than all": (
        {"limits": {"deadline_ms": 100, "candidate_deadline_ms": 101}},
        "limits.candidate_deadline_ms: expected less than deadline_ms, so that stable can answer "
        "in time",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_table_is_refused_with_the_place(change: dict[str, Any], message: str) -> None:
    """One line that names the key as it stands in the file, and what was expected."""
    assert message in refusal(
        Table, change if message.endswith("Field required") else {"stable": "1.0.0"} | change
    )


def test_every_fault_has_a_line() -> None:
    """All are told at once, so that a file is not mended error by error."""
    lines = refusal(Table, {"stable": 1, "limits": {"max_rows": 0, "x": 1}}).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "user_config.stable",
        "user_config.limits.max_rows",
        "user_config.limits.x",
    ]


@pytest.mark.parametrize(
    "values", [["stable", "1.0.0"], [["stable", "1.0.0"]], "stable", 5, True, {1: 2}]
)
def test_what_is_no_mapping_is_refused_like_any_other_fault(values: Any) -> None:
    """A SettingsError, which a live replica survives, and not a TypeError, which ends it."""
    assert refusal(Table, values).startswith("user_config")


def test_no_settings_at_all_are_the_defaults() -> None:
    """YAML reads an empty `user_config:` as null."""
    assert parse_settings(VersionConfig, None, "user_config") == parse_settings(
        VersionConfig, {}, "user_config"
    )
    assert "stable: Field required" in refusal(Table, None)


@pytest.mark.parametrize(
    "weights", [(50.7, 21.1, 28.2), (33.3, 33.3, 33.4), (10.1, 20.2, 69.7), (0.1, 0.2, 99.7)]
)
def test_weights_that_make_100_on_paper_are_accepted(weights: tuple[float, ...]) -> None:
    """50.7 + 21.1 + 28.2 is 100 for a person, and 100.00000000000001 for a computer."""
    versions = {
        f"1.{minor}.0": {"weight_percent": weight} for minor, weight in enumerate(weights, 1)
    }
    table = parse_settings(Table, {"stable": "1.0.0", "versions": versions}, "user_config")
    assert [weight for _, weight in table.weights] == list(weights)


def test_a_table_cannot_be_changed_afterwards() -> None:
    """What was checked is what is in force."""
    table = parse_settings(Table, GOOD, "user_config")
    with pytest.raises(ValueError, match="frozen"):
        table.stable = "9.9.9"  # type: ignore[misc]


def test_arguments_name_the_model_and_are_strict() -> None:
    """`args` of an application: the same rules as the table."""
    assert parse_settings(ServerArgs, {"model": "churn"}, "args").store == "model_store"
    assert "user_config.version: Field required" in refusal(VersionArgs, {"model": "churn"})
    assert "user_config.modle: unknown key; expected one of: model, store" in refusal(
        ServerArgs, {"modle": "churn"}
    )


ROLLOUT: dict[str, Any] = {"stable": "1.0.0", "candidate": "1.1.0"}


def rollout(**change: Any) -> Rollout:
    """A rollout with some settings changed."""
    return parse_settings(Rollout, ROLLOUT | change, "user_config.rollout")


def test_a_rollout_needs_two_versions_and_has_a_plan_by_default() -> None:
    """What docs/rollouts.md shows is what one gets by saying nothing."""
    text = (ROOT / "docs/rollouts.md").read_text()
    values = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])["user_config"][
        "rollout"
    ]
    assert set(values) == set(Rollout.model_fields)
    assert set(values["guardrails"]) == set(Guardrails.model_fields)
    assert parse_settings(Rollout, values, "") == rollout()
    assert rollout().steps == ("shadow", 1, 5, 25, 50, 100)


WRONG_ROLLOUTS: dict[str, tuple[dict[str, Any], str]] = {
    "the candidate is stable": (
        {"candidate": "1.0.0"},
        "candidate: found 1.0.0, which is stable; expected another",
    ),
    "no candidate": ({"candidate": None}, "candidate: Input should be a valid string"),
    "no steps": ({"steps": []}, "steps: Tuple should have at least 1 item"),
    "one step for a list": ({"steps": 5}, "steps: Input should be a valid tuple"),
    "steps that fall": ({"steps": [5, 1]}, "steps: found 5, 1, expected each above the one before"),
    "a step twice": (
        {"steps": ["shadow", 5, 5]},
        "steps: found 5, 5, expected each above the one before",
    ),
    "shadow after a share": (
        {"steps": [1, "shadow", 5]},
        "steps: shadow comes first or not at all",
    ),
    "shadow twice": ({"steps": ["shadow", "shadow"]}, "steps: shadow comes first or not at all"),
    "a step of nothing": ({"steps": [0, 5]}, "steps.0.percent: Input should be greater than 0"),
    "a step over all": (
        {"steps": [50, 101]},
        "steps.1.percent: Input should be less than or equal to 100",
    ),
    "text for a step": ({"steps": ["5"]}, "steps.0.shadow: Input should be 'shadow'"),
    "true for a step": ({"steps": [True]}, "steps.0.percent: Input should be a valid number"),
    "another word than shadow": ({"steps": ["mirror"]}, "steps.0.shadow: Input should be 'shadow'"),
    "no time": ({"min_seconds": 0}, "min_seconds: Input should be greater than or equal to 1"),
    "no requests": (
        {"min_requests": 0},
        "min_requests: Input should be greater than or equal to 1",
    ),
    "no run": ({"run": 0}, "run: Input should be greater than or equal to 1"),
    "a judge that asks for better": (
        {"guardrails": {"max_error_ratio": 0.9}},
        "guardrails.max_error_ratio: Input",
    ),
    "alpha of nothing": (
        {"guardrails": {"alpha": 0.0}},
        "guardrails.alpha: Input should be greater",
    ),
    "a webhook that is no URL": (
        {"notify": {"url": "hooks.example.com"}},
        "notify.url: expected http:// or https:// with a host, without user and password",
    ),
    "a password in a webhook": (
        {"notify": {"url": "https://ada:pass@hooks.example.com"}},
        "notify.url: expected http:// or https:// with a host, without user and password",
    ),
    "a secret for the name of a variable": (
        {"notify": {"url": "https://hooks.example.com", "secret_env": "whsec_a+b/c="}},
        "notify.secret_env: String should match pattern",
    ),
    "an event that never comes": (
        {"notify": {"url": "https://hooks.example.com", "events": ["failed"]}},
        "notify.events.0: Input should be 'claimed', 'started'",
    ),
    "slices by too many fields": (
        {"slice_by": ["a", "b", "c", "d"]},
        "slice_by: Tuple should have at most 3 items",
    ),
    "slices by a field twice": (
        {"slice_by": ["plan", "plan"]},
        "slice_by: found plan, plan, expected each once",
    ),
    "a candidate that must be faster than stable": (
        {"guardrails": {"max_p95_ratio": 0.5}},
        "guardrails.max_p95_ratio: Input should be greater",
    ),
    "unknown guardrail": (
        {"guardrails": {"max_eror_ratio": 2.0}},
        "guardrails.max_eror_ratio: unknown key; expected one of: max_error_ratio, max_slow_ratio",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG_ROLLOUTS.values(), ids=WRONG_ROLLOUTS)
def test_a_wrong_rollout_is_refused_with_the_place(change: dict[str, Any], message: str) -> None:
    """One line that names the key as it stands in the file, and what was expected."""
    assert message in refusal(Rollout, ROLLOUT | change)


def test_the_id_of_a_rollout_is_readable_and_stays_what_it_is() -> None:
    """Written down once: another id would begin every rollout under way again on the day of an
    update.
    """
    assert rollout().id == "1.0.0-1.1.0-4a33fa66"
    assert rollout(steps=[5, 50]).id == "1.0.0-1.1.0-f8a802ba"


@pytest.mark.parametrize(
    "change",
    [
        {"candidate": "1.2.0"},
        {"stable": "0.9.0"},
        {"steps": [5, 100]},
        {"guardrails": {"alpha": 0.05}},
        {"guardrails": {"max_p95_ratio": 3}},
        {"slice_by": ["contract_length_months"]},
        {"min_requests": 301},
        {"bake_seconds": 60},
    ],
    ids=str,
)
def test_another_plan_is_another_rollout(change: dict[str, Any]) -> None:
    """A looser guardrail must not inherit how far the stricter one came."""
    assert rollout(**change).id != rollout().id


def test_the_same_plan_written_otherwise_is_the_same_rollout() -> None:
    """A default that is spelled out, a whole number for a fraction, another run: the log is found
    again.
    """
    spelled = rollout(
        steps=["shadow", 1.0, 5, 25, 50, 100], min_seconds=300, guardrails={"slow_ms": 100}, run=3
    )
    assert spelled.id == rollout().id


def test_the_id_with_its_run_fits_into_the_salt_of_the_assignment() -> None:
    """`assign` looks at 64 bytes of its salt: what distinguishes two rollouts must be in them."""
    long = "1.0.0-" + "x" * 33
    assert len(f"{rollout(stable=long + 'a', candidate=long + 'b').id}-run1000000".encode()) <= 64
    assert rollout(stable=long + "a").id != rollout(stable=long + "b").id


def kinds(root: type[Setting] = Setting) -> list[type[Setting]]:
    """All settings there are."""
    return [kind for child in root.__subclasses__() for kind in (child, *kinds(child))]


FIELDS = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kind in kinds()
    for name in kind.model_fields
]


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_every_setting_says_what_it_is_and_stands_where_people_look(
    kind: type[Setting], name: str
) -> None:
    """A description in the code, and a line in a place where people look (a habit of datasette)."""
    assert kind.model_fields[name].description
    places = [(ROOT / name).read_text() for name in ("serve_config.yaml", "docs/settings.md")]
    assert any(re.search(rf"\b{name}\b", text) for text in places)


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_every_number_has_a_lower_bound(kind: type[Setting], name: str) -> None:
    """None can be switched off or turned around by a negative value."""
    if kind.model_fields[name].annotation in (int, float):
        assert any(
            getattr(bound, "ge", None) is not None for bound in kind.model_fields[name].metadata
        )


def test_the_tables_of_the_file_that_is_shipped_are_good() -> None:
    """serve_config.yaml is an example first: every table and every argument in it is accepted."""
    applications = yaml.safe_load((ROOT / "serve_config.yaml").read_text())["applications"]
    tables = [
        parse_settings(Table, deployment["user_config"], application["name"])
        for application in applications
        for deployment in application["deployments"]
        if deployment["name"] == "Server"
    ]
    assert len(tables) == 2
    assert all(
        parse_settings(ServerArgs, one["args"], one["name"]).model == one["name"]
        for one in applications
    )


def test_a_rollout_names_stable_for_the_whole_table() -> None:
    """The user writes the rollout and nothing else; its candidate is a version of the table."""
    table = parse_settings(
        Table, {"rollout": {"stable": "1.0.0", "candidate": "1.1.0"}}, "user_config"
    )
    assert table.stable == "1.0.0"
    assert table.names == ("1.0.0", "1.1.0")
    more = {"1.1.0": {"placement": "isolated"}, "2.0.0": {}}
    again = parse_settings(
        Table,
        {"rollout": {"stable": "1.0.0", "candidate": "1.1.0"}, "versions": more},
        "user_config",
    )
    assert again.names == ("1.0.0", "1.1.0", "2.0.0")
    assert again.entry("1.1.0").placement == "isolated"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"stable": "0.9.0"}, "rollout.stable: found 1.0.0, expected the table's stable 0.9.0"),
        (
            {"versions": {"1.1.0": {"weight_percent": 5}}},
            "versions.1.1.0.weight_percent: the rollout decides",
        ),
        (
            {"versions": {"2.0.0": {"weight_percent": 5}}},
            "versions.2.0.0.weight_percent: the rollout decides",
        ),
        ({"rollout": {"candidate": "1.1.0"}}, "stable"),
        ({"rollout": "1.1.0"}, "rollout"),
    ],
)
def test_a_table_and_its_rollout_must_agree(table: dict[str, Any], message: str) -> None:
    """Two who decide about the same share would be one too many."""
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse_settings(
            Table, {"rollout": {"stable": "1.0.0", "candidate": "1.1.0"}, **table}, "user_config"
        )


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"rollout": {"stable": "1.0.0", "candidate": "1.1.0", "guardrails": {"max_eror": 2}}},
            "rollout.guardrails.max_eror: unknown key; expected one of: max_error_ratio, ",
        ),
        (
            {"stable": "1.0.0", "versions": {"1.1.0": {"weight": 2}}},
            "versions.1.1.0.weight: unknown key; expected one of: weight_percent, placement, ",
        ),
    ],
)
def test_an_unknown_key_is_told_with_those_that_exist_there(
    values: dict[str, Any], line: str
) -> None:
    """Also inside what is optional or named: the keys of the whole table would not help."""
    with pytest.raises(SettingsError, match=f"^user_config.{re.escape(line)}"):
        parse_settings(Table, values, "user_config")


@pytest.mark.parametrize(
    "origin", ["https://shop.example.com", "http://localhost:3000", "http://10.0.0.1:8080", "*"]
)
def test_an_origin_is_taken_as_a_browser_sends_it(origin: str) -> None:
    """Without one nobody may ask from another page, and docs are there."""
    args = parse_settings(ServerArgs, {"model": "churn", "cors_origins": [origin]}, "args")
    assert args.cors_origins == (origin,)
    assert parse_settings(ServerArgs, {"model": "churn"}, "args").cors_origins == ()
    assert args.docs


@pytest.mark.parametrize(
    "origin",
    [
        "shop.example.com",
        "https://shop.example.com/",
        "https://Shop.example.com",
        "https://*.example.com",
        "null",
        "https://shop.example.com\n",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    """It would match nothing, and nobody would know why."""
    with pytest.raises(SettingsError, match=r"args\.cors_origins"):
        parse_settings(ServerArgs, {"model": "churn", "cors_origins": [origin]}, "args")
