"""The fast mode: environment variables of Ray's processes, read when Ray starts.

This is the one place that lists them. `sluice up` sets them for a Ray on this machine, `sluice env`
prints them for the nodes of a cluster, and `sluice manifests` writes them into the RayService.
"""

import random
import resource
import socket
from contextlib import suppress
from math import ceil
from pathlib import Path
from types import MappingProxyType

from serve_app.commands.haproxy import corrected_haproxy
from serve_app.errors import SettingsError

PORTS = range(20_000, 30_000)
# Connections that HAProxy has room for: Ray's default, and what we ask for where there are files.
# So many idle connections of one client end the service until they are let go.
RAYS_CONNECTIONS = 4_096
N_CONNECTIONS = 20_000
# HAProxy wants two files a connection, and two for each fourth of them, through a pipe of which it
# hands on bytes; it does not start where it cannot have them all.
FILES_OF_A_CONNECTION = 2.5
N_OTHER_FILES = 2_000

RETRY_ON = "\n    ".join(
    [
        # A prediction is idempotent: what died with a replica before it answered is asked again of
        # another replica.
        "conn-failure empty-response",
        # Ray has no variables for the next three lines. Its template writes this value into the
        # defaults of HAProxy's file as it is, so that a line break begins another line there.
        # HAProxy can repeat only a request that it has whole, and a client may send head and body
        # in two packets (docs/decisions/006).
        "option http-buffer-request",
        # So long may a client take for the head of a request, and for the first 16 KB of its body.
        # Without it, 4,096 clients that send half a request and stop end the service for everybody.
        "timeout http-request 10s",
        # A client may end its half of the connection after the request, and still read the answer.
        # Ray's file has `option abortonclose`, which answers 400 to such a client. Without it a
        # replica finishes what a client that left had asked for, as it does anyway (http/edge.py).
        "no option abortonclose",
    ]
)

SERVER_TIMEOUT = "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"
SERVER_TIMEOUT_S = 10

# Ray looks three times before it starts a dead proxy again, and nobody answers meanwhile. Its own
# period of 10 s makes that half a minute.
LOOKED_AT_EVERY_SECOND = MappingProxyType({"RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1"})

# What Ray logs by itself must not fill a disk; in the image, `/tmp` is memory in many places.
SMALL_LOGS = MappingProxyType(
    {
        # Each process of Ray writes statistics of its event loop once a minute: 210 MB a day of a
        # node that has nothing to do. Here once a day: with -1, which means never to other
        # processes, the GCS of Ray 2.60 does nothing else, and takes most of a core.
        "RAY_event_stats_print_interval_ms": "86400000",
        # Of each log one file of this size and the one before. A node with two models has some 60
        # of them. Ray's own are 512 MB and five.
        "RAY_ROTATION_MAX_BYTES": "1000000",
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }
)

# The same on every node.
VARIABLES = MappingProxyType(
    {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_RETRY_ON": RETRY_ON,
        # A client that stops reading or sending is let go after so long. Ray's default is an hour,
        # and HAProxy has room for 4,096 connections. Between two requests a connection may be idle
        # for `keep_alive_timeout_s` of serve_config.yaml (60): this has to be longer.
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "70",
        # A replica that stands still, or whose machine is gone without a word, answers nothing, not
        # even that its deadline has passed: only HAProxy can end the request. Ray's default is to
        # wait for ever.
        SERVER_TIMEOUT: str(SERVER_TIMEOUT_S),
        **LOOKED_AT_EVERY_SECOND,
        # Ray's default is 15, which leaves no room below for isolated versions
        # (NICENESS in serve_app/cluster).
        "RAY_worker_niceness": "0",
        # What follows halved the CPU of a request (docs/performance.md). Predictions are answered
        # in front of Ray's request handling,
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.http.edge:middlewares",
        # HAProxy reports no request to Ray, since the servers count the same requests themselves,
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        # and has one thread, which is enough for 10,000 requests a second.
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        **SMALL_LOGS,
    }
)

# Without the fast mode. `serve run` without it is plain Ray: half-sent requests hold a connection
# for ever there, Java clients lose their bodies, and any X-Request-ID is repeated.
PLAIN_VARIABLES = MappingProxyType(
    {
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.http.connection:middlewares",
        **LOOKED_AT_EVERY_SECOND,
        **SMALL_LOGS,
    }
)


def fast_environment(folder: Path) -> dict[str, str]:
    """The variables for a Ray that is alone in having `folder`, next to other Rays on this machine.

    HAProxy's files go into `folder`, and its ports are free ones. Raises SettingsError when there
    are none.
    """
    metrics_port, stats_port, fallback_port = free_ports(3)
    return {
        **VARIABLES,
        **_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        **corrected_haproxy(),
        # On one machine no load balancer in front has to notice that a replica goes, so it need not
        # stay for the default 30 s.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback_port),
    }


def _connections(n_files: int) -> dict[str, str]:
    """How many connections HAProxy takes, where this machine lets it have files for more."""
    n_connections = N_CONNECTIONS
    if n_files != resource.RLIM_INFINITY:
        n_connections = min(N_CONNECTIONS, int((n_files - N_OTHER_FILES) / FILES_OF_A_CONNECTION))
    if n_connections <= RAYS_CONNECTIONS:
        return {}
    return {"RAY_SERVE_HAPROXY_MAXCONN": str(n_connections)}


def server_timeout_s(request_timeout_s: float | str | None) -> int:
    """How long HAProxy waits for a replica: never less than the replica itself may take."""
    return max(SERVER_TIMEOUT_S, ceil(float(request_timeout_s or 0)))


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on.

    They are outside the range from which the system gives ports to Ray's own sockets: one of those
    could take a port between now and HAProxy's start.
    """
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == n:
            return found
    raise SettingsError(
        f"found {len(found)} free ports in {PORTS}, expected {n}: end what holds them"
    )
