"""What alerts and the dashboard ask Prometheus for."""

import json
import re
from pathlib import Path
from typing import Any

import requests
import yaml
from queries import metric_names

FOLDER = Path(__file__).parents[2] / "observability"
RULE_FILES = sorted((FOLDER / "prometheus/rules").glob("*.yaml"))
DASHBOARD = FOLDER / "grafana/dashboards/sluice.json"
# Prometheus has it of each target.
OF_PROMETHEUS = {"up"}
# Ray's own, which the dashboard shows next to ours.
OF_RAY = {
    "ray_component_cpu_percentage",
    "ray_component_rss_bytes",
    "ray_node_cpu_utilization",
    "ray_serve_deployment_replica_healthy",
}


def rules() -> list[dict[str, Any]]:
    """All rules, alerts and recorded ones."""
    return [
        rule
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard, rows too."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[str]:
    """All queries, those of alerts before those of panels."""
    of_rules = [str(rule["expr"]) for rule in rules()]
    return of_rules + [
        str(target["expr"]) for panel in panels() for target in panel.get("targets", [])
    ]


def recorded() -> set[str]:
    """The names that rules give to what they compute."""
    return {str(rule["record"]) for rule in rules() if "record" in rule}


def names_used() -> set[str]:
    """The metrics that somebody has to export."""
    used = {name for query in queries() for name in metric_names(query)}
    return used - recorded() - OF_PROMETHEUS


def exported(stage: Any) -> dict[str, list[dict[str, str]]]:
    """The labels of all series, by metric, as Prometheus would get them of Ray's agent."""
    text = requests.get(f"http://127.0.0.1:{stage.cluster.metrics_port}/metrics", timeout=60).text
    found: dict[str, list[dict[str, str]]] = {}
    for name, labels in re.findall(r"^([a-zA-Z_:][\w:]*)\{(.*)\} \S+$", text, re.MULTILINE):
        found.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return found
