"""Alerts and dashboard ask for metrics that exist, and each alert says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from observed import (
    DASHBOARD,
    FOLDER,
    OF_PROMETHEUS,
    OF_RAY,
    RULE_FILES,
    names_used,
    panels,
    queries,
    recorded,
    rules,
)
from queries import labels_of, metric_names, unbalanced

from observability import dashboard, prometheus_rules
from serve_app.cluster.declared_metrics import DECLARED

ROOT = FOLDER.parent
# Labels of each metric of a replica: ours, and those that Ray adds.
EVERYWHERE = {"model", "application", "deployment", "replica"}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool: Debian's package prometheus has it"
)


def promtool(*words: Any) -> str:
    """What promtool says; it fails the test when promtool finds a fault."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *map(str, words)], capture_output=True, text=True, cwd=FOLDER / "prometheus"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_can_read_its_configuration_and_all_rules() -> None:
    """With each function and type checked by the parser of Prometheus itself."""
    said = promtool("check", "config", "prometheus.yml")
    assert f"{len(RULE_FILES)} rule files found" in said


@needs_promtool
@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_alerts_are_raised_by_what_they_are_for_and_by_nothing_else(path: Path) -> None:
    """Each file of rules has one of tests, in which made-up numbers go by."""
    tests = FOLDER / "prometheus/tests" / path.name
    tested = tests.read_text()
    for rule in yaml.safe_load(path.read_text())["groups"][-1]["rules"]:
        assert f"alertname: {rule['alert']}" in tested, f"{tests.name}: {rule['alert']}"
    promtool("test", "rules", f"tests/{path.name}")


@needs_promtool
def test_prometheus_can_read_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    """As rules, with the variables of Grafana filled in."""
    asked = [
        {
            "record": f"of:panel{number}",
            "expr": query.replace("$__rate_interval", "5m").replace("$model", "churn"),
        }
        for number, query in enumerate(queries())
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    promtool("check", "rules", path)


def test_alerts_and_dashboard_ask_for_metrics_that_somebody_exports() -> None:
    """Ours are declared in one table, Ray's are listed, and recorded ones are recorded."""
    known = {metric.exported_name for metric in DECLARED} | OF_RAY
    assert names_used() <= known
    assert {name for name in names_used() if name.startswith("ray_sluice")}
    assert {
        name for query in queries() for name in metric_names(query) if ":" in name
    } == recorded()


def test_every_metric_of_ours_is_on_the_dashboard_or_raises_an_alert() -> None:
    """What nobody looks at need not be counted; the sum of times is for whoever wants a mean."""
    declared = {metric.exported_name for metric in DECLARED}
    assert declared - names_used() == {"ray_sluice_request_seconds_total"}


def test_queries_pick_by_labels_that_their_metric_has() -> None:
    """A label that is spelt wrong finds nothing, and raises no alert for ever."""
    tags = {metric.exported_name: {*metric.tags, *EVERYWHERE} for metric in DECLARED}
    tags |= {name: {"model"} for name in recorded()}
    tags |= {name: {"job", "instance"} for name in OF_PROMETHEUS}
    tags |= {name: {"Component", "application", "deployment"} for name in OF_RAY}
    for query in queries():
        assert not unbalanced(query), query
        for name, labels in labels_of(query).items():
            assert labels <= tags[name], query


def test_each_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    """Its section in docs/alerts.md is what a person reads at night, and there is no other."""
    page = (ROOT / "docs/alerts.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    assert headings == set(alerts)
    assert len(alerts) == sum("alert" in rule for rule in rules())
    for name, rule in alerts.items():
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{name.lower()}"
        assert rule["annotations"]["summary"], name
        assert rule["annotations"]["description"], name


def test_the_dashboard_is_what_its_program_writes() -> None:
    """Whoever changes the program writes the file again: `python -m observability.dashboard`."""
    assert DASHBOARD.read_text() == dashboard.text()


def test_the_prometheus_operator_gets_the_same_rules() -> None:
    """Whoever changes a rule writes the file again: `python -m observability.prometheus_rules`."""
    path = prometheus_rules.TARGET
    assert path.read_text() == prometheus_rules.text()
    found = list(yaml.safe_load_all(path.read_text()))
    assert {one["kind"] for one in found} == {"PrometheusRule"}
    groups = [group for one in found for group in one["spec"]["groups"]]
    assert [rule for group in groups for rule in group["rules"]] == rules()
    for one in found:
        assert re.fullmatch(r"[a-z][a-z-]{0,62}", one["metadata"]["name"])
    assert path.name in (path.parent / "kustomization.yaml").read_text()


def test_a_pod_that_the_operator_cannot_scrape_is_of_the_job_that_the_alert_asks_for() -> None:
    """By itself the operator calls the job after namespace and monitor."""
    monitor = yaml.safe_load((prometheus_rules.TARGET.parent / "podmonitor.yaml").read_text())
    [alert] = [rule for rule in rules() if rule.get("alert") == "SluiceNotScraped"]
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        [job] = [one for one in endpoint["relabelings"] if one["targetLabel"] == "job"]
        assert f'job="{job["replacement"]}"' in alert["expr"]
        assert "sourceLabels" not in job


def test_the_dashboard_has_five_rows_whose_panels_do_not_overlap() -> None:
    """From what users feel to how a rollout goes."""
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    assert rows == ["Objectives", "Per version", "Capacity", "Data", "Rollout"]
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= dashboard.WIDTH
        taken |= cells


def test_a_query_that_names_nothing_known_is_found() -> None:
    """The reader of queries sees names, labels and brackets, and no text for a name."""
    query = 'sum by (model, le) (rate(ray_a_total{code=~"5..",x!="ray_b"}[5m])) / 2 > up or b:c:d1h'
    assert metric_names(query) == {"ray_a_total", "up", "b:c:d1h"}
    assert labels_of(query) == {"ray_a_total": {"code", "x"}}
    assert unbalanced(query) == ""
    assert unbalanced("sum(rate(x[5m])") == "("
    assert unbalanced('x{a="(("}') == ""
    assert unbalanced("x)") == ")"


def test_compose_includes_prometheus_and_grafana_with_files_that_are_there() -> None:
    """Paths of an included file are those of its own folder. It is an error where both name one
    thing, and all are in one network as long as nobody names another.
    """
    whole = yaml.safe_load((ROOT / "compose.yaml").read_text())
    included = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert [ROOT / path for path in whole["include"]] == [FOLDER / "compose.yaml"]
    assert set(included) == {"services", "volumes"}
    for kind in included:
        assert not set(included[kind]) & set(whole[kind]), kind
    base = whole["services"]
    more = included["services"]
    assert set(more) == {"prometheus", "grafana"}
    assert not [name for name, service in {**base, **more}.items() if "networks" in service]
    for name in more:
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", more[name]["image"])
        for volume in more[name]["volumes"]:
            source = volume.split(":")[0]
            is_there = (FOLDER / source).exists()
            assert is_there if source.startswith(".") else source in included["volumes"], volume
        for port in more[name]["ports"]:
            assert port.startswith("127.0.0.1:"), "for this machine alone"
    scraped = yaml.safe_load((FOLDER / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    port = base["sluice"]["environment"]["SLUICE_METRICS_PORT"]
    assert scraped[0]["static_configs"][0]["targets"] == [f"sluice:{port}"]


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    """The folder that compose mounts is the one that is provisioned."""
    provisioning = FOLDER / "grafana/provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards/sluice.yaml").read_text())["providers"]
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    compose = (FOLDER / "compose.yaml").read_text()
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose
    assert source["url"] == "http://prometheus:9090"
    variables = {one["name"] for one in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    assert variables == {"source", "model"}
