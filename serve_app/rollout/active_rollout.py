"""A server's end of a rollout: it assigns by the orders in force, counts answers, and shadows."""

import logging
import time
from collections.abc import Callable

from serve_app.contract import ModelSpec
from serve_app.errors import RolloutError
from serve_app.rollout.candidate import candidate_of, n_failures_of
from serve_app.rollout.counts import Counts
from serve_app.rollout.failed_in_a_row import Alone, FailedInARow
from serve_app.rollout.fault import (
    Fault,
    fault_of,
    in_place_of_candidate,
    is_clients_fault,
    told_of,
)
from serve_app.rollout.one_call import OneCall
from serve_app.rollout.orders import Orders, RolloutReply, RolloutReport
from serve_app.rollout.phase_counter import PhaseCounter
from serve_app.rollout.shadow import Shadow
from serve_app.rollout.shadow_counts import ShadowCounts
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.assignment import assign
from serve_app.serving.request_id import REQUEST_ID
from serve_app.serving.versions import Versions
from serve_app.settings import Rollout, Table

logger = logging.getLogger(__name__)

# Requests and shadows that began in a phase are still counted this long after another has begun.
KEEP_S = 10.0
READ_TIMEOUT_S = 10.0


class ActiveRollout:
    """Follows the coordinator's orders in one server.

    It is an observer of answers, the router's assigner, and a part of the report. An answer counts
    for the phase in which it was assigned, whatever the orders or the table say by then: no change
    of either loses a count. Nobody else counts for a rollout.

    `read_orders(id)` reads them from the log, for when there is no coordinator; it waits for the
    store, and raises RolloutError.
    """

    name = "rollout"

    def __init__(
        self,
        spec: ModelSpec,
        versions: Versions,
        read_orders: Callable[[str], Orders],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._versions = versions
        self._read_orders = read_orders
        self._reading = OneCall()
        self._clock = clock
        self._shadow = Shadow()
        self.shadowed = ShadowCounts()
        # Whether the coordinator has told, since this server started, how far the rollout is.
        self.is_known = False
        self._orders: Orders | None = None
        # The newest run in which the candidate was put out.
        self._out = ""
        # Failed attempts to open the candidate before this run began: they do not end it.
        self._n_failures_before = 0
        self._phases: dict[tuple[str, int], PhaseCounter] = {}
        # When another phase took over, by phase.
        self._left_s: dict[tuple[str, int], float] = {}
        self._n_rows = 0
        self._alone = Alone()
        # The table that `_phase` was last looked up for.
        self._table: Table | None = None
        self._phase: PhaseCounter | None = None

    @property
    def plan(self) -> Rollout | None:
        """The rollout of the table in force."""
        table = self._versions.table
        return table.rollout if table else None

    @property
    def percent(self) -> float:
        """What the candidate has of the routing keys."""
        table = self._versions.table
        if table is None or self._orders is None or self._phase_of(table) is None:
            return 0.0
        return self._orders.percent

    def assign(self, table: Table, routing_key: str) -> Assignment | None:
        """The version for a routing key; None without orders for the rollout of this table."""
        orders = self._orders
        if orders is None or table.rollout is None or self._phase_of(table) is None:
            return None
        weights = ((table.rollout.candidate, orders.percent),)
        version = assign(orders.run, routing_key, table.stable, weights)
        return Assignment(version, orders.run, orders.phase)

    def heard(self, answered: Answered) -> None:
        """Count an answer for the judge; in shadow the candidate scores the same rows."""
        if answered.version:
            self._n_rows += len(answered.rows)
        assigned = answered.assigned
        phase = self._phases.get((assigned.run, assigned.phase)) if assigned.run else None
        table = self._versions.table
        if phase is None or table is None or is_clients_fault(answered):
            return
        late_s = table.limits.candidate_deadline_ms / 1000
        fault = fault_of(answered, late_s)
        if answered.is_abandoned and fault is None:
            # It could have been answered in time, or not.
            return
        score = None
        if fault is not None:
            self._keep_example(phase, answered, fault)
        else:
            score = answered.scores[0].tolist()  # type: ignore[index]  # an answer has scores
        key = answered.routing_key
        phase.note(key, assigned.version, answered.seconds, fault, score, answered.rows[0])
        if assigned.version == table.stable:
            self._alone.failed.hear_stable(self._clock(), fault)
        else:
            how = in_place_of_candidate(answered, late_s)
            phase.note_in_place(how)
            self._alone.failed.hear(self._clock(), answered, fault, how, late_s)
            self._judge_alone()
        if answered.version and phase.is_shadow:
            self._offer(phase, answered)

    def _keep_example(self, phase: PhaseCounter, answered: Answered, fault: Fault) -> None:
        """Write one line a second for each kind of bad answer: the request by which it is found."""
        version = answered.assigned.version
        if phase.keep_example(version, fault, REQUEST_ID.get()):
            said = "rollout: version %s: %s, after %.3f s"
            about = {"version": version, "n_rows": len(answered.rows)}
            logger.warning(said, version, told_of(fault, answered), answered.seconds, extra=about)

    def take(self) -> RolloutReport:
        """What this server's table wants, how far the candidate is, and all counts since the last.

        Phases that ended a while ago are forgotten once their counts are taken.
        """
        table = self._versions.table
        if table is not None:
            self._phase_of(table)
        counts = [self._taken(phase) for phase in self._phases.values()]
        self._forget_left()
        n_rows = self._n_rows
        self._n_rows = 0
        error = self._versions.config_error or ""
        candidate = candidate_of(table, self._versions, self._n_failures_before)
        alone = self._alone.told()
        return RolloutReport(self.plan, candidate, n_rows, tuple(counts), self._out, error, alone)

    def _taken(self, phase: PhaseCounter) -> Counts:
        taken = phase.take()
        self.shadowed.add(phase.candidate, taken.shadowed)
        return taken

    def follow(self, told: RolloutReply) -> None:
        """Put the coordinator's orders in force; the last ones stay while it does not know.

        It has none for our plan where it cannot read the log. At 100 % the candidate keeps all then
        too, as without a coordinator: stable may be scaled down already.
        """
        self.is_known = told.known
        is_kept = told.known and told.orders is None and self._answers_everybody
        is_known = told.known and not is_kept
        self._alone.hear_coordinator(known=is_known, has_orders=told.orders is not None)
        if is_kept:
            self._judge_alone()
        elif is_known and told.orders != self._orders:
            self._put_in_force(told.orders)

    @property
    def _answers_everybody(self) -> bool:
        """Whether the candidate of the table's rollout has 100 % by the orders in force."""
        plan = self.plan
        orders = self._orders
        if plan is None or orders is None or orders.rollout != plan.id:
            return False
        return orders.percent == 100

    async def alone(self, seconds: float) -> None:
        """Without a coordinator: go on for a while, then by what is written, else by stable.

        A candidate that fails every request is out here, since nobody judges it meanwhile. What the
        log takes away is in force at once. A server that has just started does what the log says.
        """
        self._alone.is_alone = True
        self._judge_alone()
        plan = self.plan
        if plan is None or (self._orders is not None and self._orders.is_out):
            return
        written = await self._written(plan.id)
        orders = self._orders
        if orders is None or (written is not None and written.takes_away_from(orders)):
            self._put_in_force(written)
            return
        # At 100 % stable may be scaled down already.
        if orders.percent < 100 and seconds >= plan.keep_seconds:
            self._put_in_force(written)

    def _judge_alone(self) -> None:
        """Put a candidate out that fails every request, at the request that shows it."""
        orders = self._orders
        if orders is None or orders.is_out or not self._alone.puts_out(orders.run, self._clock()):
            return
        logger.error("no coordinator, and the candidate fails every request: it is out here")
        self._put_in_force(orders)

    async def _written(self, rollout: str) -> Orders | None:
        """What the log says; None when it cannot be read."""
        try:
            orders: Orders = await self._reading.ask(
                rollout, lambda: self._read_orders(rollout), READ_TIMEOUT_S
            )
            return orders
        except (RolloutError, TimeoutError) as error:
            kind = type(error).__name__
            logger.error("no coordinator, and the log cannot be read (%s)", kind)
            return None

    def put_out(self) -> bool:
        """Take all share from the candidate here and now; whether it had orders.

        A coordinator that does not know it learns it from the next report.
        """
        if self._orders is None:
            return False
        self._put_in_force(self._orders.without_share())
        return True

    def _put_in_force(self, orders: Orders | None) -> None:
        before = self._orders
        if orders is not None and before is not None and orders.run != before.run:
            self._n_failures_before = n_failures_of(self.plan, self._versions)
            self._alone.failed = FailedInARow()
        if orders is not None and orders.run == self._out:
            # Whoever tells of a share does not know yet that the candidate is out in this run.
            orders = orders.without_share()
        elif orders is not None and orders.run == self._alone.out:
            orders = orders.withheld()
        self._orders = orders
        self._table = None
        if orders is not None and orders.is_out:
            self._out = orders.run

    def _phase_of(self, table: Table) -> PhaseCounter | None:
        """The counter of the orders in force, if they are for the rollout of this table."""
        if table is not self._table:
            self._table = table
            self._enter(self._found(table))
        return self._phase

    def _found(self, table: Table) -> PhaseCounter | None:
        orders = self._orders
        plan = table.rollout
        stable = self._versions.ready(table.stable)
        if orders is None or plan is None or stable is None or plan.id != orders.rollout:
            return None
        key = (orders.run, orders.phase)
        phase = self._phases.get(key) or PhaseCounter(
            self._spec, plan, key, stable.manifest, self._clock
        )
        phase.is_shadow = orders.shadow
        placements = {table.entry(plan.stable).placement, table.entry(plan.candidate).placement}
        phase.is_mixed = len(placements) > 1
        return phase

    def _enter(self, phase: PhaseCounter | None) -> None:
        if self._phase is not None and self._phase is not phase:
            self._left_s[self._phase.key] = self._clock()
        self._phase = phase
        if phase is not None:
            self._left_s.pop(phase.key, None)
            self._phases[phase.key] = phase

    def _forget_left(self) -> None:
        oldest_s = self._clock() - KEEP_S
        for key in [key for key, left_s in self._left_s.items() if left_s < oldest_s]:
            del self._left_s[key]
            del self._phases[key]

    @property
    def is_shadowing(self) -> bool:
        """Whether rows wait for the candidate, or are with it."""
        return self._shadow.is_busy

    def _offer(self, phase: PhaseCounter, answered: Answered) -> None:
        block = answered.block
        scores = answered.scores
        table = self._versions.table
        if block is None or scores is None or table is None or table.rollout is None:
            return
        candidate = self._versions.ready(table.rollout.candidate)
        if candidate is None or not phase.wants_pairs:
            phase.drop(len(block))
            return
        phase.know_candidate(candidate.manifest.parameters)
        deadline_s = table.limits.candidate_deadline_ms / 1000
        key = answered.routing_key
        self._shadow.offer(phase, candidate.scorer, key, block, scores, deadline_s)
