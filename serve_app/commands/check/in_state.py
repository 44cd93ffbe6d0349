"""How far the rollouts of a plan are already, by their logs: read where they can be read."""

import os
from collections.abc import Iterator
from pathlib import Path

from serve_app.bundle.objects import is_object_uri
from serve_app.commands.check.document import Fault, Place
from serve_app.commands.check.plan import Plan
from serve_app.errors import RolloutError, SettingsError
from serve_app.models import name_of
from serve_app.rollout.event import Event
from serve_app.rollout.few_keys import is_few
from serve_app.rollout.log import open_log
from serve_app.rollout.state import OUT, State, fold
from serve_app.settings import Rollout, ServerArgs


def check_logs(plan: Plan) -> Iterator[Fault]:
    """A rollout that is deployed begins, or goes on: it is not over already."""
    for app, args, table in plan.servers:
        if table.rollout is not None:
            yield from _check(app.name, args, table.rollout, (*app.table_place, "rollout"))


def _check(application: str, args: ServerArgs, rollout: Rollout, place: Place) -> Iterator[Fault]:
    state_place = os.environ.get("STATE_PATH") or args.state
    try:
        model = name_of(args.model)
        # Opening a folder would make it.
        if not is_object_uri(state_place) and not Path(state_place).is_dir():
            return
        events = open_log(state_place, model, application, rollout.id).read()
        state = fold(events)
    except SettingsError:
        # The rule of registered models says so.
        return
    except RolloutError as error:
        # It may be reached from the cluster, and not from here.
        yield Fault(place, f"its log is not known from here: {error}", "warning")
        return
    text = _over(state, rollout) or _few_keys(events, state)
    if text:
        yield Fault(place, text, "warning")


def _over(state: State, rollout: Rollout) -> str:
    """Say what is in force at once by a log that is at its end; nothing where it goes on."""
    if rollout.run > state.run:
        return ""
    again = f"run: {state.run + 1} begins again at the first step"
    if state.status == "finished":
        return (
            f"its log says finished: {rollout.candidate} answers everybody as soon as this is "
            f'deployed, without a step; write stable: "{rollout.candidate}" and take rollout out, '
            f"or {again}"
        )
    if state.status in OUT:
        return (
            f"its log says {state.status.replace('_', ' ')} ({state.reason}): {rollout.candidate} "
            f"gets nothing; {again}"
        )
    return ""


def _few_keys(events: tuple[Event, ...], state: State) -> str:
    """Say that the judge had few keys in the shadow of this run."""
    for event in events:
        n_pairs = int(event.numbers.get("pairs") or 0)
        n_requests = int(event.numbers.get("candidate_requests") or 0)
        if event.run == state.run and is_few(n_pairs, n_requests):
            return (
                f"few keys: {n_requests:,} requests in shadow had {n_pairs}. The judge counts "
                "keys, so that to pass is no proof; let the plan end where a person promotes"
            )
    return ""
