"""Programs are measured and ended with everything that they started, and nothing else."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.processes import ANONYMOUS, Program

BUSY_CHILD = """
import subprocess, sys, time
child = "import time\\nwhile time.process_time() < 1: pass\\ntime.sleep(60)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program whose child opened a session of its own and computes for a second."""
    found = Program([sys.executable, "-c", BUSY_CHILD], {}, tmp_path)
    try:
        yield found
    finally:
        found.stop()


def test_a_child_in_a_session_of_its_own_is_measured_and_ended(program: Program) -> None:
    """That is how `sluice up` starts Ray."""
    before = program.usage()
    until_s = time.monotonic() + 30
    while sum(program.usage().since(before).values()) < 0.5 and time.monotonic() < until_s:
        time.sleep(0.1)
    members = program.members()
    assert len(members) == 2
    assert len({process.session for process in members}) == 2
    assert sum(program.usage().since(before).values()) >= 0.5
    assert sum(program.memory_mb().values()) > sum(program.memory_mb(ANONYMOUS).values()) > 2
    program.stop()
    assert program.ended
    assert program.members() == []
