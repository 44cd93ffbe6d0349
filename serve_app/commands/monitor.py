"""`sluice monitor`: whether a model needs another training, with the reasons."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.target import CONFIG, ConfigOption, ModelOption
from serve_app.monitoring.retraining_limits import LIMITS

if TYPE_CHECKING:
    from serve_app.monitoring.retraining_verdict import RetrainingVerdict, Seen

SAID = {
    "fine": "fine: nothing asks for another training",
    "retrain": "retrain: another training is asked for",
    "data_fault": "data fault: look at the rows first; no training is asked for",
}
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Of the server, with the model's prefix, such as …:8000/delivery-time; else as the "
        "file says.",
    ),
]
AgeOption = Annotated[
    float,
    typer.Option("--max-age-days", min=0.0, help="A version that is older asks for retraining."),
]
DaysOption = Annotated[
    float,
    typer.Option(
        "--least-days",
        min=0.0,
        # The window of 7 days begins later than 7 days ago: more would never be reached.
        max=6.5,
        help="Quality and drift ask for nothing before there are rows of so many days, which are "
        "kept for a week: a Saturday is no week.",
    ),
]


def monitor(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]", help="The model, such as churn.")
    ] = None,
    url: UrlOption = None,
    max_age_days: AgeOption = LIMITS.most_age_days,
    least_days: DaysOption = LIMITS.least_days,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say whether the version that answers needs another training, with the reasons.

    Exit code 1: refused; 2: no answer; 10: retrain; 20: the data is at fault.
    """
    from serve_app.commands.rollout_client import Unreachable
    from serve_app.commands.target import find_target
    from serve_app.models import name_of

    with errors_in_words(Unreachable):
        named = _named(words or [], model)
        target = find_target(url, named, config)
        expected = None
        if url is None:
            typer.echo(target.said, err=True)
        elif named is not None:
            # The file may call a server by its application; at a URL there is only the model.
            expected = name_of(named)
        seen, verdict = asked(target.url, expected, max_age_days, least_days)
    if as_json:
        typer.echo(json.dumps(as_values(seen, verdict)))
    else:
        for line in lines(seen, verdict):
            typer.echo(line)
    code = exit_code(verdict)
    if code:
        raise typer.Exit(code)


def _named(words: Sequence[str], model: str | None) -> str | None:
    """The model that is meant, if one is named. Raises SettingsError, or typer.BadParameter."""
    from serve_app.errors import SettingsError

    if len(words) > 1:
        raise typer.BadParameter(f"found {len(words)} words, expected one model at most")
    if words and model not in (None, words[0]):
        raise SettingsError(f"--model: found {model} and {words[0]}; keep one of the two")
    return words[0] if words else model


def asked(
    url: str, model: str | None, max_age_days: float, least_days: float
) -> "tuple[Seen, RetrainingVerdict]":
    """What the server at a URL tells, and the verdict of now.

    `model` is the one that is meant, if one is named. Raises Refused, also where another one is
    served there, or Unreachable.
    """
    from serve_app.commands import rollout_client as client
    from serve_app.monitoring.retraining_verdict import judge, seen_of

    told = client.description(url)
    if model not in (None, told.model):
        raise client.Refused(
            f"{url}: serves {told.model}, expected {model}; another server: --url, with the "
            "model's prefix"
        )
    seen = seen_of(told, client.drift(url), client.quality(url))
    if seen is None:
        raise client.Unreachable(
            f"{url}: no version is loaded there, so that there is nothing to judge; /ready says why"
        )
    limits = replace(LIMITS, most_age_days=max_age_days, least_days=least_days)
    return seen, judge(seen, datetime.now(UTC), limits)


def exit_code(verdict: "RetrainingVerdict") -> ExitCode:
    """How the command ends."""
    codes = {"fine": ExitCode.OK, "retrain": ExitCode.RETRAIN, "data_fault": ExitCode.DATA_FAULT}
    return codes[verdict.outcome]


def lines(seen: "Seen", verdict: "RetrainingVerdict") -> Iterator[str]:
    """What is shown: the verdict, what speaks for it, and what could not be judged."""
    yield f"{seen.version}: {SAID[verdict.outcome]}"
    for fault in verdict.faults:
        yield f"  ! {fault}"
    for reason in verdict.reasons:
        yield f"  {'-' if verdict.faults else '!'} {reason}"
    for note in verdict.notes:
        yield f"    {note}"


def as_values(seen: "Seen", verdict: "RetrainingVerdict") -> dict[str, object]:
    """The same for programs."""
    return {
        "version": seen.version,
        "outcome": verdict.outcome.value,
        "faults": list(verdict.faults),
        "reasons": list(verdict.reasons),
        "notes": list(verdict.notes),
    }
