"""A version is opened in a child process before a server opens it, once a node."""

import io
import json
import logging
import pickle
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from checking import manifest_of
from graphs import SCORE, endless, greedy, sound, write_graph

from serve_app.bundle.loading import Verified, load
from serve_app.bundle.manifest import MANIFEST, File, sha256_of
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.proving import LIMITS, ProofLimits, Run, prove_first, run_child
from serve_app.bundle.proving_child import Given, fault_of
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.errors import BundleError, BundleUnavailable, NoRoom
from serve_app.models import get_spec

CHURN = get_spec("churn")
# On a busy machine the clock says nothing.
SHORT = ProofLimits(cpu_s=2, wall_factor=200)
PICKLED = """
class Half:
    def predict_proba(self, rows):
        import numpy as np
        return np.full((len(rows), 2), 0.5)
"""


NO = {"is_proven": False, "text": "no memory", "fault": "bundle"}


def because(error: BundleError, cause: Exception) -> BundleError:
    """An error as `raise ... from` makes it."""
    error.__cause__ = cause
    return error


class Children:
    """Counts the children that are started; `code` and `said` instead of starting one."""

    def __init__(self, code: int | None = 0, said: bytes = b'{"is_proven": true}') -> None:
        self.code = code
        self.said = said
        self.n_started = 0

    def run(
        self, given: Given, model: bytes, answer: IO[bytes], printed: IO[bytes], wall_s: float
    ) -> int | None:
        """End as was told."""
        self.n_started += 1
        assert wall_s > given.cpu_s > 0
        answer.write(self.said)
        printed.write(b"first\nlast \x1b[2J words\n\n")
        return self.code


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store, and a node's cache of this test's own."""
    monkeypatch.setenv("CACHE_PATH", str(tmp_path / "cache"))
    return FolderStore(tmp_path / "store")


def proven(
    store: FolderStore,
    limits: ProofLimits = LIMITS,
    run: Run = run_child,
    free_bytes: int | None = None,
) -> Predictor:
    """Load a version as a replica does, where so much memory is free."""

    def first(verified: Verified) -> None:
        prove_first(verified, limits, run, lambda: free_bytes)

    return load(store, CHURN, "1.0.0", first=first)


def test_a_version_that_a_child_has_opened_is_opened_here(
    store: FolderStore, tmp_path: Path
) -> None:
    """And the node knows of it."""
    digest = write_graph(store, sound().SerializeToString())
    block = Layout(CHURN.contract).block([CHURN.examples[0].row.model_dump()])
    assert proven(store).score(block).tolist() == [SCORE]
    [mark] = (tmp_path / "cache" / "proven").iterdir()
    assert mark.name.startswith(digest)


def test_a_node_proves_a_version_once(store: FolderStore) -> None:
    """The second replica starts no child: a start is not slower for it. Another version does."""
    write_graph(store, sound().SerializeToString())
    children = Children()
    for _ in range(3):
        proven(store, run=children.run)
    assert children.n_started == 1
    store.remove("churn", "1.0.0")
    write_graph(store, sound().SerializeToString() + b"\x12\x01x")
    proven(store, run=children.run)
    assert children.n_started == 2


def test_without_a_cache_of_one_s_own_each_start_proves_again(
    store: FolderStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mark that others can make is none; that is no reason not to serve."""
    write_graph(store, sound().SerializeToString())
    children = Children()
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            proven(store, run=children.run)
    assert children.n_started == 2
    assert "others may write there" in caplog.text


def test_a_loop_without_an_end_ends_in_the_child(store: FolderStore, tmp_path: Path) -> None:
    """In a server it would hold a thread for ever; it is the bundle's fault, and final."""
    write_graph(store, endless().SerializeToString())
    with pytest.raises(BundleError, match="takes more than 2 s of CPU") as error:
        proven(store, SHORT)
    assert not isinstance(error.value, BundleUnavailable)
    [mark] = (tmp_path / "cache" / "proven").iterdir()
    assert mark.stat().st_size == 0, "the next replica does not take it for proven"


@pytest.fixture
def children_are_not_waited_for() -> Iterator[None]:
    """As in a process whose parent ignored SIGCHLD: how a child ended is not known."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("children_are_not_waited_for")
def test_a_model_that_takes_all_memory_is_refused_by_the_child(store: FolderStore) -> None:
    """No server opens what a child could not, and none takes an exit code for a word."""
    write_graph(store, greedy(64 * 1024**3).SerializeToString())
    opened_here = []
    with pytest.raises(BundleError, match=r"cannot be opened|golden row"):
        load(store, CHURN, "1.0.0", first=lambda told: opened_here.append(prove_first(told)))
    assert opened_here == []


def test_a_child_imports_what_its_parent_can(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle needs a module that lies next to serve_config.yaml, and on no variable's path."""
    (tmp_path / "half_way.py").write_text(textwrap.dedent(PICKLED))
    monkeypatch.syspath_prepend(str(tmp_path))
    import half_way  # type: ignore[import-not-found]

    data = io.BytesIO()
    pickle.dump(half_way.Half(), data)
    model = data.getvalue()
    files = {"pipeline.joblib": File(sha256=sha256_of(model), size_bytes=len(model))}
    manifest = manifest_of("churn", "1.0.0", files=files, runtime="sklearn")
    store.write("churn", "1.0.0", {MANIFEST: manifest, "pipeline.joblib": model})
    assert proven(store).manifest.runtime == "sklearn"
    assert "half_way" in sys.modules


@pytest.mark.parametrize(
    ("code", "said", "kind", "match"),
    [
        (0, {**NO, "text": "no \x1b[2J model"}, BundleError, "no \ufffd.2J model"),
        (0, {**NO, "fault": "passing"}, BundleUnavailable, "^no memory$"),
        (0, {**NO, "fault": "room"}, NoRoom, "^no memory$"),
        (0, {**NO, "fault": "memory"}, BundleError, "a model of this size may take 2[0-9]{3} MB"),
        (0, {**NO, "fault": []}, BundleError, "^no memory$"),
        (0, {"is_proven": 1}, BundleUnavailable, "ended without an answer, code 0 .last"),
        (0, [], BundleUnavailable, "ended without an answer, code 0"),
        (-signal.SIGSEGV, None, BundleError, "opens it .signal 11. .last \ufffd.2J words"),
        (-signal.SIGXCPU, None, BundleError, "takes more than 30 s of CPU"),
        (-signal.SIGKILL, None, NoRoom, "was killed; this machine has too little memory"),
        (None, None, NoRoom, "not opened within 300 s"),
        (1, None, BundleUnavailable, "ended without an answer, code 1 .last \ufffd.2J words"),
    ],
)
def test_how_a_child_ended_is_said_in_words(
    store: FolderStore, code: int | None, said: object, kind: type[BundleError], match: str
) -> None:
    """What may be the machine's fault is not taken for the bundle's: no rollout ends by it."""
    write_graph(store, sound().SerializeToString())
    children = Children(code, json.dumps(said).encode())
    with pytest.raises(BundleError, match=match) as error:
        proven(store, run=children.run)
    assert type(error.value) is kind


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, {**NO, "fault": "memory"}), (-signal.SIGSEGV, None), (-signal.SIGABRT, None), (1, None)],
)
def test_a_model_that_has_less_memory_than_it_may_take_is_not_at_fault(
    store: FolderStore, code: int, said: object
) -> None:
    """What gets no memory ends in any way; with more of it the same bundle may be sound."""
    write_graph(store, sound().SerializeToString())
    children = Children(code, json.dumps(said).encode())
    with pytest.raises(NoRoom, match="this machine has 700 MB left for it"):
        proven(store, run=children.run, free_bytes=10**9)
    # What has nothing to do with memory is the bundle's fault on a small machine too.
    children = Children(0, json.dumps(NO).encode())
    with pytest.raises(BundleError) as error:
        proven(store, run=children.run, free_bytes=10**9)
    assert not isinstance(error.value, BundleUnavailable)


def test_a_child_takes_a_part_of_the_memory_that_is_free() -> None:
    """Where a pod ends as a whole when its memory is full, a greedy model would end the servers."""
    asked = LIMITS.of(1_000)
    assert LIMITS.of(1_000, 10 * asked.memory_bytes) == asked
    small = LIMITS.of(1_000, 10**9)
    assert (small.memory_bytes, small.is_short) == (700_000_000, True)
    # Less than this no model can be opened with.
    assert LIMITS.of(1_000, 0).memory_bytes == 256 * 1024**2


def test_a_model_that_needs_more_than_is_free_is_tried_again(store: FolderStore) -> None:
    """In a real child: onnxruntime finds no memory, and says so in words of its own."""
    write_graph(store, greedy(800 * 1024**2).SerializeToString())
    with pytest.raises(NoRoom, match="MB left for it"):
        proven(store, free_bytes=500 * 1024**2)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (BundleError("x"), "bundle"),
        (BundleUnavailable("x"), "passing"),
        (because(NoRoom("x"), MemoryError()), "memory"),
        (because(NoRoom("x"), RuntimeError("Failed to allocate 7 bytes")), "memory"),
        (because(NoRoom("x"), OSError(28, "No space left on device")), "room"),
        (because(NoRoom("x"), RuntimeError("can't start new thread")), "room"),
        (NoRoom("x"), "room"),
    ],
)
def test_a_child_tells_whose_fault_it_is(error: BundleError, fault: str) -> None:
    """What passes is waited for by the parent, as if it had met it itself."""
    assert fault_of(error) == fault


def test_a_full_disk_is_met_before_a_child_is_started(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child could not say it: its answer would be half a file, and taken for its own fault."""
    write_graph(store, sound().SerializeToString())
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "r+b"))
    children = Children()
    with pytest.raises(NoRoom, match="a file in the folder for temporary ones"):
        proven(store, run=children.run)
    assert children.n_started == 0


def test_a_machine_that_starts_no_process_is_at_fault_itself(store: FolderStore) -> None:
    """As where there is no memory for one: it is tried again."""
    write_graph(store, sound().SerializeToString())

    def run(*_: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    with pytest.raises(NoRoom, match="no process can be started to prove it"):
        proven(store, run=run)
