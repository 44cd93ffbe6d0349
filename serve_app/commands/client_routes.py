"""The way of clients into a Kubernetes cluster, for every model of a serve_config.yaml.

A route for Gateway API and an Ingress pass what is listed here, and refuse everything else by not
having it: rollouts, feedback and whatever is added for operators later.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from serve_app.commands.target import SERVER

# What clients ask, with whatever method: a server refuses the others itself, and a browser asks
# with OPTIONS first. A unit test compares the list with the routes of the servers.
CLIENT_PATHS = (
    "/v1/predict",
    "/v1/predict/batch",
    "/predict",
    "/predict/batch",
    "/v1/model",
    "/ready",
)
PORT = 8000
NOTE = "# Written by `make manifests` from serve_config.yaml: what clients may ask, nothing else.\n"
# What is yours stands in k8s/overlays/mine: the gateway and the host, or the class of the Ingress.
GATEWAY = {"name": "gateway", "namespace": "gateway"}


def http_routes(config: Mapping[str, Any], service: str = "sluice") -> str:
    """An HTTPRoute for each model, as the text of a file."""
    backend = {"name": f"{service}-serve-svc", "port": PORT}
    documents = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": f"{service}-{_label(name)}"},
            "spec": {
                "parentRefs": [dict(GATEWAY)],
                "rules": [
                    {
                        "matches": [
                            {"path": {"type": "Exact", "value": prefix + path}}
                            for path in CLIENT_PATHS
                        ],
                        "backendRefs": [dict(backend)],
                    }
                ],
            },
        }
        for name, prefix in _servers(config)
    ]
    return NOTE + yaml.safe_dump_all(documents, sort_keys=False)


def ingress(config: Mapping[str, Any], service: str = "sluice") -> str:
    """One Ingress for all models, as the text of a file."""
    port = {"number": PORT}
    backend = {"service": {"name": f"{service}-serve-svc", "port": port}}
    paths = [
        {"path": prefix + path, "pathType": "Exact", "backend": dict(backend)}
        for _, prefix in _servers(config)
        for path in CLIENT_PATHS
    ]
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": service},
        "spec": {"ingressClassName": "nginx", "rules": [{"http": {"paths": paths}}]},
    }
    return NOTE + yaml.dump(document, Dumper=_WithoutAnchors, sort_keys=False)


class _WithoutAnchors(yaml.SafeDumper):
    """What occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write no anchor for anything."""
        return True


def _servers(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and prefix of each application that is reached from outside; no `/` at its end."""
    for app in config.get("applications", []):
        prefix = app.get("route_prefix", "/")
        if app.get("import_path") == SERVER and prefix is not None:
            yield str(app.get("name", "default")), prefix.rstrip("/")


def _label(name: str) -> str:
    """A name as Kubernetes takes it: `delivery_time` is `delivery-time`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
