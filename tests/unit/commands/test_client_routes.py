"""What a gateway passes to the servers: the questions of clients, for every model of the file."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from manifests import ROOT, of_kind, validate

from serve_app.commands.client_routes import CLIENT_PATHS, http_routes, ingress
from serve_app.commands.cluster_config import read_config

SERVER = "serve_app.app:server"
SHOP = {
    "applications": [
        {"name": "Shop_Loan", "route_prefix": "/loan/", "import_path": SERVER},
        {"name": "churn", "import_path": SERVER},
        {"name": "churn-1.1.0", "route_prefix": None, "import_path": "serve_app.app:version"},
        {"name": "hidden", "route_prefix": None, "import_path": SERVER},
    ]
}


def operations() -> Iterator[tuple[str, str, str]]:
    """Path, method and tag of all that the servers' documents of their interface have."""
    for file in sorted((ROOT / "tests" / "openapi").glob("*.json")):
        for path, methods in json.loads(file.read_text())["paths"].items():
            for method, operation in methods.items():
                yield path, method, operation["tags"][0]


def passes(routes: list[dict[str, Any]], path: str) -> bool:
    """Whether a gateway has a rule for this path; all rules are exact."""
    return any(
        match["path"]["value"] == path
        for route in routes
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    )


def shipped() -> list[dict[str, Any]]:
    """The routes of base."""
    text = (ROOT / "k8s" / "base" / "route.yaml").read_text()
    return list(yaml.safe_load_all(text))


def shipped_ingress() -> dict[str, Any]:
    """The Ingress of the component."""
    text = (ROOT / "k8s" / "components" / "ingress" / "ingress.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.mark.parametrize("prefix", ["", "/delivery-time"])
def test_clients_can_predict_and_command_nothing(prefix: str) -> None:
    """Of all routes that a server has: each prediction is passed, and no other POST is."""
    routes = shipped()
    ways = {entry["path"] for entry in shipped_ingress()["spec"]["rules"][0]["http"]["paths"]}
    commands = 0
    for path, method, tag in operations():
        written = re.sub(r"\{\w+\}", "out", prefix + path)
        if tag == "predictions":
            assert passes(routes, written), written
            assert written in ways
        elif method == "post":
            commands += 1
            assert not passes(routes, written), written
            assert written not in ways
    assert commands, "nothing that must be refused was looked at"


def test_the_routes_of_operators_are_not_there_to_be_read_either() -> None:
    """A rollout's page has names of people and reasons."""
    assert not passes(shipped(), "/v1/rollout")
    assert not passes(shipped(), "/")


def test_no_rule_is_wider_than_one_path() -> None:
    """A prefix would pass what is added to the servers later, such as feedback."""
    kinds = {
        match["path"]["type"]
        for route in shipped()
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    }
    assert kinds == {"Exact"}
    paths = shipped_ingress()["spec"]["rules"][0]["http"]["paths"]
    assert {entry["pathType"] for entry in paths} == {"Exact"}


def test_every_path_that_is_passed_is_a_route_of_the_servers() -> None:
    """What is renamed there must not be left here."""
    assert set(CLIENT_PATHS) <= {path for path, _, _ in operations()}


def test_every_model_with_a_prefix_has_a_route_of_its_own() -> None:
    """One that is reached by handles alone has none; a name is one that Kubernetes takes."""
    routes = list(yaml.safe_load_all(http_routes(SHOP, "shop")))
    assert [route["metadata"]["name"] for route in routes] == ["shop-shop-loan", "shop-churn"]
    assert passes(routes, "/loan/v1/predict")
    assert passes(routes, "/v1/predict/batch")
    backends = [route["spec"]["rules"][0]["backendRefs"] for route in routes]
    assert backends == [[{"name": "shop-serve-svc", "port": 8000}]] * 2
    assert ingress(SHOP, "shop").count("path: /loan/v1/predict\n") == 1


def test_a_route_fits_gateways_of_the_first_version() -> None:
    """Gateway API 1.0 takes eight matches a rule, and 16 rules."""
    for route in of_kind(shipped(), "HTTPRoute"):
        assert len(route["spec"]["rules"]) == 1
        assert len(route["spec"]["rules"][0]["matches"]) <= 8


def test_the_ingress_is_one_of_kubernetes() -> None:
    """By the schema, with unknown fields refused."""
    validate(shipped_ingress())


def test_the_shipped_routes_are_what_make_manifests_writes() -> None:
    """They are there for all models of serve_config.yaml."""
    config = read_config(ROOT / "serve_config.yaml")
    assert (ROOT / "k8s/base/route.yaml").read_text() == http_routes(config)
    assert (ROOT / "k8s/components/ingress/ingress.yaml").read_text() == ingress(config)
    models = {app["name"] for app in config["applications"]}
    assert len(shipped()) == len(models)
