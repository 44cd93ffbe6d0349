"""All scenarios: each module has a list, and a new one is an entry there."""

from benchmarks.simulator.scenario import Scenario
from benchmarks.simulator.scenarios import (
    broken,
    clients,
    control,
    equal,
    guardrails,
    stalls,
    worse,
)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in [
        *equal.SCENARIOS,
        *clients.SCENARIOS,
        *stalls.SCENARIOS,
        *worse.SCENARIOS,
        *guardrails.SCENARIOS,
        *broken.SCENARIOS,
        *control.SCENARIOS,
    ]
}
