"""Counters and gauges of Ray Serve, which come out about 10 s late, as all of Ray's do.

The rooms below only count integers.
"""

import asyncio
from collections import Counter as Seen

from ray.serve.metrics import Counter, Gauge

from serve_app.access.rates import Rates
from serve_app.http.door import Door
from serve_app.serving.answer import Counters
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions

PERIOD_S = 1.0


async def export_forever(
    counters: Counters, door: Door, router: Router, versions: Versions, rates: Rates
) -> None:
    """Once a second, hand what was counted since to Ray: nothing of it is on a request's path."""
    events = Counter(
        "sluice_events",
        description="rows, failed_rows and fallbacks by version",
        tag_keys=("event", "version"),
    )
    requests = Counter(
        "sluice_requests", description="predictions by HTTP status", tag_keys=("code",)
    )
    seconds = Counter("sluice_request_seconds", description="time that they took in all, seconds")
    under_way = Gauge(
        "sluice_rows_under_way", description="rows accepted and not yet answered by this replica"
    )
    waiting = Gauge(
        "sluice_waiting_rows",
        description="rows that wait for an isolated version",
        tag_keys=("version",),
    )
    refused = Gauge(
        "sluice_config_error", description="1 while a table is refused and the last one stays"
    )
    percent = Gauge(
        "sluice_candidate_percent",
        description="share of the routing keys that a rollout's candidate has",
    )
    limited = Counter(
        "sluice_rate_limited", description="requests refused by a key's rate", tag_keys=("key",)
    )
    seen: Seen[tuple[str, str]] = Seen()
    answered: Seen[int] = Seen()
    refusals: Seen[str] = Seen()
    taken_s = 0.0
    while True:
        for (event, version), count in counters.counts.items():
            if count > seen[event, version]:
                events.inc(count - seen[event, version], tags={"event": event, "version": version})
                seen[event, version] = count
        for code, count in door.counts.items():
            if count > answered[code]:
                requests.inc(count - answered[code], tags={"code": str(code)})
                answered[code] = count
        for key, count in rates.refused.items():
            if count > refusals[key]:
                limited.inc(count - refusals[key], tags={"key": key})
                refusals[key] = count
        if door.seconds > taken_s:
            seconds.inc(door.seconds - taken_s)
            taken_s = door.seconds
        under_way.set(router.rows_under_way)
        percent.set(router.candidate_percent)
        refused.set(float(versions.config_error is not None))
        for version, member in versions.members().items():
            rows = getattr(member.opened.scorer, "waiting_rows", None) if member.opened else None
            if rows is not None:
                waiting.set(rows, tags={"version": version})
        await asyncio.sleep(PERIOD_S)
