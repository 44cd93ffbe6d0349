"""Lines of log for whoever started the container, next to those in Ray's files.

A replica's own standard output ends in a file of Ray's. The variable names where its lines go: in
the image that is `/proc/1/fd/1`, the standard output of the container's first process, which runs
as the same user.
"""

import logging
import os
from collections.abc import Callable, Mapping

from serve_app.cluster.log_line import line_of

LOG_TO = "SLUICE_LOG_TO"


class LogOutput(logging.Handler):
    """Writes each line at once, and never waits.

    Where a pipe is full since nobody reads it, the line is lost, and the next one that is written
    says how many were. `complain` is told once when the path cannot be written to, and again after
    it could.
    """

    def __init__(
        self, path: str, source: Mapping[str, str], complain: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._path = path
        self._source = source
        self._complain = complain
        self._file: int | None = None
        self._n_lost = 0
        self._has_complained = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            line = line_of(record, self._source, self._n_lost)
            os.write(self._opened(), line)
        except BlockingIOError:
            self._n_lost += 1
        except OSError as error:
            self._n_lost += 1
            self._forget()
            if not self._has_complained:
                self._has_complained = True
                self._complain(
                    f"{LOG_TO}: {self._path} cannot be written to ({error.strerror}); lines are in "
                    "Ray's files alone"
                )
        except Exception:
            self.handleError(record)
        else:
            self._n_lost = 0
            self._has_complained = False

    def close(self) -> None:
        """Close the file."""
        self._forget()
        super().close()

    def _opened(self) -> int:
        if self._file is None:
            # Opened again, and not taken over: not to wait is then a matter of this process alone.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
        return self._file

    def _forget(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
