"""A clock that stands still until a test lets time pass."""


class SetClock:
    """Seconds that a test sets, as `time.monotonic` would tell them."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s
