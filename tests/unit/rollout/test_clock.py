"""Times of a rollout go forward, whatever becomes of the machine's clock."""

import pytest

from serve_app.rollout.clock import SteadyClock


class Machine:
    """A clock of the day, which somebody sets, and one that only counts."""

    def __init__(self) -> None:
        self.day_s = 1_800_000_000.0
        self.ticks_s = 50.0

    def pass_by(self, seconds: float) -> None:
        """Let this time pass for both."""
        self.day_s += seconds
        self.ticks_s += seconds


@pytest.mark.parametrize("jump_s", [-3_600.0, 3_600.0])
def test_a_clock_that_is_set_ends_no_step_and_holds_none_up(jump_s: float) -> None:
    """A step of five minutes takes five minutes, also where the clock jumps in the middle."""
    machine = Machine()
    clock = SteadyClock(lambda: machine.day_s, lambda: machine.ticks_s)
    begin_s = clock()
    assert begin_s == 1_800_000_000.0
    machine.pass_by(100)
    machine.day_s += jump_s
    machine.pass_by(200)
    assert clock() - begin_s == 300


def test_no_time_lies_before_what_another_machine_has_written() -> None:
    """Its clock is an hour ahead: what this one writes comes after it, and goes on from there."""
    machine = Machine()
    clock = SteadyClock(lambda: machine.day_s, lambda: machine.ticks_s)
    ahead_s = clock() + 3_600
    clock.not_before(ahead_s)
    assert clock() == ahead_s
    clock.not_before(ahead_s - 7_200)
    machine.pass_by(10)
    assert clock() == ahead_s + 10
