"""Writes the dashboard for Grafana: five rows, from objectives to the rollout.

    python -m observability.dashboard

What it shows is data in short lines (`panels.py`), and a thousand lines of JSON; a test compares
the two.
"""

import json
from pathlib import Path
from typing import Any

from observability.panels import REQUESTS, ROWS, Panel

TARGET = Path(__file__).parent / "grafana/dashboards/sluice.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH = 24
HEIGHT = 8


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, of_row in ROWS.items():
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        top += 1
        n_columns = 2 if len(of_row) == 4 else 3
        for number, panel in enumerate(of_row):
            width = WIDTH // n_columns
            line, column = divmod(number, n_columns)
            place = {"x": column * width, "y": top + line * HEIGHT, "w": width, "h": HEIGHT}
            panels.append(_graph(len(panels) + 1, panel, place))
        top += HEIGHT * -(-len(of_row) // n_columns)
    return {
        "uid": "sluice",
        "title": "Sluice",
        "tags": ["sluice"],
        "editable": True,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(), _model_variable()]},
        "panels": panels,
    }


def _graph(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": [
            {
                "refId": chr(ord("A") + place_of_query),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for place_of_query, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _model_variable() -> dict[str, Any]:
    query = f"label_values({REQUESTS}, model)"
    return {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "model"},
        "definition": query,
        "refresh": 2,
    }


def text() -> str:
    """The file as it is written."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
