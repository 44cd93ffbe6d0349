"""One run of a scenario from its seed."""

import logging
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ray import serve

from benchmarks.simulator.loop import PROCESS, VirtualLoop
from benchmarks.simulator.models import proven
from benchmarks.simulator.outcome import Ended, Outcome
from benchmarks.simulator.scenario import Scenario
from benchmarks.simulator.stand_ins import in_place, of_time
from benchmarks.simulator.story import Story, StoryHandler
from benchmarks.simulator.world import SimulatedWorld
from serve_app.bundle import loading
from serve_app.bundle.stores import open_store
from serve_app.cluster.logs import log_to_ray
from serve_app.rollout.event import Event

# A person's command is in force everywhere after so long, or never: a server that is cut off may
# keep its share for a minute.
COMMAND_S = 15.0
PATIENCE_S = 75.0
LOOK_S = 0.25
ENDS: dict[str, Ended] = {"aborted": "aborted", "rolled_back": "aborted", "held": "held"}
# What a person says to take all share away.
OUT = "out"
LOGGER = logging.getLogger("serve_app")


def simulate(scenario: Scenario, seed: int, *, is_told: bool = False) -> Outcome:
    """Run a scenario once; the same seed gives the same outcome and the same story."""
    begin_s = time.process_time()
    # It has those methods of a loop that are used; asyncio's base class lists many more.
    loop = VirtualLoop()  # type: ignore[abstract]
    story = Story(loop.time, is_told=is_told)
    names = random.Random(f"{scenario.name}/{seed}/names")
    world: SimulatedWorld
    rays = _ray_of(lambda: world)
    with (
        _logged(story),
        _batches() as batch,
        in_place({**of_time(loop, names), **rays, serve.batch: batch}),
        _own_context(),
    ):
        world = SimulatedWorld(scenario, seed, loop, story)
        loop.run_until(scenario.longest_s)
        ended, event = _ended(world)
        witness = world.witness
        n_requests = witness.n_requests
        n_candidate = witness.n_candidate
        seconds = loop.time()
        story.tell(f"the run ends: {ended}")
        if ended == "aborted":
            # Clients go on until every server knows.
            _wait(world, lambda: not any(world.percents), PATIENCE_S)
        world.balancer.close()
        witness.close()
        begin_out_s = loop.time()
        is_stuck = not _can_take_away(world)
        out_s = loop.time() - begin_out_s
        loop.close()
    return Outcome(
        seed=seed,
        ended=ended,
        reason=event.reason if event else _waits_for(world),
        cause=event.cause if event else "",
        seconds=seconds,
        n_requests=n_requests,
        n_candidate=n_candidate,
        n_lost=witness.n_lost,
        exposed_s=witness.exposed_s,
        is_stuck=is_stuck,
        cpu_s=time.process_time() - begin_s,
        story=tuple(story.lines) if is_told else (),
        events=tuple(world.events) if is_told else (),
        out_s=out_s,
    )


def _ended(world: SimulatedWorld) -> tuple[Ended, Event | None]:
    last = _last_decision(world)
    if last is None:
        return "undecided", None
    if last.kind in ENDS:
        return ENDS[last.kind], last
    if last.kind == "finished" or last.share == 100:
        return "passed", last
    return "undecided", None


def _last_decision(world: SimulatedWorld) -> Event | None:
    """The newest event that is more than another coordinator's start."""
    for event in reversed(world.events):
        if event.kind != "claimed":
            return event
    return None


def _waits_for(world: SimulatedWorld) -> str:
    coordinator = world.cluster.coordinator
    if coordinator is None:
        return "no coordinator"
    controller = coordinator.controller
    return controller.trouble or controller.waits_for


def _can_take_away(world: SimulatedWorld) -> bool:
    """Whether the candidate has no share, or a person can take it away in time."""

    def is_out() -> bool:
        return not any(world.percents)

    if not is_out():
        # Who gets no answer asks again.
        for _ in range(3):
            if is_out():
                break
            world.command(OUT)
            _wait(world, is_out)
        _wait(world, is_out, PATIENCE_S)
    return is_out()


def _wait(world: SimulatedWorld, is_over: Callable[[], bool], most_s: float = COMMAND_S) -> None:
    """Until this holds, or it is too late."""
    until_s = world.loop.time() + most_s
    while not is_over() and world.loop.time() < until_s:
        world.loop.run_until(world.loop.time() + LOOK_S)


def _ray_of(world: Any) -> dict[Any, Any]:
    """Stand-ins for what serve_app asks of Ray and of the store of bundles."""

    def status() -> Any:
        world().loop.spend(0.01)
        return SimpleNamespace(
            applications={
                f"churn-{version}": SimpleNamespace(
                    status="RUNNING",
                    deployments={
                        "Version": SimpleNamespace(
                            replica_states={"RUNNING": len(application.ready)}
                        )
                    },
                )
                for version, application in world().applications.items()
            }
        )

    def get_app_handle(name: str) -> Any:
        world().loop.spend(0.01)
        return world().applications[name.removeprefix("churn-")]

    def replica_context() -> Any:
        process = PROCESS.get()
        assert process is not None
        return SimpleNamespace(
            replica_id=SimpleNamespace(unique_id=process.name),
            _deployment_config=SimpleNamespace(max_ongoing_requests=1_000),
        )

    def load(store: Any, spec: Any, version: str, *_: Any) -> Any:
        return proven(version, world().runtime(version))

    return {
        serve.status: status,
        serve.get_app_handle: get_app_handle,
        serve.get_replica_context: replica_context,
        loading.load: load,
        open_store: lambda *_, **__: None,
        log_to_ray: lambda: None,
        os.nice: lambda _: 0,
    }


@contextmanager
def _logged(story: Story) -> Iterator[None]:
    """What serve_app logs goes into the story, or nowhere; afterwards all is as it was."""
    before = (LOGGER.handlers, LOGGER.level, LOGGER.propagate)
    handler = StoryHandler(story)
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.INFO if story.is_told else logging.CRITICAL + 1)
    try:
        yield
    finally:
        handler.tell_rest()
        LOGGER.handlers, LOGGER.level, LOGGER.propagate = before


@contextmanager
def _batches() -> Iterator[Callable[..., Any]]:
    """@serve.batch, whose queues are forgotten with the run.

    Ray's queue looks for an event loop when it is collected, and makes one where none runs: it
    would stay open in whichever program comes after the simulation.
    """
    decorated: list[Any] = []
    real = serve.batch

    def batch(**settings: Any) -> Callable[..., Any]:
        def decorate(function: Callable[..., Any]) -> Any:
            found: Any = real(**settings)(function)
            decorated.append(found)
            return found

        return decorate

    try:
        yield batch
    finally:
        for function in decorated:
            # Ray gives its queue out by the methods alone that it hangs on what it decorates.
            queue = function._is_batching_task_alive.__self__._queue
            if queue is not None:
                queue._handle_batch_task = None


@contextmanager
def _own_context() -> Iterator[None]:
    """Outside of all processes, whatever ran here before."""
    token = PROCESS.set(None)
    try:
        with warnings.catch_warnings():
            # What a process was to do when it died.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        PROCESS.reset(token)
