"""What Ray says of the replica that runs in this process."""

from ray import serve


def own_application() -> str:
    """The name of the application that this replica belongs to, as serve_config.yaml has it."""
    name: str = serve.get_replica_context().app_name
    return name
