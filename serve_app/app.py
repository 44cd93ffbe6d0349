"""The composition root: what `import_path` in serve_config.yaml names."""

from typing import Any

from ray import serve

from serve_app.cluster.server import Coordinator, Server, Version
from serve_app.models import get_spec
from serve_app.settings import COORDINATOR_CPUS, ServerArgs, VersionArgs


def server(args: ServerArgs) -> Any:
    """The application of a model."""
    get_spec(args.model)
    # One, and no surge: never two of it, since it writes the log.
    options = {
        "num_replicas": 1,
        "max_ongoing_requests": 100,
        "ray_actor_options": {"num_cpus": COORDINATOR_CPUS},
    }
    coordinator = (
        serve.deployment(Coordinator)
        .options(name="Coordinator", **options)
        .bind(args.model, args.state)
    )
    return (
        serve.deployment(serve.ingress()(Server))
        .options(name="Server")
        .bind(args.model, args.store, coordinator, args.public_keys)
    )


def version(args: VersionArgs) -> Any:
    """The application of one isolated version."""
    get_spec(args.model)
    deployment = serve.deployment(Version).options(name="Version")
    return deployment.bind(
        args.model, args.version, args.store, args.manifest_sha256, args.public_keys
    )
