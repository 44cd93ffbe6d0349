"""The composition root: what `import_path` in serve_config.yaml names."""

from typing import Any

from ray import serve

from serve_app.deployments import Server, Version
from serve_app.models import get_spec
from serve_app.settings import ServerArgs, VersionArgs


def server(args: ServerArgs) -> Any:
    """The application of a model."""
    get_spec(args.model)
    return serve.deployment(serve.ingress()(Server)).options(name="Server").bind(args.model, args.store)


def version(args: VersionArgs) -> Any:
    """The application of one isolated version."""
    get_spec(args.model)
    deployment = serve.deployment(Version).options(name="Version")
    return deployment.bind(args.model, args.version, args.store, args.manifest_sha256)
