"""All faults, one after the other, on one server for each mode and placement."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from rich.console import Console

from benchmarks.chaos import disks
from benchmarks.chaos.config import config_of, make_store
from benchmarks.chaos.fault import Fault, Stage
from benchmarks.chaos.load import Load, capacity
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.report import Part
from benchmarks.chaos.served import Served
from benchmarks.chaos.store import BUCKET, running_s3
from benchmarks.errors import Skipped
from benchmarks.place import own_place
from benchmarks.question import Question

SETTLE_S = 1.0
CAPACITY_S = 3.0
WHOLE_TIMEOUT_S = 300.0
# Of less nothing is said of memory.
SOAK_S = 600.0
# Of a soak's time: caches fill, and Ray starts a process or two.
WARM_PART = 1 / 6
# A load that is not ended earlier.
MOST_S = 7_200.0
DISKS_MB = {"ray": 400, "state": 2, "cache": 32}


def run(
    faults: Sequence[Fault],
    modes: Sequence[str],
    placements: Sequence[str],
    seconds: float,
    share: float,
    replicas: int,
    console: Console,
) -> Iterator[Part]:
    """Try the faults; a server is started for each mode and placement, and for an object store.

    What came of each server is told as soon as it is known. Raises BenchmarkError.

    `seconds` is how long each is watched, at least; `share` the load's part of what the server can;
    `replicas` how many servers there are, and replicas of an isolated version.
    """
    for mode in modes:
        for placement in placements:
            fitting = [f for f in faults if mode in f.modes and placement in f.placements]
            for with_store in (False, True):
                chosen = [fault for fault in fitting if ("store" in fault.needs) == with_store]
                if chosen:
                    yield _part(chosen, mode, placement, seconds, share, replicas, console)


def _part(
    faults: Sequence[Fault],
    mode: str,
    placement: str,
    seconds: float,
    share: float,
    replicas: int,
    console: Console,
) -> Part:
    with_store = "store" in faults[0].needs
    name = f"{mode}, {placement}" + (", object store" if with_store else "")
    outcomes: list[Outcome] = []
    skipped: dict[str, str] = {}
    rate = 0.0
    try:
        with staged(mode, placement, replicas, with_store=with_store) as stage:
            console.print(f"{name}: ready")
            rate = share * capacity(stage.served.url, stage.question, CAPACITY_S)
            for fault in faults:
                try:
                    outcomes.append(_try(fault, stage, rate, seconds))
                except Skipped as reason:
                    skipped[fault.name] = str(reason)
                    console.print(f"  {fault.title}: not tried, {reason}", markup=False)
                else:
                    _say(outcomes[-1], console)
    except Skipped as reason:
        skipped |= {fault.name: str(reason) for fault in faults}
    where = placement + (", object store" if with_store else "")
    return Part(mode, where, rate, outcomes, skipped, replicas)


def _say(found: Outcome, console: Console) -> None:
    whole = "never whole again" if found.whole_s is None else f"whole after {found.whole_s:.1f} s"
    console.print(
        f"  {found.title}: {found.lost} of {found.requests} lost {found.failed or ''}, gap "
        f"{found.longest_gap_s:.2f} s, recovery {found.recovery_s:.1f} s, {whole}",
        markup=False,
    )


@contextmanager
def staged(mode: str, placement: str, replicas: int, *, with_store: bool) -> Iterator[Stage]:
    """A whole server in a place of its own, for a `with` block. Raises Skipped."""
    with ExitStack() as stack:
        place = stack.enter_context(own_place())
        with suppress(Skipped):
            disks.require()
            for name, size_mb in DISKS_MB.items():
                disks.mount(place.folder / name, size_mb)
                stack.callback(disks.unmount, place.folder / name)
        folder = make_store(place.folder / "store")
        question = Question(folder / "churn" / "1.0.0")
        store = stack.enter_context(running_s3(place, folder)) if with_store else None
        uri = str(folder)
        env = {"CACHE_PATH": str(place.folder / "cache")}
        if store is not None:
            uri = f"s3://{BUCKET}"
            env |= store.environment()
        config = config_of(place, uri, placement, replicas)
        served = Served(mode, placement, replicas, place, config, env)
        stack.callback(served.close)
        served.require_whole()
        yield Stage(served, question, store)


def _try(fault: Fault, stage: Stage, rate: float, seconds: float) -> Outcome:
    """One fault under load. Raises Skipped when it cannot be made here."""
    served = stage.served
    served.require_whole()
    served.forget()
    before_mb = served.memory_mb()
    load = Load(served.url, stage.question, rate, MOST_S)
    with load:
        _wait(lambda: load.at_s >= SETTLE_S)
        load.note_fault()
        story = fault.begin(stage)
        try:
            _wait(lambda: load.since_fault_s >= fault.lasts_s)
        finally:
            ended = fault.end(stage)
        is_whole = served.until_whole(WHOLE_TIMEOUT_S)
        whole_s = load.since_fault_s if is_whole else None
        if seconds >= SOAK_S:
            _wait(lambda: load.since_fault_s >= seconds * WARM_PART)
            before_mb = served.memory_mb()
        _wait(lambda: load.since_fault_s >= seconds)
    sample = stage.samples.pop() if stage.samples else None
    found = load.outcome(
        p99_ms=sample.p99_ms if sample else None,
        accepted=sample.accepted if sample else None,
        fault=fault.name,
        title=fault.title,
        whole_s=whole_s,
        most_recovery_s=fault.most_recovery_s + fault.lasts_s,
        ends_server=fault.ends_server,
        may_shed=fault.may_shed,
        most_p99_ms=fault.most_p99_ms,
        most_growth_percent=fault.most_growth_percent if seconds >= SOAK_S else None,
        left_behind=served.left,
        memory_mb=(before_mb, served.memory_mb()),
        story="; ".join(text for text in (story, ended, served.words) if text),
    )
    if not is_whole:
        # The next fault needs a server: what a person would do.
        served.program.kill_leader()
    return found


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)
