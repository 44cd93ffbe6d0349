#!/bin/sh
# What Ray starts in place of HAProxy when `sluice up` started Ray: `haproxy -db -f FILE ...`.
#
# Ray writes FILE from a template in which statistics and metrics listen on all interfaces, everybody
# may write to the admin socket, and HAProxy listens where the replicas do. It has no variables for
# that. So FILE is corrected here, and this process becomes HAProxy.
set -eu
metrics="${RAY_SERVE_HAPROXY_METRICS_PORT:-9101}"
stats="${RAY_SERVE_HAPROXY_STATS_PORT:-8404}"
sed -i \
    -e "s/^\( *bind \):$metrics\$/\1127.0.0.1:$metrics/" \
    -e "s/^\( *bind \)[*]:$stats\$/\1127.0.0.1:$stats/" \
    -e "s/^\( *stats socket .*\) mode 666 /\1 mode 600 /" \
    "$3"
# The interface for predictions. Ray was told the loopback, where the replicas stay.
if [ -n "${SLUICE_HAPROXY_BIND:-}" ]; then
    sed -i -e "/^frontend http_frontend/,/^ *bind / s/^\( *bind \)127.0.0.1:/\1$SLUICE_HAPROXY_BIND:/" "$3"
fi
exec "$SLUICE_HAPROXY_BINARY" "$@"
