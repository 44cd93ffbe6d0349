"""Reports of parts: a toy part from two servers to the coordinator and back."""

import asyncio
from typing import Any

import pytest

from serve_app.cluster import heartbeat
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.report import Inbox, Reply, Report


class ToyCounter:
    """The toy's end in a server: counts since the last report, and what it was told."""

    name = "toy"

    def __init__(self) -> None:
        self.n = 0
        self.told: Any = None
        self.alone_s: float | None = None

    def take(self) -> int:
        """What was counted."""
        taken = self.n
        self.n = 0
        return taken

    def follow(self, told: Any) -> None:
        """Remember."""
        self.told = told

    async def alone(self, seconds: float) -> None:
        """Remember for how long."""
        self.alone_s = seconds


class ToySum:
    """The toy's end in the coordinator: the sum over all servers."""

    name = "toy"

    def __init__(self) -> None:
        self.total = 0

    def hear(self, server: str, taken: int, *, is_new: bool) -> None:
        """Add what was not heard before."""
        if is_new:
            self.total += taken

    def tell(self, server: str) -> str:
        """The sum so far."""
        return f"{server}: {self.total}"


class Broken:
    """A part that fails at both ends."""

    name = "broken"

    def take(self) -> Any:
        """Fail."""
        raise ZeroDivisionError

    follow = hear = tell = take


class Line:
    """The way from a server to the coordinator: it may lose the report, or the reply."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.sent: list[Report] = []
        self.loses: str = ""

    async def send(self, report: Report) -> Reply:
        """Carry a report and its reply."""
        self.sent.append(report)
        if self.loses == "report":
            raise ConnectionError
        reply = self.inbox.receive(report)
        if self.loses == "reply":
            raise ConnectionError
        return reply


async def test_a_parts_numbers_are_summed_over_two_servers_and_told_to_each() -> None:
    """One class at each end and one line where it is listed: that is all a part takes."""
    toy_sum = ToySum()
    line = Line(Inbox([toy_sum]))
    counters = {"a": ToyCounter(), "b": ToyCounter()}
    reporters = {name: Heartbeat(name, [toy], line.send) for name, toy in counters.items()}
    for n in (1, 2, 3):
        for name, reporter in reporters.items():
            counters[name].n += n if name == "a" else 10 * n
            assert await reporter.beat()
    assert toy_sum.total == 6 + 60
    assert counters["a"].told == "a: 36"
    assert counters["b"].told == "b: 66"


@pytest.mark.parametrize("lost", ["report", "reply"])
async def test_a_report_that_was_lost_on_its_way_is_counted_once(lost: str) -> None:
    """It is sent again as it was; what came meanwhile is told after it."""
    toy_sum = ToySum()
    line = Line(Inbox([toy_sum]))
    toy = ToyCounter()
    reporter = Heartbeat("a", [toy], line.send)
    toy.n = 5
    line.loses = lost
    assert not await reporter.beat()
    assert not await reporter.beat()
    toy.n = 7
    line.loses = ""
    assert await reporter.beat()
    assert toy_sum.total == 5
    assert line.sent[0] is line.sent[1] is line.sent[2]
    assert await reporter.beat()
    assert toy_sum.total == 12


async def test_a_part_that_fails_keeps_no_other_part_from_working() -> None:
    """It may fail at either end, and the others are taken and told all the same."""
    toy_sum = ToySum()
    toy = ToyCounter()
    reporter = Heartbeat("a", [Broken(), toy], Line(Inbox([Broken(), toy_sum])).send)
    toy.n = 5
    assert await reporter.beat()
    assert (toy_sum.total, toy.told) == (5, "a: 5")


class Deaf(ToySum):
    """The toy's end in a coordinator that does not understand what an older server took."""

    def hear(self, server: str, taken: int, *, is_new: bool) -> None:
        """Fail as where a field is missing."""
        raise AttributeError("of_process")


async def test_a_server_whose_report_is_not_understood_is_told_what_to_do() -> None:
    """It reaches the coordinator, so that nothing else would bring an abort to it."""
    toy = ToyCounter()
    reporter = Heartbeat("a", [toy], Line(Inbox([Deaf()])).send)
    toy.n = 5
    assert await reporter.beat()
    assert toy.told == "a: 0"


async def test_a_part_that_only_one_end_knows_is_passed_over() -> None:
    """During an update one of them is older."""
    toy = ToyCounter()
    assert await Heartbeat("a", [toy], Line(Inbox([])).send).beat()
    assert toy.told is None
    assert await Heartbeat("a", [], Line(Inbox([ToySum()])).send).beat()


def test_two_parts_of_one_name_are_refused() -> None:
    """One would get what the other was told."""
    with pytest.raises(ValueError, match="found toy twice"):
        Inbox([ToySum(), ToySum()])


async def test_a_coordinator_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next report is sent all the same."""
    monkeypatch.setattr(heartbeat, "ANSWER_TIMEOUT_S", 0.01)

    async def never(_: Report) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    assert not await Heartbeat("a", [ToyCounter()], never).beat()
