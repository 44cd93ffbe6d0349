"""What happened in a season, a line each."""

from collections.abc import Iterator

from benchmarks.season.run import Season
from serve_app.monitoring.retraining_verdict import Outcome
from training.retraining.against_stable import DEFAULT_PERCENT


def story(season: Season) -> Iterator[str]:
    """Yield what happened, in the order of days."""
    yield f"{season.n_asked:,} orders, {season.n_labelled:,} labels"
    told = [*_looks(season), *_rollout(season)]
    for day, line in sorted(told, key=lambda one: one[0]):
        yield f"day {day:.1f}: {line}"
    outcomes = [look.verdict.outcome for look in season.looks]
    counted = ", ".join(f"{outcome.value} {outcomes.count(outcome)}" for outcome in Outcome)
    yield f"verdicts: {counted}; looks with a field that had drifted: {n_drifting(season)}"
    if season.labels_said:
        yield f"labels of the rollout: {season.labels_said}"
    last = season.looks[-1]
    for version, (value, low, high) in last.mae.items():
        yield f"last seven days, {version}: mae {value:.2f} ({low:.2f} to {high:.2f})"


def n_drifting(season: Season) -> int:
    """Looks at which some field had drifted."""
    return sum(bool(look.drifting) for look in season.looks)


def _looks(season: Season) -> Iterator[tuple[float, str]]:
    weather = season.weather
    if weather.orders_from is not None:
        yield weather.orders_from, "orders come from further away, and earlier in the day"
    if weather.minutes_from is not None:
        yield weather.minutes_from, "the same order takes longer"
    named = next((look for look in season.looks if look.drifting), None)
    if named is not None:
        yield named.day, f"drift is named: {', '.join(named.drifting)}"
    asked = next((one for one in season.looks if one.verdict.outcome is Outcome.RETRAIN), None)
    if asked is not None:
        yield asked.day, f"retraining is asked for: {'; '.join(asked.verdict.reasons)}"
    confirmed = next((look for look in season.looks if look.day == season.confirmed_day), None)
    if confirmed is not None:
        yield confirmed.day, f"labels confirm: {confirmed.verdict.reasons[0]}"
    if season.trained_day is not None:
        yield season.trained_day, f"{season.n_trained_rows:,} labelled rows are trained on"
    if season.trained_day is not None and season.against is not None:
        tolerated = season.against.tolerated_percent or DEFAULT_PERCENT
        yield season.trained_day, f"disagreement that its rollout tolerates: {tolerated:g} %"


def _rollout(season: Season) -> Iterator[tuple[float, str]]:
    for day, event in season.events:
        yield day, f"rollout: {event.kind} at {event.share}: {event.reason}"
