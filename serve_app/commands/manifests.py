"""`sluice manifests`: serve_config.yaml into the manifests for Kubernetes (`cluster_config`)."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.check import check
from serve_app.commands.exit_codes import errors_in_words


def manifests(
    file: Annotated[Path, typer.Argument(help="What is served.")] = Path("serve_config.yaml"),
    into: Annotated[
        Path, typer.Option("--into", help="A folder such as k8s, or one RayService.")
    ] = Path("k8s"),
) -> None:
    """Write serve_config.yaml into the manifests for KubeRay, then check them.

    As a cluster needs it: two replicas or more of each. A folder gets base/rayservice.yaml, a copy
    of it, and the way of clients: base/route.yaml for Gateway API, components/ingress/ingress.yaml.
    Exit code 1: the manifest has no place for it, or has errors.
    """
    from serve_app.commands.client_routes import http_routes, ingress
    from serve_app.commands.cluster_config import generated, read_config

    rayservice = into / "base" / "rayservice.yaml" if into.is_dir() else into
    with errors_in_words():
        text = generated(file, rayservice)
        rayservice.write_text(text)
        if into.is_dir():
            config = read_config(file)
            (into / "rayservice.yaml").write_text(text)
            (into / "base" / "route.yaml").write_text(http_routes(config))
            (into / "components" / "ingress" / "ingress.yaml").write_text(ingress(config))
    check(rayservice)
