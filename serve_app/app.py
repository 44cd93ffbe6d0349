"""All wiring on one page; `import_path` in serve_config.yaml names `server` and `version` here.

An observer of answers or a part of the report is one line in `server_parts`; a part's other end is
one line in `coordinator_parts`. Routes are listed in http/application.py.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from secrets import token_hex
from typing import Any

from ray import serve

from serve_app.access.auth import open_auth
from serve_app.access.rates import Rates
from serve_app.access.shares import Shares
from serve_app.bundle.loading import load
from serve_app.bundle.objects import Objects, open_objects
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.proving import prove_first
from serve_app.bundle.stores import open_store, served_uri
from serve_app.cluster.coordinator import Coordinator, CoordinatorParts
from serve_app.cluster.declared_metrics import OF_A_SERVER, OF_THE_COORDINATOR
from serve_app.cluster.handles import IsolatedReplicas, RemoteDrift, RemoteQuality, RemoteRollout
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.metrics import export_forever
from serve_app.cluster.placements import InServerVersion, IsolatedApplication
from serve_app.cluster.readings import OnCoordinator, OnServer
from serve_app.cluster.replica import own_application
from serve_app.cluster.report import Inbox
from serve_app.cluster.server import Server, ServerParts
from serve_app.cluster.version import Version
from serve_app.http.application import create_app
from serve_app.http.edge import put_in_front
from serve_app.http.rate_limit import RateLimit
from serve_app.http.refused_rows import RefusedRows
from serve_app.models import get_spec
from serve_app.monitoring.drift_counter import DriftCounter
from serve_app.monitoring.drift_keeper import DriftKeeper
from serve_app.monitoring.drift_looks import DriftLooks
from serve_app.monitoring.drift_view import DriftReader
from serve_app.monitoring.drift_windows import DriftWindows
from serve_app.monitoring.gathered import Gathered
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.labels.label_secrets import open_secrets
from serve_app.monitoring.labels.sealed_ids import SealedIds
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.monitoring.log.opening import open_prediction_log
from serve_app.monitoring.quality.kept import KeptFile
from serve_app.monitoring.quality.report import Quality, QualityReporter
from serve_app.monitoring.quality.score_counter import ScoreCounter
from serve_app.monitoring.score_histograms import ScoreHistograms
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.controller import Controller
from serve_app.rollout.log import RETRY_S, TIMEOUT_S, Log, open_log
from serve_app.rollout.notify import Notifier
from serve_app.rollout.orders import order_out, written_orders
from serve_app.serving.opening import Opening, opened_when_possible
from serve_app.serving.request_lines import request_lines
from serve_app.serving.router import Router
from serve_app.serving.version_counts import VersionCounts
from serve_app.serving.versions import Versions, backoff
from serve_app.settings import COORDINATOR_CPUS, ServerArgs, VersionArgs

# Ray ends a replica by force after `graceful_shutdown_timeout_s`: 20 s where a file does not say.
TELL_AT_END_S = 15.0


def server(args: ServerArgs) -> Any:
    """The application of a model: its servers, and one coordinator."""
    get_spec(args.model)
    # One replica and no surge: there are never two of it, since it writes the log.
    options = {
        "num_replicas": 1,
        "max_ongoing_requests": 100,
        "ray_actor_options": {"num_cpus": COORDINATOR_CPUS},
    }
    coordinator = (
        serve.deployment(Coordinator)
        .options(name="Coordinator", **options)
        .bind(coordinator_parts, args)
    )
    ingress = serve.deployment(serve.ingress()(Server)).options(name="Server")
    return ingress.bind(server_parts, args, coordinator)


def version(args: VersionArgs) -> Any:
    """The application of one isolated version."""
    get_spec(args.model)
    return serve.deployment(Version).options(name="Version").bind(opened_version, args)


def server_parts(args: ServerArgs, coordinator: Any) -> ServerParts:
    """What a server replica is made of, and who hears whom."""
    spec = get_spec(args.model)
    auth = open_auth(args.auth)
    store = open_store(served_uri(args.store), cached=True)
    opening = Opening(
        spec,
        load=lambda version, pin: load(store, spec, version, pin, args.public_keys, prove_first),
        in_server=InServerVersion,
        application=partial(IsolatedApplication, lambda: versions.limits.deadline_ms / 1000),
    )
    versions: Versions = Versions(opening.open)
    by_version = VersionCounts()
    refused = RefusedRows(spec)
    rollout = ActiveRollout(spec, versions, lambda name: written_orders(log_of(args, name), name))
    drift = DriftCounter(spec.contract, lambda: refused.n_rows)
    shaper = Shaper(spec)
    secrets = open_secrets(args.label_keys, state_of(args), spec.name)
    ids = SealedIds(shaper, lambda: secrets.seal)
    feedback = Feedback(shaper, ids, versions.members)
    scores = ScoreCounter(shaper)
    histograms = ScoreHistograms()
    gathered = Gathered(len(spec.contract), versions, (drift, scores, histograms))
    server_id = token_hex(8)
    log = open_prediction_log(log_place(args), spec, own_application(), server_id, versions)
    router = Router(
        spec,
        versions,
        observers=(
            by_version,
            rollout,
            gathered,
            *((log.answers,) if log else ()),
            *request_lines(os.environ),
        ),
        assigner=rollout,
        ids=ids,
    )
    remote = RemoteRollout(
        coordinator,
        here=rollout,
        order_out=lambda plan, by, reason: order_out(log_of(args, plan.id), plan, by, reason),
    )
    rates = Rates()
    drift_reader = DriftReader(spec, versions, RemoteDrift(coordinator))
    drift_looks = DriftLooks(drift_reader)

    async def at_end() -> None:
        # Labels that were taken are told before a replica goes. The coordinator may be away since
        # it starts again itself, as both do where `args` change; the log does not wait for it.
        telling = heartbeat.beat_while(lambda: feedback.n_waiting > 0, TELL_AT_END_S)
        closing = asyncio.to_thread(log.close) if log is not None else asyncio.sleep(0)
        await asyncio.gather(telling, closing)

    app = create_app(
        spec,
        router,
        remote,
        drift=drift_reader,
        auth=auth,
        docs=args.docs,
        cors_origins=args.cors_origins,
        feedback=feedback,
        quality=RemoteQuality(coordinator),
        more_checks=(RateLimit(rates).look,),
        refused=refused,
        at_end=at_end,
    )
    door = app.state.door
    heartbeat = Heartbeat(
        server_id,
        parts=(rollout, rates, drift, QualityReporter(feedback, scores, versions)),
        send=coordinator.report.remote,
        count_waiting=gathered.count,
    )
    here = OnServer(
        by_version,
        histograms,
        door,
        refused,
        router,
        versions,
        rates,
        rollout,
        heartbeat,
        drift_looks,
        feedback,
        log,
    )
    put_in_front(door)
    return ServerParts(
        app=app,
        versions=versions,
        heartbeat=heartbeat,
        is_joined=lambda: rollout.is_known,
        describe=app.openapi if args.docs else dict,
        follow_keys_forever=partial(_together, auth.follow_forever, secrets.follow_forever),
        export_forever=partial(
            _together,
            partial(export_forever, spec.name, OF_A_SERVER, here),
            drift_looks.look_forever,
        ),
    )


async def _together(*forever: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(*(each() for each in forever))


def coordinator_parts(args: ServerArgs) -> CoordinatorParts:
    """What a coordinator is made of."""
    spec = get_spec(args.model)
    name = spec.name
    notifier = Notifier(name, own_application())
    quality = Quality(
        spec,
        KeptFile(state_of(args), name, own_application()),
        label_delay_days=args.label_delay_days,
    )
    controller = Controller(
        partial(log_of, args), IsolatedReplicas(name), notifier=notifier, labels=quality
    )
    drift = DriftWindows()
    keeper = DriftKeeper(drift, partial(objects_of, args), f"{name}/{own_application()}")
    return CoordinatorParts(
        inbox=Inbox(parts=(controller, Shares(), drift, quality)),
        controller=controller,
        drift=drift,
        quality=quality,
        forever=(
            keeper.keep_forever,
            quality.keep_forever,
            partial(export_forever, name, OF_THE_COORDINATOR, OnCoordinator(controller)),
        ),
        at_end=(quality.keep, keeper.keep),
    )


def opened_version(args: VersionArgs) -> Predictor:
    """What a replica of an isolated version holds."""
    store = open_store(served_uri(args.store), cached=True)
    spec = get_spec(args.model)
    pin = args.manifest_sha256
    return opened_when_possible(
        lambda: load(store, spec, args.version, pin, args.public_keys, prove_first),
        backoff(),
        time.sleep,
    )


def log_of(args: ServerArgs, rollout: str) -> Log:
    """The log of a rollout of this application."""
    return open_log(state_of(args), get_spec(args.model).name, own_application(), rollout)


def objects_of(args: ServerArgs) -> Objects:
    """The store of the logs. Raises ValueError or OSError."""
    return open_objects(state_of(args), retry_s=RETRY_S, timeout_s=TIMEOUT_S)


def state_of(args: ServerArgs) -> str:
    """Where the logs of rollouts are, and the counts of drift."""
    return os.environ.get("STATE_PATH") or args.state


def log_place(args: ServerArgs) -> str | None:
    """Where the prediction log is; None where none is kept."""
    return os.environ.get("LOG_PATH") or args.log
