"""How the tests share the machine, which of them get a second run, and what a run says at its end.

Most tests of a cluster wait, so `make test` runs several processes on two cores. The tests of a
group run one after the other in one of them, and share what is expensive to start.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from trained import trained_store as find_trained_store

from serve_app.bundle.store import FolderStore

pytest_plugins = ["pytester"]

TESTS = Path(__file__).parent
STARTED_S = time.time()
TESTS_BUDGET_S = 420
WHOLE_BUDGET_S = 540

# What takes longest begins first; every other group is a module.
LONGEST_FIRST = ("rollouts", "fast", "plain", "kuberay", "laptop", "training", "store")


@pytest.fixture(scope="session")
def trained_store() -> FolderStore:
    """The versions that `make models` trained, for tests that only read them."""
    return find_trained_store()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests into groups where several processes run them, and let those about real time run a
    second time.
    """
    if hasattr(config, "workerinput"):
        groups = {item: _group_of(item) for item in items}
        for item, group in groups.items():
            item.add_marker(pytest.mark.xdist_group(group))
        items.sort(key=lambda item: _turn(groups[item]))
    if config.pluginmanager.hasplugin("rerunfailures"):
        for item in items:
            if item.get_closest_marker("real_time"):
                item.add_marker(pytest.mark.flaky(reruns=1))


def _group_of(item: pytest.Item) -> str:
    """The mode of a cluster test, the group that its module names, a folder with common fixtures,
    or the module.
    """
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if "stage" in params:
        return str(params["stage"])
    mark = item.get_closest_marker("group")
    if mark is not None:
        return str(mark.args[0])
    module = item.path.relative_to(TESTS)
    return module.parts[0] if module.parts[0] in LONGEST_FIRST else str(module)


def _turn(group: str) -> int:
    return LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell every second run, and the time beside its budget: lines to read, which nothing is
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
