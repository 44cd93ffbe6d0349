"""Models whose call is expensive, which the batch saves.

A big forest, and a pipeline that only scikit-learn can run.
"""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import run as side_by_side
from benchmarks.bundles import FOREST, UNCOMPILED, hard_store
from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.contenders.fastapi import TUTORIAL
from benchmarks.contenders.sluice import base_config, isolate, pinned, server_of, up
from benchmarks.place import Place
from benchmarks.plan import CEILING, Cell, Plan
from benchmarks.report import contender_table
from benchmarks.summary import Summary, summarize

KINDS = {FOREST: "forest", UNCOMPILED: "scikit-learn only"}
CELLS = (Cell(1, 1), CEILING, Cell(100, 1), Cell(100, 32))
PLAN = Plan(CELLS, cell_s=5, warm_s=3, load_shares=(0.6,), steady_s=8, rounds=2)
SHORT = Plan((Cell(1, 1), CEILING), cell_s=2, warm_s=1, load_shares=(0.6,), steady_s=2, rounds=1)


def run(out: Path, console: Console, *, short: bool) -> dict[str, dict[str, Summary]]:
    """Measure every way to serve each model, as JSON and Markdown; answers are compared."""
    folder = hard_store(KINDS, console)
    found: dict[str, dict[str, Summary]] = {}
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for version, kind in KINDS.items():
        outcome = side_by_side.run(
            (*WAYS, TUTORIAL), folder / version, SHORT if short else PLAN, console
        )
        found[kind] = summarize(outcome)
        (out / f"heavy-{version}.json").write_text(json.dumps(asdict(outcome), indent=1))
        parts.append(f"## {kind}\n\n{contender_table(found[kind])}\n")
    (out / "heavy.md").write_text("\n".join(parts))
    return found


def _way(name: str, coalesce: str, *, isolated: bool = False) -> Contender:
    def launch(place: Place, bundle: Path) -> Launch:
        config = pinned(base_config(place, bundle))
        if isolated:
            isolate(config, bundle.name, min_replicas=1, max_replicas=1)
        server_of(config)["user_config"]["versions"][bundle.name]["coalesce"] = coalesce
        return up(place, config)

    return Contender(name, name, "sluice", launch, SLUICE)


WAYS = (
    _way("sluice-auto", "auto"),
    _way("sluice-always", "always"),
    _way("sluice-never", "never"),
    _way("sluice-isolated", "auto", isolated=True),
)
