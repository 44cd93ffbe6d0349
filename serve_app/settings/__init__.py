"""Every knob of serve_config.yaml that is ours: typed, bounded, the unit in the name."""

from serve_app.settings.args import (
    AUTH_DISABLED,
    COORDINATOR_CPUS,
    PUBLIC_KEY_PATTERN,
    PublicKey,
    PublicKeys,
    ServerArgs,
    VersionArgs,
    application_of,
)
from serve_app.settings.prediction_log import MOST_PART_S, LogOptions, log_fault
from serve_app.settings.rollout import EventKind, Guardrails, Notify, Rollout, Step, unknown_slices
from serve_app.settings.setting import Setting, fault_lines, parse_settings
from serve_app.settings.table import (
    Batch,
    Coalesce,
    Limits,
    Table,
    VersionConfig,
    VersionEntry,
)

__all__ = [
    "AUTH_DISABLED",
    "COORDINATOR_CPUS",
    "MOST_PART_S",
    "PUBLIC_KEY_PATTERN",
    "Batch",
    "Coalesce",
    "EventKind",
    "Guardrails",
    "Limits",
    "LogOptions",
    "Notify",
    "PublicKey",
    "PublicKeys",
    "Rollout",
    "ServerArgs",
    "Setting",
    "Step",
    "Table",
    "VersionArgs",
    "VersionConfig",
    "VersionEntry",
    "application_of",
    "fault_lines",
    "log_fault",
    "parse_settings",
    "unknown_slices",
]
