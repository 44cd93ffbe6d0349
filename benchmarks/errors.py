"""What ends a benchmark, each with a message for a person."""


class BenchmarkError(Exception):
    """A run that cannot be believed, or cannot start."""


class WrongAnswers(BenchmarkError):
    """A contender answered something else than the fitted pipeline: its speed means nothing."""


class Skipped(BenchmarkError):
    """A contender that cannot take part on this machine, and why."""
