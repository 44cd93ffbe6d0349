"""All scenarios, by name."""

from benchmarks.simulator.scenario import EQUAL, Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in [
        Scenario(
            "equal",
            "equal candidates, own keys, in server, one server",
            EQUAL,
            n_servers=1,
        ),
        Scenario("equal-isolated", "equal candidates, own keys, isolated", EQUAL, placement="isolated"),
    ]
}
