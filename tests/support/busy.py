"""Run a command three times with four busy processes next to it: `python busy.py pytest -q ...`.

Tests must pass on a machine that has other things to do; this makes one of it. Prints how each run
ended, and exits with 1 when one failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from program import Program

N_RUNS = 3
N_BUSY = 4


@contextmanager
def busy(n: int) -> Iterator[None]:
    """This many processes that spin, for a `with` block."""
    spin = [sys.executable, "-c", "while True: pass"]
    with tempfile.TemporaryDirectory() as folder:
        programs = [
            Program(spin, Path(folder) / f"{number}.log", os.environ, Path(folder))
            for number in range(n)
        ]
        try:
            yield
        finally:
            for program in programs:
                program.end()


def run(command: list[str]) -> tuple[int, str]:
    """The exit code of a command and its last line; what it prints is printed."""
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line.strip() or last
    return process.returncode, last


def main(command: list[str]) -> int:
    """Run the command three times; 1 when one run failed."""
    found: list[tuple[int, str, float]] = []
    for _ in range(N_RUNS):
        started_s = time.monotonic()
        with busy(N_BUSY):
            code, last = run(command)
        found.append((code, last, time.monotonic() - started_s))
    sys.stdout.write(f"with {N_BUSY} busy processes on {os.cpu_count()} cores:\n")
    for number, (code, last, took_s) in enumerate(found, 1):
        sys.stdout.write(f"run {number}: exit {code} after {took_s:.0f} s: {last}\n")
    return int(any(code for code, _, _ in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
