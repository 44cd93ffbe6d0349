"""The thread that writes: twice a second, what was answered since, as lines of a part."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.heard import HeardAnswers, Kept
from serve_app.monitoring.log.keeper import Keeper
from serve_app.monitoring.log.line import LineWriter
from serve_app.monitoring.log.part import Part, part_name
from serve_app.monitoring.log.spool_room import MOST_WAITING_BYTES, DiskUsage, room_fault
from serve_app.settings import LogOptions

logger = logging.getLogger(__name__)

# A kill loses what was answered since the last write: half a second, and what a write takes.
WRITE_EVERY_S = 0.5
LOOK_EVERY_S = 10.0
MOST_BYTES = 16 * 1024**2
LOG_EVERY_S = 60.0
CLOSE_S = 20.0


class PredictionLog:
    """Writes what `answers` heard. `options` may change; None as long as there is no table.

    `n_written` counts rows in parts, `n_dropped` those that are in none: the queue was full, or
    the disk, or too much waits for the store. Nothing that goes wrong here reaches a request.
    """

    def __init__(
        self,
        answers: HeardAnswers,
        lines: LineWriter,
        keeper: Keeper,
        server: str,
        options: Callable[[], LogOptions | None],
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        usage: Callable[[Path], DiskUsage] = shutil.disk_usage,
    ) -> None:
        self.answers = answers
        self.n_written = 0
        self._n_lost = 0
        self._lines = lines
        self._keeper = keeper
        self._server = server
        self._options = options
        self._most_waiting_bytes = most_waiting_bytes
        self._usage = usage
        self._part: Part | None = None
        self._n_parts = 0
        self._n_told = 0
        self._tell_again_s = 0.0
        self._has_ended = Event()
        self._is_finished = Event()
        self._threads: list[Thread] = []

    @property
    def n_dropped(self) -> int:
        """Rows that were sampled and are in no part."""
        return self.answers.n_dropped + self._n_lost

    def start(self) -> None:
        """Begin to write and to tidy up; the process does not wait for these threads."""
        for target in (self._write_forever, self._keep_forever):
            thread = Thread(target=target, name="prediction log", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Write what waits, finish the part and put it to its place, as far as that is quick."""
        self._has_ended.set()
        self._is_finished.set()
        ends_s = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, ends_s - time.monotonic()))

    def write(self, now_s: float) -> None:
        """Write what waits; a part that is full or old ends with it."""
        options = self._options()
        if options is None:
            return
        self.answers.options = options
        entries = self.answers.taken()
        if entries:
            self._write(entries, options, now_s)
        part = self._part
        if part is not None and (
            part.n_bytes >= MOST_BYTES or now_s - part.begin_s >= options.part_s
        ):
            self.finish_part()
        self._tell()

    def finish_part(self) -> None:
        """End the part, if there is one."""
        part = self._part
        self._part = None
        if part is None:
            return
        try:
            part.finish()
            self._is_finished.set()
        except OSError:
            part.abandon()

    def _write(self, entries: list[Kept], options: LogOptions, now_s: float) -> None:
        n_rows = sum(len(entry.ids) for entry in entries)
        n_before = self.n_written
        try:
            for n_line_rows, line in self._lines.lines(entries, options):
                self._open_part(now_s).append(line, n_line_rows)
                self.n_written += n_line_rows
                # So that requests that wait for this process's one lock get it now.
                time.sleep(0)
        except Exception as error:
            self._n_lost += n_rows - (self.n_written - n_before)
            # What is appended to a part after a write that was cut could not be read.
            if self._part is not None:
                self._part.abandon()
                self._part = None
            self._say("%s: %s", type(error).__name__, error)

    def _open_part(self, now_s: float) -> Part:
        if self._part is None:
            spool = self._keeper.make_spool()
            fault = room_fault(
                spool, self._keeper.n_waiting_bytes, self._most_waiting_bytes, self._usage
            )
            if fault:
                raise OSError(f"{spool}: {fault}")
            self._n_parts += 1
            name = part_name(now_s, self._server, self._n_parts)
            self._part = Part(spool, name, now_s)
        return self._part

    def _tell(self) -> None:
        """Log how many rows were dropped, now and then."""
        if self.n_dropped > self._n_told and time.monotonic() >= self._tell_again_s:
            self._n_told = self.n_dropped
            self._say("%d rows dropped since the start", self.n_dropped)

    def _say(self, text: str, *values: object) -> None:
        if time.monotonic() >= self._tell_again_s:
            self._tell_again_s = time.monotonic() + LOG_EVERY_S
            logger.warning("prediction log: " + text, *values)

    def _write_forever(self) -> None:
        while not self._has_ended.wait(WRITE_EVERY_S):
            self.write(time.time())
        self.write(time.time())
        self.finish_part()

    def _keep_forever(self) -> None:
        while not self._has_ended.is_set():
            self._keeper.look(time.time())
            self._is_finished.wait(LOOK_EVERY_S)
            self._is_finished.clear()
        # The last part is finished by the other thread.
        self._threads[0].join(CLOSE_S)
        try:
            self._keeper.put_finished()
        except (PredictionLogError, OSError) as error:
            logger.warning("prediction log: %s; its last part waits for the next start", error)
