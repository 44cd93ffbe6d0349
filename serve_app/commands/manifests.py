"""`sluice manifests`: serve_config.yaml into the RayService (`cluster_config`)."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.check import check
from serve_app.commands.exit_codes import errors_in_words


def manifests(
    file: Annotated[Path, typer.Argument(help="What is served.")] = Path("serve_config.yaml"),
    into: Annotated[Path, typer.Option("--into", help="The RayService.")] = Path(
        "k8s/base/rayservice.yaml"
    ),
) -> None:
    """Write serve_config.yaml into the manifest for KubeRay, then check the manifest.

    As a cluster needs it: two replicas or more of each. Exit code 1: the manifest has no place for
    it, or has errors.
    """
    from serve_app.commands.cluster_config import generated

    with errors_in_words():
        into.write_text(generated(file, into))
    check(into)
