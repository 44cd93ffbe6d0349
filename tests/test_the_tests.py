"""Rules of the tests themselves: where helpers live, and what may import what."""

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from harness import wait_until
from hypothesis import settings
from listening import listeners
from ports import PortBlock
from program import Program

TESTS = Path(__file__).parent
ROOT = TESTS.parent
MODULES = sorted(TESTS.rglob("test_*.py"))
NAMES = {path.stem for path in MODULES} | {"conftest"}


def imported(path: Path) -> set[str]:
    """The first words of all that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_no_test_module_imports_another() -> None:
    """What two of them need is in tests/support."""
    wrong = {path.name: imported(path) & NAMES for path in TESTS.rglob("*.py")}
    assert not {name: names for name, names in wrong.items() if names}


def test_helpers_have_one_home() -> None:
    """Next to test modules and conftest.py there is no Python file outside tests/support."""
    others = {path for path in TESTS.rglob("*.py") if path not in MODULES}
    strays = [
        str(path.relative_to(TESTS))
        for path in others
        if path.name != "conftest.py" and TESTS / "support" not in path.parents
    ]
    assert not strays


def test_every_test_module_has_a_name_of_its_own() -> None:
    """Two of the same name could not be collected together, and "go to file" would find both."""
    counts = Counter(path.name for path in TESTS.rglob("*.py") if path.name != "conftest.py")
    assert not [name for name, n in counts.items() if n > 1]


def test_every_test_says_in_a_sentence_what_it_is_for() -> None:
    """Five words are no sentence: the name says what, the docstring says why."""
    short = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and node.name.startswith("test_"):
                words = (ast.get_docstring(node) or "").split()
                if len(words) <= 5:
                    short.append(f"{path.name}: {node.name}")
    assert not short


def calls_without_a_seed(path: Path) -> list[str]:
    """Where a module makes a generator of random numbers without a seed, or uses a common one."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        word = name.rpartition(".")[2]
        is_generator = word in {"default_rng", "Random", "RandomState"}
        is_common = re.fullmatch(r"(np\.)?random\.\w+", name) and not is_generator
        if is_common or (is_generator and not node.args and not node.keywords):
            found.append(f"{path.name}, line {node.lineno}: {name}")
    return found


def test_what_is_random_has_a_seed() -> None:
    """A red test is red again; hypothesis tries the same examples in every folder, in any time."""
    assert [line for path in TESTS.rglob("*.py") for line in calls_without_a_seed(path)] == []
    assert settings.default is not None
    assert settings.default.derandomize
    assert settings.default.deadline is None


def is_of_the_code(folder: Path) -> bool:
    """Whether a folder of tests is named as one of the code: a room of serve_app, or one next to
    serve_app. In unit/ are rooms alone.
    """
    room = folder.relative_to("unit") if folder.is_relative_to("unit") else folder
    return (ROOT / "serve_app" / room).is_dir() or (ROOT / folder).is_dir()


def test_folders_of_tests_are_the_folders_of_the_code() -> None:
    """Whoever changes a file knows where its tests are, and each room has unit tests."""
    # Not one test a folder: where several processes collect, one may see a cache that the other
    # does not.
    folders = {path.parent.relative_to(TESTS) for path in MODULES}
    # tests/store has what needs a real store of objects.
    assert {folder for folder in folders if not is_of_the_code(folder)} == {Path("store")}
    rooms = {Path("unit", path.parent.name) for path in ROOT.glob("serve_app/*/__init__.py")}
    assert rooms <= folders


@pytest.fixture
def with_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest that a test starts finds the code and the helpers of tests/support."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(TESTS / "support")]))


@pytest.mark.usefixtures("with_helpers")
def test_a_unit_test_that_needs_network_ray_or_a_trained_model_fails(
    pytester: pytest.Pytester,
) -> None:
    """A server of the test's own and other files are allowed."""
    pytester.makeconftest((TESTS / "unit/conftest.py").read_text())
    pytester.makepyfile(
        """
        import os
        import socket
        import subprocess

        from conftest import MODEL_STORE

        def test_network():
            socket.create_connection(("192.0.2.1", 80), timeout=1)

        def test_ray():
            subprocess.run(["./gcs_server"])

        def test_model():
            open(MODEL_STORE + "/churn/1.0.0/manifest.json")

        def test_model_from_here():
            open(os.path.relpath(MODEL_STORE) + "/churn/1.0.0/manifest.json")

        def test_which_models():
            os.listdir(MODEL_STORE)

        def test_process():
            subprocess.run(["true", MODEL_STORE])

        def test_none_of_these():
            open(__file__).close()
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname()).close()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=6, passed=1)
    for thing in ("network", "Ray", "trained model"):
        result.stdout.fnmatch_lines([f"*needs no {thing}*"])


@pytest.mark.usefixtures("with_helpers")
def test_a_test_about_real_time_runs_a_second_time_and_the_summary_tells_it(
    pytester: pytest.Pytester,
) -> None:
    """Any other test that fails stays red at once."""
    pytester.makeini("[pytest]\nmarkers =\n    real_time: about seconds")
    pytester.makeconftest((TESTS / "conftest.py").read_text())
    pytester.makepyfile(
        """
        import pytest

        runs = []

        @pytest.mark.real_time
        def test_late():
            runs.append(1)
            assert len(runs) == 2, "came too late"

        def test_wrong():
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["ran a second time: *test_late*"])


@pytest.mark.usefixtures("with_helpers")
def test_a_run_ends_with_its_slowest_tests_and_its_time_beside_the_budget(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the options that `make test` gives to pytest; nothing is asserted of the times."""
    [words] = re.findall(r"^PYTEST := \S+ -m pytest (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert "--durations=10" in words.split()
    pytester.makeconftest((TESTS / "conftest.py").read_text())
    pytester.makepyfile("import time\n\ndef test_slow():\n    time.sleep(1.1)\n")
    monkeypatch.setenv("MAKE_STARTED_S", str(time.time() - 60))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *words.split())
    result.stdout.fnmatch_lines(
        [
            "the tests took * s; their budget is 420 s; with the environment * s of 540 s",
            "*slowest 10 durations*",
            "*s call *test_slow",
        ]
    )


@pytest.mark.usefixtures("with_helpers")
def test_the_tests_of_a_group_run_in_one_process(pytester: pytest.Pytester) -> None:
    """A cluster that two modules share is started once."""
    pytester.makeini("[pytest]")
    folder = pytester.mkdir("tests")
    pids = pytester.mkdir("pids")
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (folder / "cluster").mkdir()
    for name in ("test_one", "test_other"):
        text = f"""
import os, pathlib, pytest, time

@pytest.mark.parametrize("n", range(4))
@pytest.mark.parametrize("stage", ["plain", "fast"])
def {name}(stage, n):
    time.sleep(0.1)
    pathlib.Path({str(pids)!r}, f"{{stage}}-{{os.getpid()}}").touch()
"""
        (folder / "cluster" / f"{name}.py").write_text(text)
    words = ("tests", "-p", "no:cacheprovider", "-n", "3", "--no-loadscope-reorder")
    result = pytester.runpytest_subprocess(*words)
    result.assert_outcomes(passed=16)
    assert sorted(path.name.partition("-")[0] for path in pids.iterdir()) == ["fast", "plain"]


def test_nothing_of_a_program_stays_when_the_process_that_started_it_is_killed(
    tmp_path: Path,
) -> None:
    """What it started in a session of its own is found too."""
    script = f"""
import os, pathlib, time
from program import Program
here = pathlib.Path({str(tmp_path)!r})
command = ["bash", "-c", "setsid sleep 1000 & echo $! > orphan; exit 0"]
Program(command, here / "log", os.environ, here)
time.sleep(1000)
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(TESTS / "support")}
    )
    orphan = wait_until(lambda: int((tmp_path / "orphan").read_text()), "the orphan")
    assert Path(f"/proc/{orphan}").exists()
    starter.kill()
    starter.wait()
    wait_until(lambda: not Path(f"/proc/{orphan}").exists(), "its end")


def test_the_exit_code_of_a_program_is_known_until_and_after_its_end(tmp_path: Path) -> None:
    """One that ran is ended by a signal, one that had ended keeps its code."""
    running = Program(["sleep", "1000"], tmp_path / "running.log", os.environ, tmp_path)
    ended = Program(["bash", "-c", "exit 3"], tmp_path / "ended.log", os.environ, tmp_path)
    assert ended.code(60) == 3
    assert running.code() is None
    for program in (running, ended, ended):
        program.end()
    assert running.code() == -signal.SIGKILL
    assert ended.code() == 3


def test_two_blocks_of_ports_have_no_port_in_common() -> None:
    """The system lets only one process listen on the first port of a block."""
    first, second = PortBlock(), PortBlock()
    try:
        mine = range(*first.several(100))
        assert first.one() not in mine
        assert second.one() not in range(mine.start, mine.start + 250)
    finally:
        first.close()
        second.close()


def test_what_a_process_listens_on_is_told_with_its_interface() -> None:
    """A test that overlooks a port would call an open one closed."""
    with (
        socket.create_server(("127.0.0.1", 0)) as here,
        socket.create_server(("0.0.0.0", 0)) as everywhere,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as newer,
    ):
        found = {one.port: one for one in listeners([os.getpid()])}
        assert found[here.getsockname()[1]].address == "127.0.0.1"
        assert found[newer.getsockname()[1]].is_for_this_machine
        assert not found[everywhere.getsockname()[1]].is_for_this_machine
