"""`sluice check` on small changes of the shipped file: what it says, where, and in which line."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from checking import (
    ISOLATED,
    ROOT,
    SERVER,
    SHIPPED,
    TABLE,
    Report,
    changed,
    check_file,
    manifest_of,
    report_on,
    store_of_manifests,
    uncommented,
)
from typer.testing import CliRunner

from serve_app.bundle.manifest import MANIFEST
from serve_app.bundle.store import FolderStore
from serve_app.commands.check.rayservice import check_rayservice
from serve_app.commands.main import app
from serve_app.models import get_spec


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store with version 1.0.0 of every model."""
    return store_of_manifests(tmp_path / "store", monkeypatch, "1.0.0")


def said_at(report: Report, line: int) -> list[str]:
    """The faults of a line, without file and line number."""
    return [
        report.line(f).removeprefix(f"{report.path}:{line}: ")
        for f in report.faults
        if f.line == line
    ]


def said_once(report: Report, line: int) -> str:
    """The only fault of the report, which is in this line."""
    assert [fault.line for fault in report.faults] == [line], [
        report.line(fault) for fault in report.faults
    ]
    return said_at(report, line)[0]


# What stands in the shipped file, what stands there instead, and what is said of it (place, hint).
UNKNOWN_KEYS = [
    ("proxy_location:", "proxy_locaton:", "proxy_locaton", "did you mean proxy_location?"),
    ("logging_config:", "host: x§\nlogging_config:", "host", "it belongs in http_options"),
    ("  port: 8000", "  prt: 8000", "http_options.prt", "did you mean port?"),
    (
        "enable_access_log",
        "access_log",
        "logging_config.access_log",
        "did you mean enable_access_log?",
    ),
    (
        "  args:",
        "  num_replicas: 2§\n  args:",
        "applications[churn].num_replicas",
        "it belongs in deployments",
    ),
    (
        "    store: model_store",
        "    stor: model_store",
        "applications[churn].args.stor",
        "did you mean store?",
    ),
    (
        "min_replicas: 1",
        "min_replica: 1",
        f"{SERVER}.autoscaling_config.min_replica",
        "did you mean min_replicas?",
    ),
    (
        "max_surge_percent: 100",
        "max_surge_percent: 100\n    num_cpus: 1",
        f"{SERVER}.num_cpus",
        "in ray_actor_options",
    ),
    (
        "num_cpus: 0.4",
        "num_cpu: 0.4",
        f"{SERVER}.ray_actor_options.num_cpu",
        "did you mean num_cpus?",
    ),
    (
        "      retry_after_s: 1",
        "      retry_after: 1",
        f"{SERVER}.backpressure_config.retry_after",
        "retry_after_s?",
    ),
    (
        "    health_check_period_s: 5",
        "    request_router_config: {max_backof_s: 1}",
        f"{SERVER}.request_router_config.max_backof_s",
        "did you mean max_backoff_s?",
    ),
    (
        'policy: {policy_function: "serve_app.scaling:by_load"}',
        "policy: {policy_args: {}}",
        f"{SERVER}.autoscaling_config.policy.policy_args",
        "did you mean policy_kwargs?",
    ),
    (
        "coalesce: auto",
        "coalese: auto",
        f"{TABLE}.versions[1.0.0].coalese",
        "did you mean coalesce?",
    ),
    (
        "deadline_ms: 2000",
        "dedline_ms: 2000",
        f"{TABLE}.limits.dedline_ms",
        "did you mean deadline_ms?",
    ),
]

WRONG_VALUES = [
    (
        "  - name: Server\n",
        "  - §max_replicas_per_node: 1\n",
        "applications[churn].deployments[0].name",
        "it is required",
    ),
    (
        "  - name: Server\n",
        "  - name: Server§\n    num_replicas: 2\n",
        SERVER,
        "when autoscaling_config is provided",
    ),
    (
        "max_replicas: 2",
        "initial_replicas: 3\n      max_replicas: 2",
        f"{SERVER}.autoscaling_config.max_replicas",
        "must be greater than or equal to initial_replicas (3)",
    ),
    (
        "proxy_location: EveryNode",
        "proxy_location: Everywhere",
        "proxy_location",
        "expected 'Disabled', 'HeadOnly'",
    ),
    ("  port: 8000", "  port: http", "http_options.port", "expected a valid integer"),
    (
        "min_replicas: 1",
        "min_replicas: -1",
        f"{SERVER}.autoscaling_config.min_replicas",
        "greater than or equal to 0",
    ),
    (
        "status_code: 429",
        "status_code: 404",
        f"{SERVER}.backpressure_config.status_code",
        "expected 503 or 429",
    ),
    (
        "max_surge_percent: 100",
        "max_surge_percent: 101",
        f"{SERVER}.max_surge_percent",
        "less than or equal to 100",
    ),
    (
        "max_ongoing_requests: 64",
        "max_ongoing_requests: 0",
        f"{SERVER}.max_ongoing_requests",
        "greater than 0",
    ),
    (
        "max_queued_requests: 32",
        "max_queued_requests: 0",
        f"{SERVER}.max_queued_requests",
        "positive integer",
    ),
    (
        'stable: "1.0.0"',
        "stable: 1.0",
        f"{TABLE}.stable",
        "expected a valid string: write it in quotes",
    ),
    (
        '        "1.0.0":',
        '        "1.0":',
        f"{TABLE}.versions[1.0]",
        "expected a version such as 1.0.0",
    ),
    ("max_rows: 256", "max_rows: 0", f"{TABLE}.batch.max_rows", "greater than or equal to 1"),
    (
        "coalesce: auto",
        "manifest_sha256: abc",
        f"{TABLE}.versions[1.0.0].manifest_sha256",
        "64 hexadecimal digits",
    ),
    (
        "coalesce: auto",
        "weight_percent: 5",
        f"{TABLE}.versions[1.0.0].weight_percent",
        "stable takes what the others",
    ),
    (
        "deadline_ms: 150",
        "deadline_ms: 9000",
        f"{TABLE}.limits.candidate_deadline_ms",
        "expected less than deadline_ms",
    ),
    (
        "  port: 8000",
        "  port: 8000\n  port: 8001",
        "http_options.port",
        "the key stands twice, first in line 8",
    ),
    (
        "  - name: Server",
        "  - Server§\n  - name: Server",
        "applications[churn].deployments[0]",
        "found text, expected a mapping",
    ),
]

RULES = [
    (
        "app:server",
        "app:serve",
        "applications[churn].import_path",
        "expected serve_app.app:server or serve_app.app:ver",
    ),
    (
        "model: churn ",
        "model: chrun ",
        "applications[churn].args.model",
        "expected one of churn, delivery_time",
    ),
    (
        "  - name: Server",
        "  - name: Srver",
        "applications[churn].deployments[Srver].name",
        "expected Server",
    ),
    (
        "route_prefix: /\n",
        "route_prefix: null\n",
        "applications[churn].route_prefix",
        "expected a path such as /",
    ),
    (
        "route_prefix: /d",
        "route_prefix: d",
        "applications[delivery_time].route_prefix",
        "expected a path that begins",
    ),
    (
        "_prefix: /delivery-time",
        "_prefix: /",
        "applications[delivery_time].route_prefix",
        "which application churn above",
    ),
    (
        "- name: delivery_time",
        "- name: churn",
        "applications[churn].name",
        "which application churn above has too",
    ),
    ("  port: 8000", "  port: 80000", "http_options.port", "found 80000, expected 1 to 65535"),
    ("  port: 8000", "  port: 65536", "http_options.port", "found 65536, expected 1 to 65535"),
    ("  port: 8000", "  port: 0", "http_options.port", "found 0, expected 1 to 65535"),
    ("  port: 8000", "  port: -1", "http_options.port", "found -1, expected 1 to 65535"),
    (
        "request_timeout_s: 10",
        "request_timeout_s: 2",
        "http_options.request_timeout_s",
        "deadline_ms of delivery_time (2000 ms)",
    ),
    (
        "coalesce: auto",
        "placement: isolated",
        f"{TABLE}.versions[1.0.0].placement",
        "an application churn-1.0.0 in this",
    ),
]

WARNINGS = [
    (
        "request_timeout_s: 10",
        "request_timeout_s: null",
        "http_options.request_timeout_s",
        "wait forever",
    ),
    (
        "max_surge_percent: 100",
        "max_surge_percent: 0",
        f"{SERVER}.max_surge_percent",
        "an update is an outage",
    ),
    (
        "max_queued_requests: 32",
        "max_queued_requests: -1",
        f"{SERVER}.max_queued_requests",
        "instead of a 429",
    ),
    (
        "upscale_delay_s: 5",
        "look_back_period_s: 5",
        f"{SERVER}.autoscaling_config.look_back_period_s",
        "greater than",
    ),
]

ISOLATED_RULES = [
    (
        "- name: churn-1.1.0",
        "- name: churn_1.1.0",
        "applications[churn_1.1.0].name",
        "expected churn-1.1.0",
    ),
    (
        "route_prefix: null",
        "route_prefix: /x",
        f"{ISOLATED}.route_prefix",
        "found /x (Ray's default is /), expected null",
    ),
    (
        "- name: Version",
        "- name: Server",
        f"{ISOLATED}.deployments[Server].name",
        "found Server, expected Version",
    ),
    (
        'version: "1.1.0"',
        "version: 1.1",
        f"{ISOLATED}.args.version",
        "expected a valid string: write it in quotes",
    ),
    (
        "{coalesce: auto",
        "{coalesced: auto",
        f"{ISOLATED}.deployments[Version].user_config.coalesced",
        "mean coalesce?",
    ),
    (
        "placement: isolated",
        "placement: apart",
        f"{TABLE}.versions[1.1.0].placement",
        "'in_server' or 'isolated'",
    ),
    (
        "ongoing_requests: 64\n    max_queued_requests: 256",
        "ongoing_requests: 1§\n    max_queued_requests: 256",
        f"{ISOLATED}.deployments[Version].max_ongoing_requests",
        "2 or more",
    ),
]

NO_DOCUMENT = [
    ("", 1, "found an empty file"),
    ("# nothing\n", 1, "found an empty file"),
    ("\n- name: churn\n", 2, "found a list, expected a mapping"),
    ("http_options:\n\tport: 8000\n", 2, "indent with spaces, not with tabs"),
    ("applications: [\n", 2, "not valid YAML"),
    ("a: 1\n---\nb: 2\n", 2, "but found another document"),
    ("a: &a\n  b: *a\n", 1, "an anchor that contains itself"),
    ("a: 1\nb: 2025-13-01\n", 2, "month must be in 1..12"),
    ("a: 1\nb: !!python/object:os.system x\n", 2, "could not determine a constructor"),
    ("a: \x07\n", 1, "found the character '\\x07'"),
    ("[" * 5_000, 1, "nested too deeply"),
]


def test_the_shipped_file_has_no_faults(tmp_path: Path, store: FolderStore) -> None:
    """What is shipped passes, bundles and two CPUs included, and the summary says what it holds."""
    report = report_on(tmp_path, SHIPPED, n_cpus=2)
    assert not [report.line(fault) for fault in report.faults]
    assert report.summary.endswith(
        "2 applications, 2 models, 2 versions, at most 1.62 CPUs; 0 errors, 0 warnings",
    )


def test_the_commented_example_has_no_faults(tmp_path: Path) -> None:
    """Uncommenting the isolated version gives a file that passes."""
    report = report_on(tmp_path, uncommented(SHIPPED), with_store=False)
    assert not [report.line(fault) for fault in report.faults]
    assert "3 applications, 2 models, 3 versions, at most 1.92 CPUs" in report.summary


@pytest.mark.parametrize(("old", "new", "place", "hint"), UNKNOWN_KEYS)
def test_an_unknown_key_is_refused_at_every_level(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    """Key, place and line are named, with what was probably meant."""
    text, line = changed(SHIPPED, old, new)
    said = said_once(report_on(tmp_path, text, with_store=False), line)
    assert said.startswith(f"{place}: unknown key; ")
    assert hint in said


@pytest.mark.parametrize(("old", "new", "place", "hint"), WRONG_VALUES + RULES)
def test_a_wrong_value_is_refused(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    """Ray's types, our settings and the rules between them give one error each.

    It has the place, the line and what was expected.
    """
    text, line = changed(SHIPPED, old, new)
    said = said_once(report_on(tmp_path, text, with_store=False), line)
    assert said.startswith(f"{place}: ")
    assert hint in said


@pytest.mark.parametrize("port", [1, 65_535])
def test_the_first_and_the_last_port_are_ports(tmp_path: Path, port: int) -> None:
    """No fault is found in them."""
    text, _ = changed(SHIPPED, "  port: 8000", f"  port: {port}")
    assert not report_on(tmp_path, text, with_store=False).faults


@pytest.mark.parametrize(("old", "new", "place", "hint"), ISOLATED_RULES)
def test_a_wrong_isolated_version_is_refused(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    """The application of a version has its own rules: name, no route, deployment, settings."""
    text, line = changed(uncommented(SHIPPED), old, new)
    assert any(
        said.removeprefix("warning: ").startswith(f"{place}: ") and hint in said
        for said in said_at(report_on(tmp_path, text, with_store=False), line)
    )


@pytest.mark.parametrize(("old", "new", "place", "hint"), WARNINGS)
def test_a_risk_is_a_warning_and_does_not_fail(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    """What works until the first bad day is said, and is no error."""
    text, line = changed(SHIPPED, old, new)
    report = report_on(tmp_path, text, with_store=False)
    said = said_once(report, line)
    assert said.startswith(f"warning: {place}: ")
    assert hint in said
    assert report.n_errors == 0


@pytest.mark.parametrize(("text", "line", "hint"), NO_DOCUMENT)
def test_a_file_that_is_no_mapping_is_one_error(
    tmp_path: Path, text: str, line: int, hint: str
) -> None:
    """Broken YAML, an empty file or a list: one error with the line, never a traceback."""
    assert hint in said_once(report_on(tmp_path, text), line)


def test_a_file_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are said, not raised."""
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: é\n".encode("latin-1"))
    assert "cannot be read (No such file" in said_once(check_file(tmp_path / "none.yaml"), 1)
    assert "cannot be read (Is a directory" in said_once(check_file(tmp_path), 1)
    assert "found the byte 0xe9, expected text in UTF-8" in said_once(
        check_file(tmp_path / "latin.yaml"), 2
    )


def test_one_wrong_application_hides_no_fault_of_another(tmp_path: Path) -> None:
    """Every fault is said at once, in the order of the lines."""
    text, first = changed(SHIPPED, "  port: 8000", "  prt: 8000")
    text, second = changed(text, "max_ongoing_requests: 64", "max_ongoing_requests: none")
    text, third = changed(text, "_prefix: /delivery-time", "_prefix: 7")
    report = report_on(tmp_path, text, with_store=False)
    assert [fault.line for fault in report.faults] == [first, second, third]


def test_an_application_that_is_not_ours_is_held_against_rays_schema_only(tmp_path: Path) -> None:
    """Its deployments may have any name, arguments and user_config, but no unknown keys."""
    other = """
- name: other
  route_prefix: /other
  import_path: shop.app:build
  args: {anything: 1}
  deployments:
  - {name: Anything, user_config: {stable: 1}, ray_actor_options: {num_cpus: 3}}
"""
    report = report_on(tmp_path, SHIPPED + other, with_store=False)
    assert not report.faults
    assert "at most 4.62 CPUs" in report.summary
    text, line = changed(SHIPPED + other, "num_cpus: 3", "cpus: 3")
    assert "did you mean num_cpus?" in said_once(report_on(tmp_path, text, with_store=False), line)


def test_a_server_without_a_table_is_refused(tmp_path: Path) -> None:
    """Without a user_config, and without deployments at all, a server would never get ready."""
    text = SHIPPED[: SHIPPED.rindex("    user_config:")]
    line = text[: text.rindex("- name: Server")].count("\n") + 1
    assert "user_config: missing; expected the table" in said_once(
        report_on(tmp_path, text, with_store=False), line
    )
    report = report_on(tmp_path, text[: text.rindex("  deployments:")], with_store=False)
    assert "deployments[0].user_config: missing" in report.line(
        next(f for f in report.faults if f.severity == "error")
    )


def test_an_isolated_version_that_no_table_names_is_a_warning(tmp_path: Path) -> None:
    """It would hold CPUs, and nothing would ask it."""
    text = uncommented(SHIPPED).replace("placement: isolated", "placement: in_server")
    report = report_on(tmp_path, text, with_store=False)
    assert [fault.severity for fault in report.faults] == ["warning"]
    assert report.faults[0].where == ISOLATED
    assert "no table has 1.1.0 with placement: isolated" in report.faults[0].text


def test_a_check_runs_no_code_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An autoscaling policy is named, not imported, though Ray's own model would."""
    (tmp_path / "booby.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    text, _ = changed(SHIPPED, "serve_app.scaling:by_load", "booby:trap")
    assert not report_on(tmp_path, text, with_store=False).faults


def test_automatic_scaling_has_a_maximum_of_its_own(tmp_path: Path) -> None:
    """`num_replicas: auto` is up to 100 replicas in Ray, and not the 1 of an autoscaling_config."""
    text, _ = changed(SHIPPED, "      max_replicas: 2", "      target_ongoing_requests: 16")
    text, _ = changed(text, "  - name: Server", "  - name: Server\n    num_replicas: auto")
    text, _ = changed(
        text, "      target_ongoing_requests: 16  ", "      metrics_interval_s: 10.0 "
    )
    report = report_on(
        tmp_path, text.replace("min_replicas: 1", "min_replicas: 2", 1), with_store=False
    )
    assert not report.faults
    assert "at most 40.82 CPUs" in report.summary


def test_keys_that_are_merged_from_an_anchor_have_their_own_lines(tmp_path: Path) -> None:
    """`<<: *name` is read as YAML reads it: one's own keys win, and are not taken for doubles."""
    text, _ = changed(SHIPPED, "    autoscaling_config:\n", "    autoscaling_config: &scaling\n")
    merged = "    autoscaling_config:\n      <<: *scaling\n"
    start = text.rindex("    autoscaling_config:\n")
    text = text[:start] + text[start:].replace("    autoscaling_config:\n", merged, 1)
    assert not report_on(tmp_path, text, with_store=False).faults
    text = text[:start] + text[start:].replace("max_replicas: 2", "max_replicas: none", 1)
    line = text[: text.rindex("max_replicas: none")].count("\n") + 1
    assert "expected a valid integer" in said_once(
        report_on(tmp_path, text, with_store=False), line
    )


def test_haproxy_gives_up_where_the_file_names_no_time(tmp_path: Path) -> None:
    """A deadline beyond its own ten seconds would be a 500 in place of an answer."""
    text, _ = changed(SHIPPED, "request_timeout_s: 10", "request_timeout_s: null")
    text, _ = changed(text, "deadline_ms: 2000", "deadline_ms: 10000")
    report = report_on(tmp_path, text, with_store=False)
    (line,) = [report.line(fault) for fault in report.faults if fault.severity == "error"]
    assert "found 10 s, expected more than the deadline_ms of churn (10000 ms)" in line


def test_an_update_that_does_not_fit_the_cluster_is_refused(tmp_path: Path) -> None:
    """The fewest replicas and their surge are counted: 2 x 0.4 CPUs and a coordinator, twice."""
    assert not report_on(tmp_path, SHIPPED, with_store=False, n_cpus=1.62).faults
    report = report_on(tmp_path, SHIPPED, with_store=False, n_cpus=1.6)
    assert [fault.text for fault in report.faults] == [
        "an update needs 1.62 CPUs (min_replicas with surge), the cluster has 1.6; "
        "lower num_cpus or min_replicas"
    ]


def test_a_bundle_that_is_missing_or_foreign_is_refused(tmp_path: Path, store: FolderStore) -> None:
    """The version of the table must be in the store, and its manifest must name it."""
    text, line = changed(SHIPPED, '"1.0.0"', '"1.0.1"')
    said = said_once(report_on(tmp_path, text), line)
    assert said.startswith(f"{TABLE}.stable: ")
    assert "expected the bundle of churn 1.0.1" in said
    store.write("churn", "1.0.1", {MANIFEST: manifest_of("churn", "1.0.0")})
    assert "expected churn 1.0.1, found churn 1.0.0" in said_once(report_on(tmp_path, text), line)


def test_a_bundle_that_is_not_the_pinned_one_is_refused(tmp_path: Path, store: FolderStore) -> None:
    """A pin of the table and of an isolated application is compared with the manifest's hash."""
    pin = f"manifest_sha256: {'a' * 64}"
    text, line = changed(SHIPPED, "coalesce: auto", pin)
    said = said_once(report_on(tmp_path, text), line)
    assert said.startswith(
        f"{TABLE}.versions[1.0.0].manifest_sha256: found {'a' * 64}, expected the sha256 of"
    )
    store.write("churn", "1.1.0", {MANIFEST: manifest_of("churn", "1.1.0")})
    text, line = changed(
        uncommented(SHIPPED), "placement: isolated", f"placement: isolated\n          {pin}"
    )
    assert "versions[1.1.0].manifest_sha256: found" in said_once(report_on(tmp_path, text), line)
    text, line = changed(uncommented(SHIPPED), 'version: "1.1.0"', f'version: "1.1.0", {pin}')
    assert f"{ISOLATED}.args.manifest_sha256: found" in said_once(report_on(tmp_path, text), line)


def test_a_bundle_that_does_not_fit_the_contract_is_refused(
    tmp_path: Path, store: FolderStore
) -> None:
    """A version that lacks a field, or is of another kind, cannot stand behind the server."""
    text, line = changed(SHIPPED, '"1.0.0"', '"2.0.0"')
    features = list(get_spec("churn").contract)
    store.write("churn", "2.0.0", {MANIFEST: manifest_of("churn", "2.0.0", features=features[1:])})
    assert f"{features[0].name}: missing in the bundle" in said_once(
        report_on(tmp_path, text), line
    )
    text, line = changed(SHIPPED, '"1.0.0"', '"3.0.0"')
    store.write("churn", "3.0.0", {MANIFEST: manifest_of("churn", "3.0.0", kind="regressor")})
    assert "expected a binary_classifier, found a regressor" in said_once(
        report_on(tmp_path, text), line
    )
    text, line = changed(SHIPPED, '"1.0.0"', '"4.0.0"')
    other = manifest_of("churn", "4.0.0", format=2, classes=["stays", "leaves"])
    store.write("churn", "4.0.0", {MANIFEST: other})
    assert "expected classes and outputs ([0, 1], [])" in said_once(report_on(tmp_path, text), line)


def test_a_version_that_is_not_compiled_belongs_in_an_application_of_its_own(
    tmp_path: Path, store: FolderStore
) -> None:
    """Inside a server it is a warning; isolated it is not."""
    store.write("churn", "1.1.0", {MANIFEST: manifest_of("churn", "1.1.0", runtime="sklearn")})
    text = uncommented(SHIPPED)
    assert not report_on(tmp_path, text).faults
    text, line = changed(SHIPPED, '"1.0.0"', '"1.1.0"')
    said = said_once(report_on(tmp_path, text), line)
    assert said.startswith(f"warning: {TABLE}.stable: is not compiled")
    assert "expected placement: isolated" in said


def test_a_version_that_is_not_compiled_needs_a_pin_away_from_home(
    tmp_path: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening pipeline.joblib runs the code inside: from an object store only what is pinned."""
    store.write("churn", "1.1.0", {MANIFEST: manifest_of("churn", "1.1.0", runtime="sklearn")})
    monkeypatch.setattr(FolderStore, "doubt", lambda *_: "an object store")
    text, line = changed(uncommented(SHIPPED), 'version: "1.1.0"', 'version: "1.1.0"')
    assert "After a look at it, pin " in said_once(report_on(tmp_path, text), line)


def test_a_version_that_is_not_compiled_warns_where_scikit_learn_is_missing(
    tmp_path: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the slim image: the sentence names the image that has it."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    store.write("churn", "1.1.0", {MANIFEST: manifest_of("churn", "1.1.0", runtime="sklearn")})
    monkeypatch.setattr(importlib.metadata, "version", missing)
    text, line = changed(uncommented(SHIPPED), 'version: "1.1.0"', 'version: "1.1.0"')
    assert "--target sklearn" in said_once(report_on(tmp_path, text), line)


def test_applications_of_a_model_trust_the_same_keys(tmp_path: Path, store: FolderStore) -> None:
    """Else the isolated version would take what its server refuses."""
    store.write("churn", "1.1.0", {MANIFEST: manifest_of("churn", "1.1.0")})
    key = f'public_keys: ["{"A" * 43}="]'
    mended = uncommented(SHIPPED).replace("    model: churn ", f"    {key}\n    model: churn ", 1)
    text, line = changed(mended, 'version: "1.1.0", store', 'version: "1.1.0", store')
    assert "expected the public_keys of the server of churn" in said_once(
        report_on(tmp_path, text, with_store=False), line
    )


def test_a_key_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    """The pattern's own text says nothing to a person."""
    text, line = changed(
        SHIPPED, "    model: churn ", '    public_keys: ["abc"§]\n    model: churn '
    )
    assert "a public key as `sluice keygen` prints it" in said_once(
        report_on(tmp_path, text, with_store=False), line
    )


def test_a_store_that_is_away_from_here_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be reached from the cluster, and not from where the file is checked."""
    variables = {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "REGION": "us-east-1",
        "ALLOW_HTTP": "true",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("MODEL_PATH", "s3://bucket/prefix")
    report = report_on(tmp_path, SHIPPED)
    assert report.n_errors == 0
    assert {fault.severity for fault in report.faults} == {"warning"}
    assert all("the store gives no whole answer" in fault.text for fault in report.faults)


def test_the_command_fails_on_errors_and_not_on_warnings(tmp_path: Path) -> None:
    """`sluice check` prints every fault and a summary, and its exit code is for a pipeline."""
    path = tmp_path / "serve_config.yaml"
    for old, new, code in (
        ("", "", 0),
        ("queued_requests: 32", "queued_requests: -1", 0),
        ("  port:", "  prt:", 1),
    ):
        path.write_text(SHIPPED.replace(old, new, 1))
        result = CliRunner().invoke(app, ["check", str(path), "--no-store"])
        assert result.exit_code == code
        last = result.stdout.splitlines()[-1]
        assert last.endswith(
            f"{code} error{'s' * (code != 1)}, {'1 warning' if '-1' in new else '0 warnings'}"
        )


def test_help_is_quick() -> None:
    """Starting `sluice --help` imports nothing that takes its time, such as Ray or numpy."""
    heavy = "{'ray', 'numpy', 'pydantic', 'yaml', 'rich'}"
    code = f"import sys, serve_app.commands.main; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_key_that_stands_twice_inside_a_rayservice_is_a_fault() -> None:
    """It is text there, in which the operator's YAML takes the last one."""
    twice = "applications: []\nhttp_options: {host: 0.0.0.0, host: 127.0.0.1}\n"
    _, faults = check_rayservice({"kind": "RayService", "spec": {"serveConfigV2": twice}})
    assert any("line 2: found a key that stands there already" in one.text for one in faults)
