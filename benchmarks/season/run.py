"""One season: what happens on each of its days, and what the program and its people make of it."""

import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.season.program import DAY_S, PLACED, Program
from benchmarks.season.shop import SPEC, Order, Weather, frame_of, orders_of
from benchmarks.simulator.loop import VirtualLoop
from benchmarks.simulator.stand_ins import in_place, of_time
from serve_app.bundle.store import FolderStore
from serve_app.bundle.verified import read_manifest
from serve_app.monitoring.drift_view import DriftView
from serve_app.monitoring.drift_windows import WEEK
from serve_app.monitoring.retraining_limits import LIMITS
from serve_app.monitoring.retraining_verdict import Outcome, RetrainingVerdict, judge, seen_of
from serve_app.rollout.event import Event
from serve_app.rollout.view import RolloutView, view
from training.reading import read_csv
from training.recipe import get_training
from training.retraining.against_stable import AgainstStable, against_stable
from training.retraining.next_version import too_old
from training.run import holdout_of, train, train_on

OLD = "1.0.0"
NEW = "1.1.0"
SEED = 11
# So many looks a day; the first one is in the night, after the labels.
LOOKS_A_DAY = 4
LABELS_AT = 0.05
LOOK_AT = 0.1
LABELLED_SHARE = 0.8
# From labels that confirm to the training, and how far back its rows go: a whole week of the new
# world, as `sluice retrain delivery_time --labels … --if-needed --last 7d` takes it then.
WAIT_DAYS = 7
LAST_DAYS = 7
# A part of a week lacks weekdays.
FIRST_WEEK_DAYS = 7
# Of a verdict's reason that labels give.
BY_LABELS = "by labels"
RESUMED = "labels say that stable is wrong: other answers are what is wanted"


@dataclass(frozen=True)
class Plan:
    """How large a season is.

    `mean_orders` a day, rows of the first training, seconds of the season in a virtual one.
    """

    mean_orders: int
    n_training_rows: int
    scale: float
    n_days: int = 30


FULL = Plan(mean_orders=600, n_training_rows=12_000, scale=300)
SHORT = Plan(mean_orders=250, n_training_rows=5_000, scale=900)


@dataclass(frozen=True)
class Look:
    """What was seen at one time, in days since the beginning.

    `nearness` is each field's PSI over its limit, of stable's last seven days: above 1 it has
    drifted; it is empty before there are as many. `mae` has (value, low, high) of each version's
    last seven days.
    """

    day: float
    stable: str
    nearness: Mapping[str, float]
    mae: Mapping[str, tuple[float, float, float]]
    verdict: RetrainingVerdict
    percent: float

    @property
    def drifting(self) -> list[str]:
        """The fields that have drifted."""
        return [name for name, ratio in self.nearness.items() if ratio > 1]


@dataclass
class Season:
    """What became of a season; days are counted from its beginning, None where it never was."""

    weather: Weather
    baseline_mae: float
    looks: list[Look] = field(default_factory=list)
    trained_day: float | None = None
    n_trained_rows: int = 0
    against: AgainstStable | None = None
    events: list[tuple[float, Event]] = field(default_factory=list)
    resumed: list[tuple[float, str]] = field(default_factory=list)
    labels_said: str = ""
    n_asked: int = 0
    n_labelled: int = 0

    @property
    def named_day(self) -> float | None:
        """When drift was first named."""
        return next((look.day for look in self.looks if look.drifting), None)

    @property
    def asked_day(self) -> float | None:
        """When the verdict first asked for another training."""
        return self._first(lambda said: said.outcome is Outcome.RETRAIN)

    @property
    def confirmed_day(self) -> float | None:
        """When labels first said so."""
        return self._first(lambda said: any(BY_LABELS in reason for reason in said.reasons))

    @property
    def won_day(self) -> float | None:
        """When the new version had everybody."""
        entered = (at for at, event in self.events if event.share == 100)
        return next(entered, None)

    def _first(self, holds: Any) -> float | None:
        return next((look.day for look in self.looks if holds(look.verdict)), None)


def first_version(plan: Plan, store: FolderStore) -> None:
    """Train what is stable when a season begins, of the recipe."""
    training = replace(get_training(SPEC.name), n_rows=plan.n_training_rows)
    train(training, SPEC, OLD, store)


def play(weather: Weather, plan: Plan, folder: Path, store: FolderStore) -> Season:
    """Play a season with what is in the store; `folder` gets the state and the file of labels."""
    manifest, _ = read_manifest(store, SPEC.name, OLD)
    begin = datetime.fromisoformat(manifest.created_at).astimezone(UTC)
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    # It has those methods of a loop that are used; asyncio's base class lists many more.
    loop = VirtualLoop()  # type: ignore[abstract]
    names = random.Random(f"season/{SEED}")
    season = Season(weather, manifest.metrics["mae"].value)
    with _quiet(), in_place(of_time(loop, names)):
        program = Program(loop, store, folder / "state", midnight.timestamp() + DAY_S, plan.scale)
        town = _Town(season, program, plan, folder, loop, store)
        loop.create_task(town.live())
        loop.run_until(plan.n_days * DAY_S / plan.scale)
        loop.close()
    return season


@contextmanager
def _quiet() -> Iterator[None]:
    """What serve_app logs is told by the season itself."""
    logger = logging.getLogger("serve_app")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Town:
    """Clients, the file of labels, and the people who look after the model."""

    def __init__(
        self,
        season: Season,
        program: Program,
        plan: Plan,
        folder: Path,
        loop: VirtualLoop,
        store: FolderStore,
    ) -> None:
        self._season = season
        self._program = program
        self._plan = plan
        self._folder = folder
        self._loop = loop
        self._store = store
        self._begin_s = program.now_s()
        self._rng = random.Random(SEED)
        # By day what was asked, with the id of its prediction.
        self._asked: dict[int, list[tuple[Order, str]]] = {}
        # With the season's time of each, in seconds since 1970.
        self._labelled: list[tuple[float, Order]] = []
        self._n_events = 0
        self._is_settled = False

    @property
    def _day(self) -> float:
        return self._loop.time() * self._plan.scale / DAY_S

    async def live(self) -> None:
        """Start the program, and plan all days."""
        await self._program.start({"stable": OLD, "versions": {OLD: PLACED}})
        for day in range(self._plan.n_days):
            self._at(day, self._ask_all(day))
            # On the first day there is nothing to label or to look at.
            if day:
                self._at(day + LABELS_AT, self._label(day - 1))
                for look in range(LOOKS_A_DAY):
                    self._at(day + LOOK_AT + look / LOOKS_A_DAY, self._look())

    def _at(self, day: float, work: Any) -> None:
        self._loop.call_at(day * DAY_S / self._plan.scale, self._loop.create_task, work)

    async def _ask_all(self, day: int) -> None:
        orders = orders_of(day, self._plan.mean_orders, self._season.weather, SEED)
        for order in orders:
            self._at(day + order.at, self._ask(day, order))

    async def _ask(self, day: int, order: Order) -> None:
        prediction_id = await self._program.ask(order)
        self._season.n_asked += 1
        self._asked.setdefault(day, []).append((order, prediction_id))

    async def _label(self, day: int) -> None:
        """What came true on the day before; of some orders nobody ever knows."""
        for order, prediction_id in self._asked.pop(day, []):
            if self._rng.random() < LABELLED_SHARE:
                self._program.label(prediction_id, order.minutes)
                self._season.n_labelled += 1
                at_s = self._begin_s + (day + order.at) * DAY_S
                self._labelled.append((at_s, order))

    async def _look(self) -> None:
        """Look at everything, as a dashboard and `sluice monitor` do, and act on it."""
        await self._program.looks.look()
        drift = self._program.looks.latest
        quality = self._program.quality.view()
        model = self._program.describe()
        seen = seen_of(model, drift, quality) if drift is not None else None
        if drift is None or seen is None:
            return
        now = datetime.fromtimestamp(self._program.now_s(), UTC)
        verdict = judge(seen, now)
        mae = {
            one.version: (found.value, found.low or found.value, found.high or found.value)
            for one in quality.versions
            if (found := one.windows[1].realised.get("mae")) is not None
        }
        stable = model.stable or OLD
        nearness = _nearness(drift, stable, now) if self._day >= FIRST_WEEK_DAYS else {}
        look = Look(self._day, stable, nearness, mae, verdict, self._program.percent)
        self._season.looks.append(look)
        await self._act(verdict, now)

    async def _act(self, verdict: RetrainingVerdict, now: datetime) -> None:
        season = self._season
        confirmed = season.confirmed_day
        if season.trained_day is None and confirmed is not None:
            if self._day >= confirmed + WAIT_DAYS and verdict.outcome is Outcome.RETRAIN:
                self._retrain(verdict, now)
        elif season.trained_day is not None:
            await self._follow_rollout()

    def _retrain(self, verdict: RetrainingVerdict, now: datetime) -> None:
        """What the command does with `--last 7d`: train if the rows are new enough, and let in."""
        since_s = now.timestamp() - LAST_DAYS * DAY_S
        found = [(at_s, order) for at_s, order in self._labelled if at_s >= since_s]
        at_us = [int(at_s * 1e6) for at_s, _ in found]
        if too_old(at_us, verdict.asking_days, now, LIMITS.least_labels):
            return
        orders = [order for _, order in found]
        path = self._folder / "labelled.csv"
        frame_of(orders).to_csv(path, index=False)
        training = get_training(SPEC.name)
        table = read_csv(path, SPEC, training.map_columns, training.csv)
        written = train_on(training, SPEC, NEW, self._store, table, path.name)
        against = against_stable(self._store, SPEC, OLD, written, holdout_of(SPEC, table))
        self._season.trained_day = self._day
        self._season.n_trained_rows = len(orders)
        self._season.against = against
        self._program.deploy(
            {"rollout": _rollout(self._plan, against), "versions": {OLD: PLACED, NEW: PLACED}}
        )

    async def _follow_rollout(self) -> None:
        """Note what happened, resume what is held, and make a winner stable."""
        found = view(self._program.controller)
        if not isinstance(found, RolloutView) or self._is_settled:
            return
        new = found.events[self._n_events :]
        self._n_events = len(found.events)
        self._season.events += [(self._day, event) for event in new]
        if found.labels is not None and found.labels.n_candidate:
            self._season.labels_said = found.labels.said
        if found.status == "held":
            self._season.resumed.append((self._day, found.reason))
            await self._program.command("resume", RESUMED)
        if found.status == "finished":
            self._is_settled = True
            self._program.deploy({"stable": NEW, "versions": {NEW: PLACED}})


def _nearness(drift: DriftView, stable: str, now: datetime) -> dict[str, float]:
    one = drift.versions.get(stable)
    window = one.windows.get(WEEK) if one is not None else None
    if window is None or (now - window.since).total_seconds() < LIMITS.least_days * DAY_S:
        return {}
    fields = {**window.features, **window.scores}
    return {
        name: found.psi / found.limit
        for name, found in fields.items()
        if found.psi is not None and found.limit
    }


def _rollout(plan: Plan, against: AgainstStable) -> dict[str, Any]:
    """A day for each step, and the guardrails that `sluice retrain` writes."""
    tolerated = against.tolerated_percent
    return {
        "stable": OLD,
        "candidate": NEW,
        "steps": ["shadow", 10, 50, 100],
        "min_seconds": int(DAY_S / plan.scale),
        "min_requests": 20,
        "bake_seconds": int(DAY_S / plan.scale),
        "guardrails": {} if tolerated is None else {"max_disagreement_percent": tolerated},
    }
