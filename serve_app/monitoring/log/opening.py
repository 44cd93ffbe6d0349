"""A server's prediction log, from its settings."""

import os

from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.monitoring.log.heard import HeardAnswers
from serve_app.monitoring.log.keeper import Keeper
from serve_app.monitoring.log.line import LineWriter, Origin, Pseudonyms
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.writer import PredictionLog
from serve_app.serving.versions import Versions
from serve_app.settings import LogOptions

HASH_SECRET = "LOG_HASH_SECRET"


def open_prediction_log(
    place: str | None, spec: ModelSpec, application: str, server: str, versions: Versions
) -> PredictionLog | None:
    """The log of a server, which writes already; None where no place is named.

    Raises PredictionLogError for a place that can be none.
    """
    if place is None:
        return None
    log_place = LogPlace(place)

    def options() -> LogOptions | None:
        return versions.table.log if versions.table else None

    def keep_days() -> int | None:
        kept = options()
        return kept.keep_days if kept else None

    def manifest_of(version: str) -> str:
        member = versions.members().get(version)
        # One that has left the table since has none to ask for.
        return member.opened.manifest_sha256 if member and member.opened else ""

    log = PredictionLog(
        HeardAnswers(spec.name),
        LineWriter(
            Origin(spec.name, application, server),
            Layout(spec.contract),
            Pseudonyms(os.environ.get(HASH_SECRET, "")),
            manifest_of,
        ),
        Keeper(log_place, spec.name, application, keep_days),
        server,
        options,
    )
    log.start()
    return log
