"""Times are counted so that an objective of 50, 200 or 500 ms can be read off exactly."""

from itertools import pairwise

from serve_app.statistics.histogram import EDGES_S, Histogram


def test_the_objectives_are_edges_and_a_time_at_an_edge_is_within_it() -> None:
    """Prometheus asks for the times of at most `le` seconds."""
    assert {0.05, 0.2, 0.5} <= set(EDGES_S)
    histogram = Histogram()
    for seconds in (0.0004, 0.05, 0.0501, 0.2, 0.5, 7.0):
        histogram.add(seconds)
    found = histogram.up_to()
    assert (found["0.001"], found["0.05"], found["0.2"], found["0.5"]) == (1, 2, 4, 5)
    assert (found["5"], found["+Inf"]) == (5, 6)


def test_the_counts_only_grow_along_the_edges_up_to_infinity() -> None:
    """As a histogram of Prometheus does, in which each bin holds those before."""
    histogram = Histogram()
    for edge in EDGES_S:
        histogram.add(edge)
        histogram.add(2 * edge)
    counts = list(histogram.up_to().values())
    assert len(counts) == len(EDGES_S) + 1
    assert all(one <= next_one for one, next_one in pairwise(counts))
    assert counts[-1] == 2 * len(EDGES_S)
