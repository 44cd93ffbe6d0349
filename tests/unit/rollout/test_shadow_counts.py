"""What was scored in shadow is summed for the metrics, whatever the reports take away."""

from fakes import until
from rollout_server import Server
from watching import CANDIDATE

from serve_app.rollout.counts import Shadowed, Slice
from serve_app.rollout.shadow_counts import ShadowCounts


async def test_rows_in_shadow_are_summed_over_reports() -> None:
    """Each report takes its own counts; the sums stay, by agreement."""
    server = await Server().start(0, shadow=True)
    for n in range(4):
        await server.ask(f"key {n}", n_rows=2)
        await until(lambda: not server.rollout.is_shadowing)
        server.report()
    rows = server.rollout.shadowed.rows
    assert rows[CANDIDATE, "agrees"] + rows[CANDIDATE, "disagrees"] == 8
    assert rows[CANDIDATE, "disagrees"] == 8, "0.9 where stable says 0.1"
    assert server.rollout.shadowed.missed[(CANDIDATE,)] == 0


def test_what_was_dropped_and_missed_is_told_apart() -> None:
    """A candidate that is busy is another matter than one that is late."""
    counts = ShadowCounts()
    told = Shadowed(whole=Slice(10, 3), n_requests=10, n_missed=2, n_dropped=5)
    for _ in range(2):
        counts.add("1.1.0", told)
    assert dict(counts.rows) == {
        ("1.1.0", "agrees"): 14,
        ("1.1.0", "disagrees"): 6,
        ("1.1.0", "dropped"): 10,
    }
    assert dict(counts.missed) == {("1.1.0",): 4}
