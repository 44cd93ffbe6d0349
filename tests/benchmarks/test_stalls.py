"""The search for bodies that hold up the others: a short form of `python -m benchmarks stalls`."""

from pathlib import Path
from random import Random

from benchmarks.hostile import BATCH, FEEDBACK, MOST_BYTES, SINGLE, changed, random_body
from benchmarks.stalls import OPEN, models, report, search

N_BODIES = 150


def test_hostile_bodies_are_refused_or_answered_row_by_row(tmp_path: Path) -> None:
    """Deep, wide, long, doubled, spoilt: a 4xx, or a 200 with errors in its entries; never a 5xx.

    How long the steps take stands in the report, and is asserted nowhere.
    """
    found = search(seconds=600, seed=3, n_bodies=N_BODIES)
    assert found.n_bodies == sum(found.statuses.values()) == N_BODIES
    assert set(found.statuses) == {200, 400, 404, 413, 422}
    text = report(found, tmp_path)
    assert (tmp_path / "stalls.md").read_text() == text
    assert len(found.longest) == 8 * len(models())
    assert text.count(" ms | ") == len(found.longest) + len(found.gets)


def test_what_anybody_may_ask_is_looked_at_too() -> None:
    """Each open route of each model is answered."""
    found = search(seconds=0, seed=3)
    assert len(found.gets) == len(OPEN) * len(models())
    assert {step.status for step in found.gets} == {200}


def test_the_same_seed_makes_the_same_bodies() -> None:
    """A stall that was found can be looked at again."""
    (spec, *_) = models()

    def bodies(seed: int) -> list[bytes]:
        random = Random(seed)
        made = [random_body(spec, random) for _ in range(20)]
        made += [changed(body, random) for body in made]
        assert {body.path for body in made} == {SINGLE, BATCH, FEEDBACK}
        assert max(len(body.content) for body in made) < 1.5 * MOST_BYTES
        return [body.content for body in made]

    assert bodies(1) == bodies(1)
    assert bodies(1) != bodies(2)
