"""Rates over several servers: the real ends of the report, and a clock that the test moves."""

import pytest
from rated_servers import Load, RatedServers, answered_at_once, ask, caller

RATE = 100.0
BURST = 100
SECONDS = 60
SHOP = caller(RATE, BURST)


def alternating(n_servers: int, every_s: float) -> Load:
    """Three times the rate, on one server after the other."""
    return lambda n, passed_s: 3 * RATE * (n == int(passed_s / every_s) % n_servers)


@pytest.mark.parametrize("n_servers", [2, 10])
@pytest.mark.parametrize("load", ["even", "uneven", "on one", "moving"])
async def test_all_servers_together_answer_the_rate_to_within_10_percent(
    n_servers: int, load: str
) -> None:
    """Three times as much is asked as the key allows, wherever it arrives; a burst comes on top."""
    loads: dict[str, Load] = {
        "even": lambda n, passed_s: 3 * RATE / n_servers,
        "uneven": lambda n, passed_s: 3 * RATE * 0.5 ** (n + 1),
        "on one": lambda n, passed_s: 3 * RATE * (n == 0),
        "moving": alternating(n_servers, 30),
    }
    servers = RatedServers(n_servers)
    await servers.settle()
    n_answered = await servers.answered(SECONDS, SHOP, loads[load])
    assert 0.9 <= n_answered / (RATE * SECONDS) <= 1.1


@pytest.mark.parametrize("n_rows", [10, 100])
async def test_rows_are_counted_and_not_requests(n_rows: int) -> None:
    """A batch of 100 rows costs 100: in batches a client gets as many rows as in single ones."""
    servers = RatedServers(2)
    await servers.settle()
    n_answered = await servers.answered(SECONDS, SHOP, lambda n, passed_s: 1.5 * RATE, n_rows)
    assert 0.9 <= n_answered / (RATE * SECONDS) <= 1.1


@pytest.mark.parametrize("n_servers", [1, 2, 10])
async def test_who_stays_below_the_rate_is_answered(n_servers: int) -> None:
    """Half of what the key allows: no server has too small a share for its part."""
    servers = RatedServers(n_servers)
    await servers.settle()
    n_asked = round(0.5 * RATE * 20)
    n_answered = await servers.answered(20, SHOP, lambda n, passed_s: 0.5 * RATE / n_servers)
    # A row may still be on its way to each of them.
    assert n_answered >= n_asked - n_servers


async def test_a_burst_is_that_of_all_servers_together() -> None:
    """Each has its part, and answers one row more where the part is no whole number."""
    servers = RatedServers(4)
    await servers.settle()
    n_answered = sum(answered_at_once(rates, SHOP) for rates in servers.rates.values())
    assert BURST <= n_answered <= BURST + 4


async def test_what_a_server_had_that_dies_is_used_by_the_others() -> None:
    """A few seconds later the rate is the same with one server less."""
    servers = RatedServers(2)
    await servers.settle()
    await servers.answered(10, SHOP, lambda n, passed_s: 2 * RATE)
    servers.stop(0)
    await servers.answered(6, SHOP, lambda n, passed_s: 2 * RATE)
    n_answered = await servers.answered(30, SHOP, lambda n, passed_s: 2 * RATE)
    assert 0.9 <= n_answered / (RATE * 30) <= 1.1


async def test_a_server_that_starts_answers_at_once_and_no_more_is_answered_in_all() -> None:
    """Also under full load, when the others have nearly all of the rate."""
    servers = RatedServers(2)
    await servers.settle()
    await servers.answered(10, SHOP, lambda n, passed_s: 2 * RATE)
    servers.start(2)
    assert ask(servers.rates[2], SHOP)
    n_answered = await servers.answered(SECONDS, SHOP, lambda n, passed_s: 2 * RATE)
    assert 0.9 <= n_answered / (RATE * SECONDS) <= 1.1


async def test_while_the_coordinator_is_away_and_when_a_new_one_comes_the_rate_holds() -> None:
    """Shares stay as they were; a new coordinator listens before it says anything."""
    servers = RatedServers(2)
    await servers.settle()
    await servers.answered(10, SHOP, lambda n, passed_s: RATE * (1 + 2 * n))
    servers.loses_reports = {0, 1}
    n_answered = await servers.answered(30, SHOP, lambda n, passed_s: RATE * (1 + 2 * n))
    servers.restart_coordinator()
    servers.loses_reports = set()
    n_answered += await servers.answered(30, SHOP, lambda n, passed_s: RATE * (1 + 2 * n))
    assert 0.9 <= n_answered / (RATE * 60) <= 1.1


async def test_a_server_that_lost_its_way_to_the_coordinator_gives_its_share_up() -> None:
    """The coordinator counts it as gone and gives its share to the other, which has it all then."""
    servers = RatedServers(2)
    await servers.settle()
    who = caller(20)
    await servers.answered(10, who, lambda n, passed_s: 50)
    servers.loses_reports = {1}
    await servers.answered(70, who, lambda n, passed_s: 50)
    n_answered = await servers.answered(60, who, lambda n, passed_s: 50)
    assert 0.9 <= n_answered / (20 * 60) <= 1.1
    servers.loses_reports = set()
    await servers.settle()
    assert servers.rates[1].take().share("shop") > 0.3


async def test_replies_that_are_lost_change_little() -> None:
    """A server whose replies are lost keeps its share, and the others take what is left."""
    servers = RatedServers(2)
    await servers.settle()
    n_answered = 0.0
    for n in range(6):
        servers.loses_replies = {n % 2} if n % 3 else set()
        n_answered += await servers.answered(10, SHOP, lambda n, passed_s: 2 * RATE)
    assert 0.9 <= n_answered / (RATE * 60) <= 1.1


async def test_servers_that_never_heard_of_a_coordinator_answer() -> None:
    """Each takes itself for the only one: too much is answered, and nobody waits for nothing."""
    servers = RatedServers(2)
    servers.loses_reports = {0, 1}
    await servers.settle()
    n_answered = await servers.answered(20, SHOP, lambda n, passed_s: 2 * RATE)
    assert n_answered / (RATE * 20) >= 0.9
