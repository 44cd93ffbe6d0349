"""How one limit is shared out among servers, without servers."""

from random import Random

import pytest

from serve_app.access.rates import FIRST_SHARE
from serve_app.access.shares import (
    FLOOR,
    LISTEN_S,
    RESERVE,
    SILENT_S,
    RatesReply,
    RatesReport,
    Shares,
    split,
)


def test_who_wants_little_gets_it_and_the_others_share_the_rest() -> None:
    """No server is slowed down by another one's load as long as it asks for less than its part."""
    small, large, larger = split([0.1, 0.7, 1.0])
    assert small == pytest.approx(0.1)
    assert large == larger == pytest.approx((1 - RESERVE - 0.1) / 2)


def test_a_server_that_asks_for_everything_alone_gets_nearly_everything() -> None:
    """With ten of them, what the idle ones keep is a small part."""
    assert split([1.0]) == [pytest.approx(1 - RESERVE)]
    shares = split([0.0] * 9 + [1.0])
    assert shares[-1] >= 0.96
    assert shares[:-1] == [pytest.approx(FLOOR / 10)] * 9


def test_what_nobody_wants_is_there_for_everybody_and_for_one_more() -> None:
    """A load that moves, or a server that starts, finds something at once."""
    assert split([0.0, 0.0]) == [pytest.approx((1 - RESERVE) / 3, abs=0.02)] * 2
    busy, idle = split([0.4, 0.0])
    assert busy - 0.4 == pytest.approx(idle, abs=0.02)
    assert 0.15 < idle < 1 - busy - 0.15


def test_the_parts_never_add_up_to_more_than_the_limit() -> None:
    """Whatever is wanted, also at the edge where all of it is just enough."""
    rng = Random(1)
    for n in (1, 2, 3, 10, 50):
        for _ in range(200):
            wants = [min(1.0, rng.expovariate(n)) for _ in range(n)]
            shares = split(wants)
            assert sum(shares) <= 1 - RESERVE / 2
            assert min(shares) >= FLOOR / n - 1e-12 or max(wants) > 0.5
        assert sum(split([(1 - RESERVE) / n] * n)) <= 1 - RESERVE + 1e-9


class Server:
    """A server's side of the talk: it has what it was told last."""

    def __init__(self) -> None:
        self.has = RatesReply({}, FIRST_SHARE, FIRST_SHARE)
        self.n_replies = 0

    def talk(self, shares: Shares, name: str, wants: dict[str, float], *, lost: bool) -> None:
        """Report and follow, or lose the reply."""
        shares.hear(name, RatesReport(wants, self.has.shares, self.has.other_share), is_new=True)
        told = shares.tell(name)
        if told is not None and not lost:
            self.has = told
            self.n_replies += 1


def test_what_servers_have_stays_within_the_limit_while_they_come_go_and_want_other_things() -> (
    None
):
    """A server gets more only of what the others were told to give back.

    Only one that has just started has a part before anybody knows of it, until the others reported.
    """
    rng = Random(2)
    now_s = 0.0
    shares = Shares(lambda: now_s)
    servers = {"server-0": Server(), "server-1": Server()}
    for step in range(800):
        now_s += 0.25
        if step % 50 == 49 and len(servers) < 6:
            servers[f"server-{step}"] = Server()
        if step % 80 == 79 and len(servers) > 1:
            del servers[rng.choice(list(servers))]
        for name, server in servers.items():
            wants = {key: rng.random() ** 3 for key in ("a", "b", "c") if rng.random() < 0.5}
            server.talk(shares, name, wants, lost=False)
        n_new = sum(server.n_replies < 2 for server in servers.values())
        for key in ("a", "b", "c", "nobody's"):
            total = sum(server.has.share(key) for server in servers.values())
            assert total <= 1.0 + n_new * FIRST_SHARE + 1e-9


def test_a_reply_that_is_lost_is_made_up_for_with_the_next_report() -> None:
    """The server tells what it has, and the others get less until it has less."""
    now_s = 0.0
    shares = Shares(lambda: now_s)
    now_s = 10.0
    one, other = Server(), Server()
    for _ in range(4):
        now_s += 1
        one.talk(shares, "one", {"shop": 1.0}, lost=False)
        other.talk(shares, "other", {}, lost=False)
    assert one.has.share("shop") > 0.9
    for _ in range(4):
        now_s += 1
        one.talk(shares, "one", {}, lost=True)
        one.talk(shares, "one", {}, lost=True)
        other.talk(shares, "other", {"shop": 1.0}, lost=False)
    now_s += 1
    one.talk(shares, "one", {}, lost=False)
    other.talk(shares, "other", {"shop": 1.0}, lost=False)
    assert other.has.share("shop") > 0.9
    assert one.has.share("shop") + other.has.share("shop") <= 1.0


def test_a_coordinator_that_starts_first_hears_what_all_servers_have() -> None:
    """It would else give the first one what the second one has."""
    now_s = 0.0
    shares = Shares(lambda: now_s)
    one = Server()
    one.has = RatesReply({}, 0.5, 0.5)
    one.talk(shares, "one", {"shop": 1.0}, lost=False)
    assert one.has == RatesReply({}, 0.5, 0.5)
    now_s = LISTEN_S
    one.talk(shares, "one", {"shop": 1.0}, lost=False)
    assert one.has.share("shop") == pytest.approx(1 - RESERVE)


def test_what_a_server_had_that_is_gone_is_there_for_the_others() -> None:
    """After the seconds in which one that lives would have reported."""
    now_s = 0.0
    shares = Shares(lambda: now_s)
    now_s = 10.0
    one, other = Server(), Server()
    for _ in range(4):
        now_s += 1
        one.talk(shares, "one", {"shop": 1.0}, lost=False)
        other.talk(shares, "other", {"shop": 1.0}, lost=False)
    assert one.has.share("shop") == pytest.approx((1 - RESERVE) / 2)
    now_s += SILENT_S
    one.talk(shares, "one", {"shop": 1.0}, lost=False)
    assert one.has.share("shop") == pytest.approx(1 - RESERVE)
    assert one.has.burst_share == 1.0


def test_a_key_that_nobody_asks_with_any_more_is_forgotten() -> None:
    """What is told each second is as long as the list of keys in use, not of all that ever were."""
    now_s = 10.0
    shares = Shares(lambda: now_s)
    servers = {"one": Server(), "other": Server()}
    for step in range(20):
        now_s += 1
        for name, server in servers.items():
            wants = {"shop": 1.0} if step < 10 and name == "one" else {}
            server.talk(shares, name, wants, lost=False)
        if step == 9:
            assert servers["one"].has.shares.keys() == {"shop"}
    assert not servers["one"].has.shares
    assert not servers["other"].has.shares
