"""Where the lines that this package logs go in a replica."""

import logging


def log_to_ray() -> None:
    """Send our lines where Ray Serve's own go, with the same format and request id."""
    ours = logging.getLogger("serve_app")
    ours.handlers = logging.getLogger("ray.serve").handlers
    ours.propagate = False
    ours.setLevel(logging.INFO)
