"""Where the lines that this package logs go in a replica."""

import logging
import os
from collections.abc import Callable

from serve_app.cluster.log_output import LOG_TO, LogOutput
from serve_app.serving.request_id import REQUEST_ID

OURS = "serve_app"
RAYS = "ray.serve"


class AtOnce(logging.Handler):
    """Hands our lines to other handlers with their request's id, and has them written at once.

    In the fast mode Ray keeps 1,000 lines in memory before it writes any, which are lost when the
    process is killed. Its own format shows an id where the record has one.
    """

    def __init__(self, handlers: list[logging.Handler], output: logging.Handler | None) -> None:
        super().__init__()
        self._handlers = handlers
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        request_id = REQUEST_ID.get()
        if request_id:
            record.request_id = request_id
        # First, since one of Ray's filters takes fields away from the record.
        if self._output is not None:
            self._output.handle(record)
        for handler in self._handlers:
            handler.handle(record)
            handler.flush()


def log_to_ray(application: Callable[[], str], **source: str) -> None:
    """Send our lines where Ray Serve's own go, in the same format.

    With SLUICE_LOG_TO they go there too, as JSON. What `application` says stands in each line then,
    and `source`, such as the model and the kind of the process.
    """
    ours = logging.getLogger(OURS)
    rays = logging.getLogger(RAYS)
    path = os.environ.get(LOG_TO)
    output = None
    if path:
        output = LogOutput(path, source | {"application": application()}, rays.warning)
    # The list itself, to which Ray may add.
    ours.handlers = [AtOnce(rays.handlers, output)]
    ours.propagate = False
    ours.setLevel(logging.INFO)
