"""`make chaos`: what is counted, what is missed, and two faults on a real server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import wrk
from benchmarks.chaos.config import config_of
from benchmarks.chaos.fault import MODES, PLACEMENTS
from benchmarks.chaos.faults import FAULTS, SHORT
from benchmarks.chaos.outcome import (
    NO_ANSWER,
    WRONG,
    Outcome,
    count,
    failures,
    longest_gap_s,
    recovery_s,
)
from benchmarks.chaos.parts import expected, part_of
from benchmarks.chaos.report import Part, availability_percent, markdown, missed
from benchmarks.chaos.store import StoreProxy
from benchmarks.place import own_place
from benchmarks.steady import Shot

ROOT = Path(__file__).parents[2]
SLOW_MS = 20
# Two minutes on a machine that does nothing else.
LONGEST_S = 1_800
GOOD = Outcome(
    fault="server",
    title="a server replica killed",
    requests=10_000,
    failed={},
    longest_gap_s=0.1,
    recovery_s=0.0,
    p99_ms=3.0,
    whole_s=4.0,
    most_recovery_s=15.0,
)


def shot(due_s: float, status: int = 200, body: bytes = b"right", latency_ms: float = 0.0) -> Shot:
    """One request of a load."""
    return Shot(0, due_s, 0.0, latency_ms, status, body)


def is_right(found: Shot) -> bool:
    """What the pipeline says, in these tests."""
    return found.body == b"right"


def part(*outcomes: Outcome) -> Part:
    """A server under these faults."""
    return Part("fast", "in_server", 500.0, outcomes, {})


def test_a_request_fails_by_its_status_without_an_answer_or_with_a_wrong_one() -> None:
    """An answer that nobody compares is no proof that a server lived through a fault."""
    shots = [shot(0), shot(1, 0), shot(2, 503), shot(3, 404), shot(4, body=b"left"), shot(5, 503)]
    failed = failures(shots, is_right)
    assert count(failed) == {"503": 2, NO_ANSWER: 1, "404": 1, WRONG: 1}


def test_the_gap_is_the_longest_time_without_a_good_answer() -> None:
    """Answers count when they come, not when they were asked for; failures fill no gap."""
    shots = [shot(0), shot(1), shot(2, 500), shot(3, 0), shot(4), shot(5, latency_ms=2_500)]
    assert longest_gap_s(shots, failures(shots, is_right)) == pytest.approx(3.5)
    never = [shot(0), shot(1, 0), shot(9, 0)]
    assert longest_gap_s(never, failures(never, is_right)) == 9
    assert longest_gap_s([], []) == 0


def test_recovery_ends_with_the_last_request_that_failed() -> None:
    """Where no request failed there was nothing to recover from."""
    shots = [shot(0), shot(5, 0), shot(6), shot(8, 0), shot(9)]
    assert recovery_s(failures(shots, is_right), fault_s=4.0) == 4
    assert recovery_s([], fault_s=4.0) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"failed": {WRONG: 1}}, "1 wrong answers"),
        ({"failed": {NO_ANSWER: 2}, "recovery_s": 24.0}, "requests failed for 24.0 s"),
        ({"whole_s": None}, "it did not heal by itself"),
        ({"left_behind": ["haproxy -db"]}, "left behind: haproxy -db"),
        ({"failed": {NO_ANSWER: 50}}, "99.500 % answered, expected 99.9 %"),
        ({"failed": {"503": 50}}, "99.500 % answered, expected 99.9 %"),
        (
            {"p99_ms": 501.0, "most_p99_ms": 500.0, "may_shed": True},
            "99 % of what was accepted was answered within 501 ms, expected 500 ms",
        ),
        (
            {"memory_mb": (1_000.0, 1_101.0), "most_growth_percent": 10.0},
            "memory grew from 1000 to 1101 MB, expected at most 10 % more",
        ),
        ({"failed": {"429": 10_000}, "may_shed": True}, "no request was answered"),
        (
            {"accepted": 0, "p99_ms": 0.0, "most_p99_ms": 500.0, "may_shed": True},
            "nothing was accepted of those who make the overload",
        ),
    ],
)
def test_what_is_missed_is_said_and_makes_the_run_fail(changes: dict[str, Any], said: str) -> None:
    """Each reach is missed by one of these, and by none of the good ones."""
    assert missed(part(GOOD)) == []
    assert missed(part(replace(GOOD, most_p99_ms=500.0))) == []
    assert missed(part(replace(GOOD, memory_mb=(1_000.0, 1_099.0), most_growth_percent=10.0))) == []
    assert missed(part(replace(GOOD, memory_mb=(1_000.0, 9_000.0)))) == []
    assert any(said in line for line in missed(part(replace(GOOD, **changes))))


class Refusing(BaseHTTPRequestHandler):
    """Accepts every third request of a connection, slowly, and refuses the others at once."""

    protocol_version = "HTTP/1.1"
    n_asked = 0

    def do_POST(self) -> None:
        """Answer a request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.n_asked += 1
        is_accepted = self.n_asked % 3 == 0
        if is_accepted:
            time.sleep(SLOW_MS / 1000)
        self.send_response(200 if is_accepted else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_answers_are_timed_by_their_status() -> None:
    """A refusal is quick: among them slow answers would not show."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1/predict"
        found = wrk.sample(url, [b"{}"], {}, connections=2, seconds=3)
        server.shutdown()
    assert found.accepted > 0
    assert found.accepted <= found.refused <= 2 * (found.accepted + 2)
    assert found.others == 0
    assert found.p99_ms >= SLOW_MS


def test_a_server_without_room_may_say_so_and_one_that_ends_is_counted_by_itself() -> None:
    """429 under overload is no lost answer; how long an ended server is away is in its own line."""
    overload = replace(GOOD, failed={"429": 9_000, NO_ANSWER: 1}, may_shed=True)
    assert overload.lost == 1
    assert availability_percent([overload]) == pytest.approx(99.9)
    ended = replace(GOOD, failed={NO_ANSWER: 5_000}, ends_server=True, recovery_s=12.0)
    assert availability_percent([GOOD, ended]) == 100
    assert missed(part(GOOD, ended)) == []
    assert availability_percent([]) == 100


def test_the_report_has_a_line_for_each_fault_and_what_was_not_tried() -> None:
    """Who reads it later must see what the run says nothing about."""
    failed = replace(GOOD, failed={NO_ANSWER: 3, "404": 1}, recovery_s=4.2, story="it said so")
    found = markdown([replace(part(failed), skipped={"logs-full": "no disks"})], {"cores": "2"})
    assert "| a server replica killed | 10,000 | 4 | 3 × no answer, 1 × 404 | 0 |" in found
    assert "* a server replica killed: it said so" in found
    assert "* not tried: logs-full: no disks" in found
    assert "## Missed\n\nNothing." in found


@pytest.mark.parametrize(
    ("program", "command_line", "part"),
    [
        ("ray::ServeRepli", "ray::ServeReplica:churn:Server", "server"),
        ("ray::ServeRepli", "ray::ServeReplica:churn-1.0.0:Version", "isolated"),
        ("ray::ServeRepli", "ray::ServeReplica:churn:Coordinator", "coordinator"),
        ("ray::HAProxyMan", "ray::HAProxyManager", "manager"),
        ("ray::ProxyActor", "ray::ProxyActor", "proxy"),
        ("ray::ServeContr", "ray::ServeController.listen_for_change", "controller"),
        ("haproxy", "/somewhere/haproxy -db -f /tmp/haproxy.cfg", "haproxy"),
        ("raylet", "/somewhere/raylet --raylet_socket_name=x", "raylet"),
        ("gcs_server", "/somewhere/gcs_server", "gcs"),
        ("ray::IDLE", "ray::IDLE", None),
        ("python", "python -m serve_app.cluster.told_run ServeController", None),
    ],
)
def test_a_process_is_known_by_what_linux_shows_of_it(
    program: str, command_line: str, part: str | None
) -> None:
    """A fault that hits another process than it says would make the report worthless."""
    assert part_of(program, command_line) == part


def test_every_fault_has_a_name_of_its_own_and_a_server_to_break() -> None:
    """And the short form breaks something that there is in each mode."""
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert set(SHORT) <= set(names)
    assert all(set(fault.modes) <= set(MODES) for fault in FAULTS)
    assert all(set(fault.placements) <= set(PLACEMENTS) for fault in FAULTS)
    assert expected("fast", "isolated", 2)["isolated"] == 2
    assert "haproxy" not in expected("plain", "in_server", 2)


def test_with_one_replica_nothing_waits_for_a_second_one() -> None:
    """Of no process that has replicas; the others are there once either way."""
    one, two = (expected("fast", "isolated", replicas) for replicas in (1, 2))
    assert {part for part in two if one[part] != two[part]} == {"server", "isolated"}
    assert {one["server"], one["isolated"]} == {1}
    with own_place() as place:
        config = config_of(place, "store", "isolated", 1)
    scaling = [
        deployment["autoscaling_config"]
        for application in config["applications"]
        for deployment in application["deployments"]
        if "autoscaling_config" in deployment
    ]
    assert {(found["min_replicas"], found["max_replicas"]) for found in scaling} == {(1, 1)}


def test_the_figure_with_one_replica_is_told_and_no_share_is_expected() -> None:
    """While it starts again nobody answers; wrong answers and what never heals are missed still."""
    lost = replace(GOOD, failed={NO_ANSWER: 500})
    one = replace(part(lost), replicas=1)
    assert missed(part(lost))
    assert missed(one) == []
    assert "## fast, in_server, one replica\n\n" in markdown([one], {})
    assert "95.000 % of those" in markdown([one], {})
    assert missed(replace(one, outcomes=[replace(lost, whole_s=None)]))


def test_a_store_that_is_away_closes_and_a_silent_one_says_nothing_until_it_is_back() -> None:
    """Those are two different things to a client: one fails at once, one waits."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        proxy = StoreProxy(target.getsockname()[1])
        port = int(proxy.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            server, _ = target.accept()
            proxy.way = "silent"
            client.sendall(b"question")
            server.settimeout(0.3)
            with pytest.raises(TimeoutError):
                server.recv(100)
            proxy.way = "pass"
            server.settimeout(30)
            assert server.recv(100) == b"question"
        server.close()
        proxy.way = "away"
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert client.recv(100) == b""
        proxy.close()


@pytest.mark.real_time
def test_a_killed_server_and_a_killed_haproxy_are_there_again_and_no_answer_is_wrong(
    tmp_path: Path,
) -> None:
    """The short form, on one server. Ray's own period would leave HAProxy dead for 20 to 30 s."""
    words = ["--short", "--fault", "server", "--fault", "haproxy", "--seconds", "1"]
    command = [sys.executable, "-m", "benchmarks.chaos", *words, "--share", "0.1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    found = json.loads((tmp_path / "chaos.json").read_text())
    (only,) = found
    outcomes = {outcome["fault"]: outcome for outcome in only["outcomes"]}
    assert set(outcomes) == {"server", "haproxy"}, done.stdout + done.stderr
    for outcome in outcomes.values():
        assert outcome["requests"] > 0
        assert WRONG not in outcome["failed"]
        assert outcome["whole_s"] is not None
        assert outcome["left_behind"] == []
    assert "| HAProxy killed |" in (tmp_path / "chaos.md").read_text()
