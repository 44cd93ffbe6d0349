"""schemathesis over an application in this process: whether its document and its answers agree.

A test imports this where it uses it: a second of imports is too much for every process that
collects tests.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

BATCH = "/predict/batch"
FEEDBACK = "/v1/feedback"
# What schemathesis takes for a refusal. A batch is not refused because one of its rows is bad, and
# no list of labels because one of them is.
REFUSALS = ("400", "401", "403", "404", "405", "406", "409", "415", "422", "428", "429", "5xx")


@dataclass
class Attack:
    """What came out: `statuses` by operation and status, `cases` by phase, and each failure."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def attack(
    app: Any, versions: list[str], max_examples: int, headers: Mapping[str, str] | None = None
) -> Attack:
    """Send what the document of the application allows and what it forbids, with all checks.

    `versions` are those of the table: the document cannot know them. `max_examples` bounds the
    random cases of an operation; those at the edges of types and bounds, and the sequences along
    the links, come on top. The same cases each time. The second names of routes are left out.
    `headers` are sent with each.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": dict(headers or {}),
            "cache": {"enabled": False},
            "continue-on-failure": True,
            "generation": {
                "max-examples": max_examples,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
            },
            "phases": {"stateful": {"generation": {"max-examples": 5}}},
            "operations": [
                {"include-path-regex": "^/predict", "enabled": False},
                {
                    "include-path-regex": f"({BATCH}|{FEEDBACK})$",
                    "checks": {
                        "negative_data_rejection": {"expected-statuses": [*REFUSALS, "200"]}
                    },
                },
            ],
        }
    )
    document = json.loads(json.dumps(app.openapi()))
    for path in document["paths"].values():
        for parameter in path.get("post", {}).get("parameters", ()):
            if parameter["name"] == "X-Model-Version":
                parameter["schema"]["enum"] = versions
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = app
    found = Attack()
    for event in engine.from_schema(schema).execute():
        if isinstance(event, FatalError | NonFatalError):
            found.failures.append(str(event))
        elif isinstance(event, ScenarioFinished):
            _look_at(event, found)
    return found


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Write 3.0 as 3: one number to a JSON schema, but no integer in the JSON of a row."""
    case.body = _whole(case.body)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    return value


def _look_at(event: ScenarioFinished, found: Attack) -> None:
    recorder = event.recorder
    for id_, interaction in recorder.interactions.items():
        response = interaction.response
        case = recorder.cases[id_].value
        found.cases[event.phase.value] += 1
        found.statuses[case.operation.label, response.status_code] += 1
        if _hides_a_bad_row(case, response):
            found.failures.append(f"{case.operation.label}: no entry for a bad row: {case.body}")
    for id_, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                case = recorder.cases[id_].value
                said = recorder.interactions[id_].response
                found.failures.append(
                    f"{case.operation.label}: {check.name}: {check.failure_info.failure.message}\n"
                    f"{check.failure_info.code_sample}\n{said.status_code} {said.text}"
                )


def _hides_a_bad_row(case: Any, response: Any) -> bool:
    """Whether a batch with a row that breaks the contract has no entry that says so."""
    if not case.operation.path.endswith(BATCH) or response.status_code != 200:
        return False
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return body is not None and body.mode.is_negative and json.loads(response.text)["failed"] == 0
