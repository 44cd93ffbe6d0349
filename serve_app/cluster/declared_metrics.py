"""All metrics of ours, a record each: the exporter, docs/metrics.md and the bounds read this table.

A new metric is one record here. Its `read` gives label values → number, in the order of `tags`:
what was counted since the start (a counter), or how it is now (a gauge). The label `model` is added
to each of them; Ray adds `application`, `deployment` and `replica`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from serve_app.cluster.readings import (
    OnCoordinator,
    OnServer,
    Readings,
    by_key,
    drift_alarms,
    drift_psi,
    evidence,
    log_dropped,
    log_written,
    missing_ratios,
    model_ages_s,
    model_info,
    out_of_range_ratios,
    requests_of_step,
    rollout_status,
    times_by_version,
    unseen_ratios,
    waiting_rows,
)

S = TypeVar("S")

# Ray's agent keeps at most 2,000 series of one metric on a node, all replicas together and also
# those that have ended. What is beyond that loses all of its labels there.
MOST_SERIES = 200


@dataclass(frozen=True)
class Metric(Generic[S]):
    """A metric: what it is called, what it tells, and where its numbers are read.

    Beyond `most_series` label values of a process, the labels that others can make many of say
    `other` (`serve_app/cluster/metrics.py`).
    """

    name: str
    kind: Literal["counter", "gauge"]
    tags: tuple[str, ...]
    help: str
    read: Callable[[S], Readings]
    most_series: int = MOST_SERIES

    @property
    def exported_name(self) -> str:
        """As Prometheus has it: Ray adds a prefix, and to a counter an ending."""
        return f"ray_{self.name}" + ("_total" if self.kind == "counter" else "")


OF_A_SERVER: tuple[Metric[OnServer], ...] = (
    Metric(
        "sluice_requests",
        "counter",
        ("code",),
        "predictions by HTTP status, and 401 and 403 of every route",
        lambda here: by_key(here.door.counts),
    ),
    Metric(
        "sluice_request_seconds",
        "counter",
        (),
        "the time that they took in all",
        lambda here: {(): here.door.seconds},
    ),
    Metric(
        "sluice_request_seconds_bucket",
        "counter",
        ("le",),
        "predictions answered with 200 within `le` seconds",
        lambda here: by_key(here.door.times.up_to()),
    ),
    Metric(
        "sluice_rate_limited",
        "counter",
        ("key",),
        "requests refused by the rate of a key, by its id",
        lambda here: by_key(here.rates.refused),
    ),
    Metric(
        "sluice_rejected",
        "counter",
        ("field", "reason"),
        "faults of refused rows; a row with two of them counts twice",
        lambda here: here.refused.counts,
    ),
    Metric(
        "sluice_events",
        "counter",
        ("event", "version"),
        "`rows` answered, `failed_rows`, `fallbacks` (stable answered for a candidate)",
        lambda here: here.by_version.events,
    ),
    Metric(
        "sluice_predictions",
        "counter",
        ("version", "outcome"),
        "requests that a version was asked: `answered`, `abandoned`, or the code of its error",
        lambda here: here.by_version.outcomes,
    ),
    Metric(
        "sluice_version_seconds_bucket",
        "counter",
        ("version", "le"),
        "requests that a version answered by itself in at most `le` seconds",
        times_by_version,
    ),
    Metric(
        "sluice_scores",
        "counter",
        ("version", "bin"),
        "rows by score: a class, or the upper edge of a tenth as training froze it",
        lambda here: here.scores.counts,
    ),
    Metric(
        "sluice_shadow_rows",
        "counter",
        ("version", "outcome"),
        "rows in shadow: the candidate `agrees`, `disagrees`, or was busy (`dropped`)",
        lambda here: here.rollout.shadowed.rows,
    ),
    Metric(
        "sluice_shadow_missed",
        "counter",
        ("version",),
        "requests in shadow that the candidate did not answer in time",
        lambda here: here.rollout.shadowed.missed,
    ),
    Metric(
        "sluice_rows_under_way",
        "gauge",
        (),
        "rows accepted and not yet answered by this replica",
        lambda here: {(): here.router.rows_under_way},
    ),
    Metric(
        "sluice_waiting_rows",
        "gauge",
        ("version",),
        "rows that wait for an isolated version",
        waiting_rows,
    ),
    Metric(
        "sluice_candidate_percent",
        "gauge",
        (),
        "share of the routing keys that a rollout gives its candidate",
        lambda here: {(): here.router.candidate_percent},
    ),
    Metric(
        "sluice_config_error",
        "gauge",
        (),
        "1 while a table is refused and the last one stays",
        lambda here: {(): float(here.versions.config_error is not None)},
    ),
    Metric(
        "sluice_model_info",
        "gauge",
        ("version", "runtime", "placement"),
        "1 for each version that is open here",
        model_info,
    ),
    Metric(
        "sluice_model_age_seconds",
        "gauge",
        ("version",),
        "since the bundle of a version was made",
        model_ages_s,
    ),
    Metric(
        "sluice_report_age_seconds",
        "gauge",
        (),
        "since the coordinator last answered a report of this replica",
        lambda here: {(): here.heartbeat.age_s},
    ),
    Metric(
        "sluice_drift_psi",
        "gauge",
        ("field", "window"),
        "PSI of a field or score of stable against training",
        drift_psi,
    ),
    Metric(
        "sluice_drift_alarm",
        "gauge",
        ("field", "window"),
        "1 while that is beyond its limit",
        drift_alarms,
    ),
    Metric(
        "sluice_field_missing_ratio",
        "gauge",
        ("field",),
        "share of rows without a value",
        missing_ratios,
    ),
    Metric(
        "sluice_field_out_of_range_ratio",
        "gauge",
        ("field",),
        "share of rows below or above all that training has seen",
        out_of_range_ratios,
    ),
    Metric(
        "sluice_field_unseen_ratio",
        "gauge",
        ("field",),
        "share of rows with a text that training has not seen",
        unseen_ratios,
    ),
    Metric(
        "sluice_labels",
        "counter",
        ("version", "outcome"),
        "labels that came: `joined` with their prediction, or the code of their error",
        lambda here: here.feedback.counts,
    ),
    Metric(
        "sluice_prediction_log_written",
        "counter",
        (),
        "rows that the prediction log wrote",
        log_written,
    ),
    Metric(
        "sluice_prediction_log_dropped",
        "counter",
        (),
        "rows that the prediction log had no room for, or no disk",
        log_dropped,
    ),
)

OF_THE_COORDINATOR: tuple[Metric[OnCoordinator], ...] = (
    Metric(
        "sluice_rollout_status",
        "gauge",
        ("version", "status"),
        "1 for how far the rollout of this candidate is (docs/rollouts.md)",
        rollout_status,
    ),
    Metric(
        "sluice_rollout_requests",
        "gauge",
        ("version",),
        "requests of the step that is being judged",
        requests_of_step,
    ),
    Metric(
        "sluice_rollout_evidence",
        "gauge",
        ("rail",),
        "evidence against the candidate as a share of its limit: at 1 it is out",
        evidence,
    ),
)

DECLARED: tuple[Metric[Any], ...] = (*OF_A_SERVER, *OF_THE_COORDINATOR)
