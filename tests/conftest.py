"""How the tests share the machine, which of them get a second run, and what a run says at its end.

Most tests of a cluster wait, so `make test` runs several processes on two cores. The tests of a
group run one after the other in one of them, and share what is expensive to start.
"""

import asyncio
import os
import re
import sys
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from trained import trained_store as find_trained_store
from xdist.scheduler import LoadScopeScheduling

from serve_app.bundle.store import FolderStore

pytest_plugins = ["pytester"]

# Derandomised, so that a red test is red again; without a deadline, since the machine is shared.
settings.register_profile(
    "sluice", deadline=None, database=None, derandomize=True, max_examples=200
)
settings.load_profile("sluice")

STARTED_S = time.time()
UNTIL_GROUP_ENDS = pytest.StashKey[ExitStack]()
TESTS_BUDGET_S = 420
WHOLE_BUDGET_S = 540

# The group of a module by a part of its path. A group shares a cluster, or what was trained for it.
GROUPS = {
    "cluster/test_rollouts": "rollouts",
    "cluster/test_scaling": "rollouts",
    "cluster/test_kuberay": "kuberay",
    "cluster/test_up_and_serve_run": "up",
    "benchmarks/test_agree": "agree",
    "tests/benchmarks/": "benchmarks",
    "tests/docs/": "docs",
    "tests/training/": "training",
    "tests/store/": "store",
}
LONGEST_FIRST = (
    "rollouts",
    "fast",
    "plain",
    "kuberay",
    "up",
    "docs",
    "benchmarks",
    "training",
    "store",
)


def pytest_collection_finish() -> None:
    """Ray's batch queues ask for an event loop when they are collected, which may be in any later
    test. Where none runs Ray makes one that nobody closes, and yet another test fails for it.
    """
    if "ray.serve.batching" in sys.modules:
        sys.modules["ray.serve.batching"].get_or_create_event_loop = _running_loop  # type: ignore[attr-defined]


def _running_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return SimpleNamespace(is_running=lambda: False)


@pytest.fixture(scope="session")
def trained_store() -> FolderStore:
    """The versions that `make models` trained, for tests that only read them."""
    return find_trained_store()


def group_of(nodeid: str) -> str:
    """The group of a test: the mode of its cluster, a folder with common fixtures, or its module.

    `nodeid` is pytest's: `tests/cluster/test_tables.py::test_name[plain-missing]`.
    """
    module = nodeid.partition("::")[0]
    words = re.split(r"[\[\]-]", nodeid.partition("[")[2])
    if module.startswith("tests/cluster/"):
        for mode in ("plain", "fast"):
            if mode in words:
                return mode
    return next((group for part, group in GROUPS.items() if part in module), module)


class Groups(LoadScopeScheduling):
    """Hands whole groups to the processes, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        """Where xdist asks for the group of a test."""
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Give xdist our groups; its own by marks do nothing with this pytest."""
    return Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, and tests about real time run a second time."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(group_of(item.nodeid)))
    for item in items:
        if item.get_closest_marker("real_time"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def until_group_ends(request: pytest.FixtureRequest) -> ExitStack:
    """What is entered here is left after the last test of the group, not of the whole run.

    A cluster that nobody needs any more costs CPU that the others need.
    """
    return request.config.stash[UNTIL_GROUP_ENDS]


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing entered."""
    config.stash[UNTIL_GROUP_ENDS] = ExitStack()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Leave what a group has entered when the next test is of another one."""
    if nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid):
        item.config.stash[UNTIL_GROUP_ENDS].close()


def _turn(group: str) -> int:
    return LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell every second run, and the time with its budget: lines to read, which nothing is
    asserted of.
    """
    for report in terminalreporter.stats.get("rerun", ()):
        why = str(report.longrepr).strip().splitlines()[-1:]
        terminalreporter.write_line(f"ran a second time: {report.nodeid}: {' '.join(why)}")
    line = f"the tests took {time.time() - STARTED_S:.0f} s; their budget is {TESTS_BUDGET_S} s"
    make_started_s = os.environ.get("MAKE_STARTED_S")
    if make_started_s:
        whole_s = time.time() - float(make_started_s)
        line += f"; with the environment {whole_s:.0f} s of {WHOLE_BUDGET_S} s"
    terminalreporter.write_line(line)
