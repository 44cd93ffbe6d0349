"""What the dashboard shows: five rows of graphs, each with its queries."""

from typing import NamedTuple

# Of one model, as the list at the top of the page says.
OF_MODEL = 'model="$model"'


class Panel(NamedTuple):
    """A graph: what it shows in a unit of Grafana's, with legend → query, and what it is for."""

    title: str
    unit: str
    queries: dict[str, str]
    description: str = ""
    kind: str = "timeseries"


def rate(metric: str, by: str, more: str = "") -> str:
    """A counter's rate a second, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{OF_MODEL}{more}}}[$__rate_interval]))"


def now(metric: str, by: str, more: str = "") -> str:
    """A gauge's largest value, by labels."""
    return f"max by ({by}) ({metric}{{{OF_MODEL}{more}}})"


def quantile(share: float, metric: str, by: str) -> str:
    """A quantile of a histogram, which is a counter with the label `le` here."""
    return f"histogram_quantile({share}, {rate(metric, f'{by}le')})"


REQUESTS = "ray_sluice_requests_total"
SECONDS = "ray_sluice_request_seconds_bucket_total"
PREDICTIONS = "ray_sluice_predictions_total"
VERSION_SECONDS = "ray_sluice_version_seconds_bucket_total"

OBJECTIVES = [
    Panel(
        "Predictions by status",
        "reqps",
        {"{{code}}": rate(REQUESTS, "code")},
        "429: told to come again. 422: refused rows. 5xx: faults of the service.",
    ),
    Panel(
        "Budget of errors burns, times its rate",
        "none",
        {
            window: f"sluice:errors:ratio_rate{window}{{{OF_MODEL}}} / 0.001"
            for window in ("5m", "1h", "6h", "3d")
        },
        "At 1 the budget of 0.1 % lasts for 30 days; 14.4 over 1h and 5m raises an alert.",
    ),
    Panel(
        "Budget of slow answers burns, times its rate",
        "none",
        {
            window: f"sluice:slow:ratio_rate{window}{{{OF_MODEL}}} / 0.01"
            for window in ("5m", "1h", "6h", "3d")
        },
        "At 1 the budget of 1 % beyond 200 ms lasts for 30 days.",
    ),
    Panel(
        "Time of an answer",
        "s",
        {
            "p50": quantile(0.5, SECONDS, ""),
            "p95": quantile(0.95, SECONDS, ""),
            "p99": quantile(0.99, SECONDS, ""),
        },
        "In the server, from the checks to the answer: without the proxy and the network.",
    ),
]

PER_VERSION = [
    Panel("Requests by version", "reqps", {"{{version}}": rate(PREDICTIONS, "version")}),
    Panel(
        "Requests that a version did not answer",
        "reqps",
        {
            "{{version}} {{outcome}}": rate(
                PREDICTIONS, "version, outcome", ', outcome!~"answered|abandoned"'
            )
        },
        "By the code of its error. A candidate's clients got stable's answer.",
    ),
    Panel(
        "95th percentile by version",
        "s",
        {"{{version}}": quantile(0.95, VERSION_SECONDS, "version, ")},
        "Of requests that the version answered by itself.",
    ),
    Panel(
        "Rows that failed, and fallbacks to stable",
        "none",
        {
            "{{version}} {{event}}": rate(
                "ray_sluice_events_total", "version, event", ', event!="rows"'
            )
        },
    ),
    Panel(
        "Age of a version",
        "s",
        {"{{version}}": now("ray_sluice_model_age_seconds", "version")},
        "Since its bundle was made.",
    ),
    Panel(
        "Replicas that have a version open",
        "none",
        {
            "{{version}} {{runtime}} {{placement}}": "count by (version, runtime, placement) "
            f"(ray_sluice_model_info{{{OF_MODEL}}})"
        },
    ),
]

CAPACITY = [
    Panel(
        "Rows under way and waiting",
        "none",
        {
            "under way": f"sum(ray_sluice_rows_under_way{{{OF_MODEL}}})",
            "waiting for {{version}}": f"sum by (version) (ray_sluice_waiting_rows{{{OF_MODEL}}})",
        },
    ),
    Panel(
        "Told to come again",
        "reqps",
        {
            "all (429)": rate(REQUESTS, "code", ', code="429"'),
            "rate of {{key}}": rate("ray_sluice_rate_limited_total", "key"),
        },
    ),
    Panel(
        "Replicas that Ray finds healthy",
        "none",
        {
            "{{application}} {{deployment}}": "sum by (application, deployment) "
            "(ray_serve_deployment_replica_healthy)"
        },
    ),
    Panel(
        "CPU of the replicas",
        "percent",
        {
            "{{Component}}": "sum by (Component) "
            '(ray_component_cpu_percentage{Component=~"ray::ServeReplica.*"})'
        },
        "100 is one core.",
    ),
    Panel(
        "Memory of the replicas",
        "bytes",
        {
            "{{Component}}": "sum by (Component) "
            '(ray_component_rss_bytes{Component=~"ray::ServeReplica.*"})'
        },
    ),
    Panel(
        "CPU of the nodes",
        "percent",
        {"{{instance}}": "max by (instance) (ray_node_cpu_utilization)"},
    ),
]

DATA = [
    Panel(
        "Faults of refused rows",
        "none",
        {"{{field}} {{reason}}": rate("ray_sluice_rejected_total", "field, reason")},
        "A field that clients begin to send otherwise shows here first.",
    ),
    Panel(
        "Rows by score, share of the last hour",
        "percentunit",
        {
            "{{version}} up to {{bin}}": "sum by (version, bin) "
            f"(increase(ray_sluice_scores_total{{{OF_MODEL}}}[1h])) / on (version) group_left () "
            f"sum by (version) (increase(ray_sluice_scores_total{{{OF_MODEL}}}[1h]))"
        },
        "The bins are tenths of the scores in training: each at 10 % is as it was.",
        "bargauge",
    ),
    Panel(
        "Drift of a field (PSI)",
        "none",
        {"{{field}} {{window}}": now("ray_sluice_drift_psi", "field, window")},
        "Of stable against training. In an hour or a day, hour and weekday always differ; the "
        "alert looks at 7d, there after six days. Empty without a reference (docs/monitoring.md).",
    ),
    Panel(
        "Missing, out of range, unseen",
        "percentunit",
        {
            "{{field}} missing": now("ray_sluice_field_missing_ratio", "field"),
            "{{field}} out of range": now("ray_sluice_field_out_of_range_ratio", "field"),
            "{{field}} unseen": now("ray_sluice_field_unseen_ratio", "field"),
        },
        "Of stable, within the newest hour that has rows.",
    ),
    Panel(
        "Labels that came",
        "none",
        {"{{version}} {{outcome}}": rate("ray_sluice_labels_total", "version, outcome")},
        "What was refused has the version unknown (docs/labels.md).",
    ),
    Panel(
        "Rows of the prediction log",
        "none",
        {
            "written": rate("ray_sluice_prediction_log_written_total", "model"),
            "dropped": rate("ray_sluice_prediction_log_dropped_total", "model"),
        },
        "Empty where none is kept (docs/prediction-log.md).",
    ),
]

ROLLOUT = [
    Panel(
        "Share of the candidate",
        "percent",
        {
            "smallest": f"min(ray_sluice_candidate_percent{{{OF_MODEL}}})",
            "largest": f"max(ray_sluice_candidate_percent{{{OF_MODEL}}})",
        },
        "The two differ for a second, while servers follow.",
    ),
    Panel(
        "How far it is",
        "none",
        {"{{version}} {{status}}": now("ray_sluice_rollout_status", "version, status")},
        "`sluice rollout status` says why.",
    ),
    Panel(
        "Evidence against the candidate, share of its limit",
        "none",
        {"{{rail}}": now("ray_sluice_rollout_evidence", "rail")},
        "At 1 it is out.",
    ),
    Panel(
        "Requests of the step",
        "none",
        {"{{version}}": now("ray_sluice_rollout_requests", "version")},
    ),
    Panel(
        "Rows in shadow",
        "none",
        {
            "{{version}} {{outcome}}": rate("ray_sluice_shadow_rows_total", "version, outcome"),
            "{{version}} missed (requests)": rate("ray_sluice_shadow_missed_total", "version"),
        },
    ),
    Panel(
        "Last report, and tables that are refused",
        "none",
        {
            "seconds since the last report": f"max(ray_sluice_report_age_seconds{{{OF_MODEL}}})",
            "table refused": f"max(ray_sluice_config_error{{{OF_MODEL}}})",
        },
    ),
]

ROWS = {
    "Objectives": OBJECTIVES,
    "Per version": PER_VERSION,
    "Capacity": CAPACITY,
    "Data": DATA,
    "Rollout": ROLLOUT,
}
