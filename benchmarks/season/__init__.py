"""Thirty days of a shop in virtual time, with the real program: drift, labels, retraining."""

from collections.abc import Iterator
from pathlib import Path


def tell(out: Path, *, short: bool) -> Iterator[str]:
    """Play a monsoon and a quiet season, draw them into a folder, and yield what happened."""
    import tempfile

    from benchmarks.season.pictures import draw
    from benchmarks.season.run import FULL, SHORT, first_version, play
    from benchmarks.season.shop import MONSOON, QUIET
    from benchmarks.season.story import story
    from serve_app.bundle.store import FolderStore

    plan = SHORT if short else FULL
    with tempfile.TemporaryDirectory(prefix="sluice-season-") as folder:
        store = FolderStore(Path(folder) / "store")
        first_version(plan, store)
        played = {}
        # The quiet one first: the other one adds a version to the store.
        for name, weather in (("quiet", QUIET), ("monsoon", MONSOON)):
            played[name] = play(weather, plan, Path(folder) / name, store)
            yield f"{name}:"
            yield from (f"  {line}" for line in story(played[name]))
    for path in draw(played["monsoon"], played["quiet"], out, plan.n_days):
        yield str(path)
