"""The log in an object store: parts grow on the node and go there when they are finished."""

from pathlib import Path

import pytest
from logging_server import NOW_S, LoggingServer, answered

from serve_app.bundle.objects import ObjectFault, Objects
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = SPEC.examples[0].row.model_dump(mode="json")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoggingServer:
    """A server whose log is in a store in memory; its node's cache is the test's folder."""
    monkeypatch.setenv("CACHE_PATH", str(tmp_path))
    return LoggingServer(SPEC, "memory:///log")


def test_a_part_is_in_the_store_when_it_is_finished_and_not_before(
    server: LoggingServer, tmp_path: Path
) -> None:
    """Nothing can grow in a store; on the node nothing is left of it then."""
    server.write(answered(SPEC, [ROW], [0.5], ids=["a"]))
    assert server.ids() == []
    server.write(answered(SPEC, [ROW], [0.5], ids=["b"]), now_s=NOW_S + 300)
    server.keeper.look(NOW_S + 300)
    assert server.ids() == ["a", "b"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_parts_wait_on_the_node_while_the_store_is_away_and_go_there_afterwards(
    server: LoggingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of the store loses nothing of the log."""

    def away(*_: object) -> None:
        raise ObjectFault("GenericError")

    with monkeypatch.context() as outage:
        outage.setattr(Objects, "create", away)
        for i in range(3):
            server.write(answered(SPEC, [ROW], [0.5], ids=[str(i)]), now_s=NOW_S + i)
            server.log.finish_part()
            server.keeper.look(NOW_S + i)
        assert len(list(server.spool.iterdir())) == 3
        assert server.ids() == []
    server.keeper.look(NOW_S + 3)
    assert server.ids() == ["0", "1", "2"]
    assert server.log.n_dropped == 0


def test_a_store_that_stays_away_costs_rows_before_it_costs_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod whose /tmp is over its limit is evicted; what other models keep there counts too."""
    monkeypatch.setenv("CACHE_PATH", str(tmp_path))

    def away(*_: object) -> None:
        raise ObjectFault("GenericError")

    def waiting() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    n_rows = 0
    most = 20_000
    servers = [
        LoggingServer(SPEC, "memory:///log", application=name, most_waiting_bytes=most)
        for name in ("one", "other")
    ]
    with monkeypatch.context() as outage:
        outage.setattr(Objects, "create", away)
        while n_rows < 400:
            for server in servers:
                n_rows += 1
                ids = [f"{n_rows:064x}"]
                server.write(answered(SPEC, [ROW], [0.5], ids=ids), now_s=NOW_S + n_rows)
                server.log.finish_part()
                server.keeper.look(NOW_S + n_rows)
        # A look is after a part, so each server may have one more.
        assert waiting() < most + 2 * 1_000
        n_dropped = sum(server.log.n_dropped for server in servers)
        assert 0 < n_dropped < n_rows
    # The first empties its own, and only then sees that the other one has.
    for server in (*servers, servers[0]):
        server.keeper.look(NOW_S + n_rows)
    assert waiting() == 0
    assert sum(len(server.ids()) for server in servers) == n_rows - n_dropped
    servers[0].write(answered(SPEC, [ROW], [0.5], ids=["again"]))
    servers[0].finish()
    assert "again" in servers[0].ids()


def test_rows_on_their_way_to_a_store_are_for_this_user_alone(
    server: LoggingServer, tmp_path: Path
) -> None:
    """They lie in a folder for temporary files; one that others may write is not used."""
    server.write(answered(SPEC, [ROW], [0.5]))
    assert {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*") if path.is_dir()} == {0}
    other = LoggingServer(SPEC, "memory:///other")
    (tmp_path / "log").chmod(0o777)
    other.write(answered(SPEC, [ROW], [0.5]))
    assert (other.log.n_written, other.log.n_dropped) == (0, 1)


def test_old_days_are_forgotten_in_a_store_too(server: LoggingServer) -> None:
    """By the name of each part."""
    for days in (0, 40):
        now_s = NOW_S + days * 86_400
        server.write(answered(SPEC, [ROW], [0.5], ids=[str(days)]), now_s=now_s)
        server.finish()
    server.keeper.look(NOW_S + 40 * 86_400)
    assert server.ids() == ["40"]


def test_two_servers_of_a_node_put_the_same_part_once(server: LoggingServer) -> None:
    """Whoever is second finds it there, and takes it off the node."""
    server.write(answered(SPEC, [ROW], [0.5], ids=["a"]))
    server.log.finish_part()
    [part] = server.spool.iterdir()
    data = part.read_bytes()
    server.keeper.put_finished()
    part.write_bytes(data)
    server.keeper.put_finished()
    assert server.ids() == ["a"]
    assert list(server.spool.iterdir()) == []
