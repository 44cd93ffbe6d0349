"""All wiring on one page; `import_path` in serve_config.yaml names `server` and `version` here.

An observer of answers or a part of the report is one line in `server_parts`; a part's other end is
one line in `coordinator_parts`. Routes are listed in http/application.py.
"""

import os
import time
from functools import partial
from secrets import token_hex
from typing import Any

from ray import serve

from serve_app.access.auth import open_auth
from serve_app.access.rates import Rates
from serve_app.access.shares import Shares
from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.proving import prove_first
from serve_app.bundle.stores import open_store, served_uri
from serve_app.cluster.coordinator import Coordinator
from serve_app.cluster.handles import IsolatedReplicas, RemoteRollout
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.metrics import export_forever
from serve_app.cluster.placements import InServerVersion, IsolatedApplication
from serve_app.cluster.replica import own_application
from serve_app.cluster.report import Inbox
from serve_app.cluster.server import Server, ServerParts
from serve_app.cluster.version import Version
from serve_app.http.application import create_app
from serve_app.http.edge import put_in_front
from serve_app.http.rate_limit import RateLimit
from serve_app.models import get_spec
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.controller import Controller
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.notify import Notifier
from serve_app.rollout.orders import order_out, written_orders
from serve_app.serving.answer import Counters
from serve_app.serving.opening import Opening, opened_when_possible
from serve_app.serving.request_lines import request_lines
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions, backoff
from serve_app.settings import COORDINATOR_CPUS, ServerArgs, VersionArgs


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
    counters = Counters()
    rollout = ActiveRollout(spec, versions, lambda name: written_orders(log_of(args, name), name))
    router = Router(
        spec, versions, observers=(counters, rollout, *request_lines(os.environ)), assigner=rollout
    )
    remote = RemoteRollout(
        coordinator,
        here=rollout,
        order_out=lambda plan, by, reason: order_out(log_of(args, plan.id), plan, by, reason),
    )
    rates = Rates()
    app = create_app(
        spec,
        router,
        remote,
        auth=auth,
        docs=args.docs,
        cors_origins=args.cors_origins,
        more_checks=(RateLimit(rates).look,),
    )
    put_in_front(app.state.door)
    return ServerParts(
        app=app,
        versions=versions,
        heartbeat=Heartbeat(token_hex(8), parts=(rollout, rates), send=coordinator.report.remote),
        is_joined=lambda: rollout.is_known,
        describe=app.openapi if args.docs else dict,
        follow_keys_forever=auth.follow_forever,
        export_forever=partial(export_forever, counters, app.state.door, router, versions, rates),
    )


def coordinator_parts(args: ServerArgs) -> tuple[Inbox, Controller]:
    """What a coordinator is made of."""
    name = get_spec(args.model).name
    notifier = Notifier(name, own_application())
    controller = Controller(partial(log_of, args), IsolatedReplicas(name), notifier=notifier)
    return Inbox(parts=(controller, Shares())), controller


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


def state_of(args: ServerArgs) -> str:
    """Where the logs of rollouts are."""
    return os.environ.get("STATE_PATH") or args.state
