"""Writes the rules of alerts as objects of the Prometheus operator.

    python -m observability.prometheus_rules

The rules have one source, `prometheus/rules/`, which promtool tests; a test compares the two.
"""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
RULES = FOLDER / "prometheus/rules"
TARGET = FOLDER.parent / "k8s/components/monitoring/rules.yaml"
NOTE = (
    "# Written by `python -m observability.prometheus_rules` from observability/prometheus/rules.\n"
)
# What kube-prometheus-stack selects rules by, as it does monitors: the name of its Helm release.
LABELS = {"release": "kube-prometheus-stack"}


class _Literal(yaml.SafeDumper):
    """A text of several lines stays one, so that a person can read it."""

    def represent_str(self, data: str) -> Any:
        """Write it as a block where it has lines."""
        style = "|" if "\n" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Literal.add_representer(str, _Literal.represent_str)


def objects() -> list[dict[str, Any]]:
    """A PrometheusRule for each file of rules."""
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"sluice-{path.stem}", "labels": dict(LABELS)},
            "spec": yaml.safe_load(path.read_text()),
        }
        for path in sorted(RULES.glob("*.yaml"))
    ]


def text() -> str:
    """The file as it is written."""
    return NOTE + yaml.dump_all(objects(), Dumper=_Literal, sort_keys=False, width=1_000)


if __name__ == "__main__":
    TARGET.write_text(text())
