"""A version is opened in a child process before a server opens it, once a node."""

import io
import json
import logging
import pickle
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from checking import manifest_of
from graphs import SCORE, endless, greedy, sound, write_graph

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import MANIFEST, File, sha256_of
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.proving import LIMITS, ProofLimits, Run, prove_first, run_child
from serve_app.bundle.proving_child import Given
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


NO = {"is_proven": False, "text": "no memory", "is_passing": False}


class Children:
    """Counts the children that are started; `code` and `said` instead of starting one."""

    def __init__(self, code: int | None = 0, said: bytes = b'{"is_proven": true}') -> None:
        self.code = code
        self.said = said
        self.n_started = 0

    def run(self, given: Given, model: bytes, answer: IO[bytes], wall_s: float) -> int | None:
        """End as was told."""
        self.n_started += 1
        assert wall_s > given.cpu_s > 0
        answer.write(self.said)
        return self.code


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store, and a node's cache of this test's own."""
    monkeypatch.setenv("CACHE_PATH", str(tmp_path / "cache"))
    return FolderStore(tmp_path / "store")


def proven(store: FolderStore, limits: ProofLimits = LIMITS, run: Run = run_child) -> Predictor:
    """Load a version as a replica does."""
    return load(store, CHURN, "1.0.0", first=lambda verified: prove_first(verified, limits, run))


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
    with pytest.raises(BundleError, match=r"cannot be opened|golden rows"):
        load(store, CHURN, "1.0.0", first=lambda told: opened_here.append(prove_first(told)))
    assert opened_here == []


def test_a_child_imports_what_its_parent_can(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle needs a module that lies beside serve_config.yaml, and on no variable's path."""
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
        (0, {**NO, "is_passing": True}, BundleUnavailable, "no memory"),
        (0, {"is_proven": 1}, BundleUnavailable, "ended without a word .0"),
        (0, [], BundleUnavailable, "ended without a word .0"),
        (-signal.SIGSEGV, None, BundleError, "ends the process that opens it .signal 11"),
        (-signal.SIGXCPU, None, BundleError, "takes more than 30 s of CPU"),
        (-signal.SIGKILL, None, NoRoom, "was killed; this machine has too little memory"),
        (None, None, NoRoom, "not opened within 300 s"),
        (1, None, BundleUnavailable, "ended without a word .1"),
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


def test_a_machine_that_starts_no_process_is_at_fault_itself(store: FolderStore) -> None:
    """As where there is no memory for one: it is tried again."""
    write_graph(store, sound().SerializeToString())

    def run(*_: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    with pytest.raises(NoRoom, match="no process can be started to prove it"):
        proven(store, run=run)
