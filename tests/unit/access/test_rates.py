"""A server's end of rate limits: who is counted, what is told, what is kept in memory."""

import pytest
from rated_servers import answered_at_once, ask, caller
from set_clock import SetClock

from serve_app.access.rates import FIRST_SHARE, MOST_KEYS, Rates
from serve_app.access.shares import RatesReply
from serve_app.errors import RateLimited


@pytest.fixture
def clock() -> SetClock:
    """The clock of a server."""
    return SetClock()


@pytest.fixture
def rates(clock: SetClock) -> Rates:
    """A server that has been told that it is the only one."""
    rates = Rates(clock)
    rates.follow(RatesReply({}, 1.0, 1.0))
    return rates


def test_who_has_no_rate_has_no_bound(rates: Rates) -> None:
    """Neither a caller without a key, where none are asked for, nor a key without a rate."""
    assert rates.allowance(None) is None
    assert rates.allowance(caller(None)) is None
    assert rates.take().wants == {}


def test_each_key_has_a_bucket_of_its_own(rates: Rates, clock: SetClock) -> None:
    """One client's load takes nothing from another one."""
    assert answered_at_once(rates, caller(10, 20, "loud")) == 20
    assert answered_at_once(rates, caller(10, 20, "quiet")) == 20
    clock.now_s += 1
    assert answered_at_once(rates, caller(10, 20, "loud")) == 10


def test_without_a_burst_in_the_key_file_it_is_what_comes_in_a_second(rates: Rates) -> None:
    """At least one row: a rate of one in ten seconds answers one."""
    assert answered_at_once(rates, caller(12.5, None, "a")) == 13
    assert answered_at_once(rates, caller(0.1, None, "b")) == 1


def test_a_key_file_that_changes_changes_the_rate_of_a_bucket_in_use(
    rates: Rates, clock: SetClock
) -> None:
    """From the next request on, without giving a new burst."""
    assert answered_at_once(rates, caller(10, 20)) == 20
    clock.now_s += 1
    assert answered_at_once(rates, caller(100, 200)) == 10
    clock.now_s += 1
    assert answered_at_once(rates, caller(100, 200)) == 100


def test_a_refusal_says_when_there_is_room_again(rates: Rates, clock: SetClock) -> None:
    """In whole seconds, at least one, and long enough for the debt of a batch."""
    who = caller(10, 20)
    assert ask(rates, who, 100)
    allowance = rates.allowance(who)
    assert allowance is not None
    assert not rates.refused
    with pytest.raises(RateLimited, match="10 rows a second, and 20 at once") as refused:
        allowance.take_first()
    assert refused.value.headers == {"Retry-After": "9"}
    assert allowance.left == (0, 9)
    assert rates.refused == {"shop": 1}
    clock.now_s += 8
    assert not ask(rates, who)
    clock.now_s += 1
    assert ask(rates, who)
    clock.now_s += 60
    assert answered_at_once(rates, who) == 20


def test_a_request_whose_rows_are_refused_has_paid_one(rates: Rates, clock: SetClock) -> None:
    """It got past the door while the one before it was still being read."""
    who = caller(10, 20)
    first = rates.allowance(who)
    second = rates.allowance(who)
    assert first is not None
    assert second is not None
    first.take_first()
    second.take_first()
    first.take_rest(100)
    with pytest.raises(RateLimited):
        second.take_rest(100)
    # 19 held, less 100 and 1.
    clock.now_s += 8.1
    assert not ask(rates, who)
    clock.now_s += 0.2
    assert ask(rates, who)


def test_a_slow_body_does_not_take_its_rows_from_a_bucket_that_was_forgotten(
    rates: Rates, clock: SetClock
) -> None:
    """Who waits with the body until the bucket is full again pays all the same."""
    who = caller(10, 20)
    slow = rates.allowance(who)
    assert slow is not None
    slow.take_first()
    for _ in range(3):
        clock.now_s += 1
        rates.take()
    slow.take_rest(100)
    assert not ask(rates, who)


def test_a_server_says_what_it_would_use_of_each_key(rates: Rates, clock: SetClock) -> None:
    """What was asked, answered or not, and what is missing; a refused batch counts as the last."""
    rates.take()
    clock.now_s += 1
    for _ in range(30):
        ask(rates, caller(100, 100, "a"))
    for _ in range(30):
        ask(rates, caller(1_000, 30, "b"))
    for _ in range(2):
        ask(rates, caller(1_000, 1, "c"), 100)
    # Asked for and missing: 30 + 30 of 100, 30 + 30 of 1,000, 100 + 100 + 100 of 1,000.
    assert rates.take().wants == pytest.approx({"a": 0.6, "b": 0.06, "c": 0.3})
    clock.now_s += 1
    assert rates.take().wants == {}


def test_shares_are_in_force_from_the_moment_they_are_told(rates: Rates, clock: SetClock) -> None:
    """A tenth of the rate, a quarter of the burst; of a key that is not named, half."""
    rates.follow(RatesReply({"shop": 0.1}, 0.5, 0.25))
    assert answered_at_once(rates, caller(100, 41)) == 11
    assert answered_at_once(rates, caller(100, 41, "other")) == 11
    clock.now_s += 1
    assert answered_at_once(rates, caller(100, 41)) == 10
    clock.now_s += 0.1
    assert answered_at_once(rates, caller(100, 41, "other")) == 11
    told = rates.take()
    assert told.shares == {"shop": 0.1}
    assert told.other_share == 0.5


def test_a_server_that_was_told_nothing_yet_has_a_small_share(clock: SetClock) -> None:
    """A coordinator that only listens changes nothing of it."""
    rates = Rates(clock)
    rates.follow(None)
    assert answered_at_once(rates, caller(100, 101)) == 1 + 100 * FIRST_SHARE
    assert rates.take().other_share == FIRST_SHARE


async def test_without_a_coordinator_shares_stay_and_who_has_none_takes_all(
    rates: Rates, clock: SetClock
) -> None:
    """The shares of all servers add up; one that has just started cannot know of the others."""
    rates.follow(RatesReply({}, 0.25, 0.25))
    await rates.alone(59.0)
    assert answered_at_once(rates, caller(100, 101)) == 26
    new = Rates(clock)
    await new.alone(5.0)
    assert answered_at_once(new, caller(100, 101)) == 101
    new.follow(RatesReply({}, 0.25, 0.25))
    await new.alone(5.0)
    assert answered_at_once(new, caller(100, 101, "other")) == 26


async def test_after_a_minute_alone_a_server_has_no_more_than_one_that_starts(
    rates: Rates,
) -> None:
    """The others may have its share since; what was less stays, and a word puts it right again."""
    shares = {"shop": 0.5, "rare": 0.05}
    rates.follow(RatesReply(shares, 0.5, 0.5))
    await rates.alone(61.0)
    assert rates.take().shares == {"shop": 0.1, "rare": 0.05}
    assert rates.take().other_share == 0.1
    assert answered_at_once(rates, caller(100, 101, "new")) == 11
    rates.follow(RatesReply(shares, 0.5, 0.5))
    assert rates.take().shares == shares


def test_keys_that_are_not_used_take_no_memory(rates: Rates, clock: SetClock) -> None:
    """Of those in use there are at most as many as a key file has: what is reported is bounded."""
    for n in range(MOST_KEYS + 500):
        ask(rates, caller(10, 20, f"key-{n}"))
    assert len(rates.take().wants) == MOST_KEYS
    clock.now_s += 1
    assert rates.take().wants == {}
