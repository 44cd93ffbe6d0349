"""All runs of all scenarios, side by side in processes."""

import gc
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.errors import BenchmarkError
from benchmarks.simulator.outcome import Outcome, Summary, summarize
from benchmarks.simulator.run import simulate
from benchmarks.simulator.scenario import Scenario
from benchmarks.simulator.scenarios import SCENARIOS

RUNS_A_TASK = 5


def chosen(words: Sequence[str]) -> list[Scenario]:
    """The scenario of this name, or all with one of these words in it. Raises BenchmarkError."""
    found = [
        scenario
        for name, scenario in SCENARIOS.items()
        if not words or name in words or any(word in name for word in set(words) - set(SCENARIOS))
    ]
    if not found:
        raise BenchmarkError(
            f"no scenario has {' or '.join(map(repr, words))} in its name; expected a part of one "
            f"of: {', '.join(SCENARIOS)}"
        )
    return found


def all_runs(
    scenarios: Sequence[Scenario], n_runs: int, seed: int, n_processes: int
) -> Iterator[tuple[Scenario, Summary]]:
    """What became of each scenario, in order, as soon as it is known."""
    seeds = range(seed, seed + n_runs)
    if n_processes == 1:
        for scenario in scenarios:
            outcomes = [simulate(scenario, one) for one in seeds]
            yield scenario, summarize(outcomes, scenario.expected)
        return
    # Ray's modules are a large heap, which need not be looked through again and again.
    with ProcessPoolExecutor(n_processes, get_context("spawn"), initializer=gc.freeze) as pool:
        waiting = [
            (
                scenario,
                [
                    pool.submit(some_runs, scenario.name, seeds[i : i + RUNS_A_TASK])
                    for i in range(0, n_runs, RUNS_A_TASK)
                ],
            )
            for scenario in scenarios
        ]
        for scenario, tasks in waiting:
            outcomes = []
            for task in tasks:
                outcomes += task.result()
            yield scenario, summarize(outcomes, scenario.expected)


def some_runs(name: str, seeds: Sequence[int]) -> list[Outcome]:
    """Runs of one scenario in this process."""
    return [simulate(SCENARIOS[name], seed) for seed in seeds]
