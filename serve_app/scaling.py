"""How many replicas are needed: Ray Serve's autoscaling policies, for `autoscaling_config.policy`.

Ray counts requests under way, sampled between two steps of the event loop. A cheap compiled model
is scored within one step, so that count stays near zero however busy the replica is; its CPU time
says how busy.

Ray's controller imports this module by itself: it imports nothing of ours.
"""

import time
from typing import Any

# What each replica reports.
BUSY = "busy_cores"
# What each replica of an isolated version was told that its next share needs.
WISHED = "wished_replicas"

# Of a core, as measured now: a replica is one event loop, and its queue grows as 1 / (1 - busy).
SCALE_OUT_BUSY = 0.6
# Of what a replica can do, as planned ahead: neither a peak nor a candidate's next share is known
# to the percent, and this leaves room for 1.4 times the rate.
PLANNED_BUSY = 0.7


class BusyMeter:
    """Cores that this process has used since it was last asked."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()

    def read(self) -> float:
        """Cores in use: CPU seconds over seconds."""
        wall_s = time.monotonic()
        cpu_s = time.process_time()
        passed_s = wall_s - self._wall_s
        used_s = cpu_s - self._cpu_s
        self._wall_s = wall_s
        self._cpu_s = cpu_s
        return used_s / passed_s if passed_s > 0 else 0.0


def by_load(context: Any) -> tuple[float, dict[str, Any]]:
    """The replicas wanted by requests under way or by CPU, whichever are more.

    `context` is Ray's AutoscalingContext; Ray applies the bounds and delays of the file to the
    answer.
    """
    by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    busy_cores = sum((context.aggregated_metrics or {}).get(BUSY, {}).values())
    return max(by_requests, busy_cores / SCALE_OUT_BUSY), {}


def by_share(context: Any) -> tuple[float, dict[str, Any]]:
    """The replicas of an isolated version: by blocks under way, or as a rollout's next step wants.

    Without it a candidate would never get the replicas for a share that it has not had yet.
    """
    by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    wished = (context.aggregated_metrics or {}).get(WISHED, {}).values()
    return max(by_requests, *wished, 0.0), {}
