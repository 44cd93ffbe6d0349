"""How many replicas are needed: Ray Serve's autoscaling policies, for `autoscaling_config.policy`.

Ray counts requests under way, sampled between two steps of the event loop. A cheap compiled model is scored within
one step, so that count stays near zero however busy the replica is; its CPU time says how busy.
"""

import time
from typing import Any

BUSY = "busy_cores"  # what each replica reports
WISHED = (
    "wished_replicas"  # what each replica of an isolated version was told that its next share needs
)
MOST_BUSY = 0.6  # of a core: a replica is one event loop, and its queue grows as 1 / (1 - busy)


class BusyMeter:
    """Cores that this process has used since it was last asked."""

    def __init__(self) -> None:
        self._seen_s = time.monotonic(), time.process_time()

    def read(self) -> float:
        """Cores in use: CPU seconds over seconds."""
        now_s = time.monotonic(), time.process_time()
        passed_s, used_s = now_s[0] - self._seen_s[0], now_s[1] - self._seen_s[1]
        self._seen_s = now_s
        return used_s / passed_s if passed_s > 0 else 0.0


def by_load(context: Any) -> tuple[float, dict[str, Any]]:
    """The replicas wanted by requests under way or by CPU, whichever are more. `context` is Ray's AutoscalingContext;
    Ray applies the bounds and delays of the file to the answer."""
    by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    busy_cores = sum((context.aggregated_metrics or {}).get(BUSY, {}).values())
    return max(by_requests, busy_cores / MOST_BUSY), {}


def by_share(context: Any) -> tuple[float, dict[str, Any]]:
    """The replicas of an isolated version: by blocks under way, and as many as a rollout wants before its next step.

    Without it a candidate would never get the replicas for a share that it has not had yet.
    """
    by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    wished = (context.aggregated_metrics or {}).get(WISHED, {}).values()
    return max(by_requests, *wished, 0.0), {}
