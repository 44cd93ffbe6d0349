"""Where the lines that this package logs go in a replica."""

import logging

from serve_app.serving.request_id import REQUEST_ID


class AtOnce(logging.Handler):
    """Hands our lines to Ray's handlers with their request's id, and has them written at once.

    In the fast mode Ray keeps 1,000 lines in memory before it writes any, which are lost when the
    process is killed. Its own format shows an id where the record has one.
    """

    def __init__(self, handlers: list[logging.Handler]) -> None:
        super().__init__()
        self._handlers = handlers

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        request_id = REQUEST_ID.get()
        if request_id:
            record.request_id = request_id
        for handler in self._handlers:
            handler.handle(record)
            handler.flush()


def log_to_ray() -> None:
    """Send our lines where Ray Serve's own go, in the same format."""
    ours = logging.getLogger("serve_app")
    # The list itself, to which Ray may add.
    ours.handlers = [AtOnce(logging.getLogger("ray.serve").handlers)]
    ours.propagate = False
    ours.setLevel(logging.INFO)
