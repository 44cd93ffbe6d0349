"""What ends a benchmark, each with a message for a person."""


class BenchmarkError(Exception):
    """A run that cannot be believed, or cannot start."""


class WrongAnswers(BenchmarkError):
    """Something else was answered than the fitted pipeline says: then speed means nothing."""


class Skipped(BenchmarkError):
    """A contender that cannot take part on this machine, and why."""
