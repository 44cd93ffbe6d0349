"""`sluice check` on small changes of the shipped serve_config.yaml: what it says, where, and in which line."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_app.bundle.manifest import MANIFEST, File, GoldenRow, Manifest
from serve_app.bundle.store import FolderStore
from serve_app.cli import app
from serve_app.models import MODELS, get_spec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from serve_app.check import Report, check_file

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "serve_config.yaml").read_text()
SERVER = "applications[churn].deployments[Server]"
TABLE = f"{SERVER}.user_config"
ISOLATED = "applications[churn-1.1.0]"


def uncommented(text: str) -> str:
    """The shipped file with its commented example: version 1.1.0 as an application of its own."""
    lines, inside = [], False
    for line in text.splitlines():
        inside = bool(re.match(r'# - name: churn-1\.1\.0| +# "1\.1\.0":', line) or (inside and re.match(" *# ", line)))
        lines.append(line.replace("# ", "", 1) if inside else line)
    return "\n".join(line for line in lines if "manifest_sha256: ..." not in line) + "\n"


def manifest_of(model: str, version: str, **changes: object) -> bytes:
    """The smallest manifest that fits a model's contract."""
    spec = get_spec(model)
    manifest = Manifest(
        format=1,
        model=model,
        version=version,
        kind=spec.kind,
        runtime="onnx",
        runtime_reason="compiled",
        features=list(spec.contract),
        references={},
        parameters={},
        metrics={},
        training_data_sha256="0" * 64,
        n_training_rows=1,
        created_at="2025-01-01T00:00:00Z",
        libraries={},
        files={"model.onnx": File(sha256="0" * 64, size_bytes=0)},
        golden_rows=[GoldenRow(row=spec.examples[0].row.model_dump(), score=0.5)],
    )
    return manifest.model_copy(update=changes).model_dump_json().encode()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A store with version 1.0.0 of every model, in place of the one that the file names."""
    store = FolderStore(tmp_path / "store")
    for model in MODELS:
        store.write(model, "1.0.0", {MANIFEST: manifest_of(model, "1.0.0")})
    monkeypatch.setenv("MODEL_PATH", str(store.root))
    return store


def report_on(folder: Path, text: str, **options: object) -> Report:
    """The report on a file with this text."""
    path = folder / "serve_config.yaml"
    path.write_text(text)
    return check_file(path, **options)  # type: ignore[arg-type]


def changed(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with the first `old` replaced, and the line in which the last line of `new` then stands."""
    assert old in text, f"the shipped file has no {old!r} any more"
    line = text[: text.index(old)].count("\n") + new.count("\n") + 1
    return text.replace(old, new, 1), line


def said_once(report: Report, line: int) -> str:
    """The only fault of a report, without its file and line, which must be this one."""
    assert [fault.line for fault in report.faults] == [line], [report.line(fault) for fault in report.faults]
    return report.line(report.faults[0]).removeprefix(f"{report.path}:{line}: ")


# What stands in the shipped file, what stands there instead, and what is said of its last line: place and hint.
UNKNOWN_KEYS = [
    ("proxy_location:", "proxy_locaton:", "proxy_locaton", "did you mean proxy_location?"),
    ("logging_config:", "host: x\nlogging_config:", "host", "it belongs in http_options"),
    ("  port: 8000", "  prt: 8000", "http_options.prt", "did you mean port?"),
    ("enable_access_log", "access_log", "logging_config.access_log", "did you mean enable_access_log?"),
    ("  args:", "  num_replicas: 2\n  args:", "applications[churn].num_replicas", "it belongs in deployments"),
    ("    store: model_store", "    stor: model_store", "applications[churn].args.stor", "did you mean store?"),
    ("min_replicas: 1", "min_replica: 1", f"{SERVER}.autoscaling_config.min_replica", "did you mean min_replicas?"),
    ("max_surge_percent: 100", "max_surge_percent: 100\n    num_cpus: 1", f"{SERVER}.num_cpus", "in ray_actor_options"),
    ("num_cpus: 0.4", "num_cpu: 0.4", f"{SERVER}.ray_actor_options.num_cpu", "did you mean num_cpus?"),
    ("      retry_after_s: 1", "      retry_after: 1", f"{SERVER}.backpressure_config.retry_after", "retry_after_s?"),
    (
        "    health_check_period_s: 5",
        "    request_router_config: {max_backof_s: 1}",
        f"{SERVER}.request_router_config.max_backof_s",
        "did you mean max_backoff_s?",
    ),
    (
        "upscale_delay_s: 5",
        "policy: {policy_args: {}}",
        f"{SERVER}.autoscaling_config.policy.policy_args",
        "did you mean policy_kwargs?",
    ),
    ("coalesce: auto", "coalese: auto", f"{TABLE}.versions[1.0.0].coalese", "did you mean coalesce?"),
    ("deadline_ms: 2000", "dedline_ms: 2000", f"{TABLE}.limits.dedline_ms", "did you mean deadline_ms?"),
]

WRONG_VALUES = [
    ("proxy_location: EveryNode", "proxy_location: Everywhere", "proxy_location", "expected 'Disabled', 'HeadOnly'"),
    ("  port: 8000", "  port: http", "http_options.port", "expected a valid integer"),
    ("min_replicas: 1", "min_replicas: -1", f"{SERVER}.autoscaling_config.min_replicas", "greater than or equal to 0"),
    ("status_code: 429", "status_code: 404", f"{SERVER}.backpressure_config.status_code", "expected 503 or 429"),
    ("max_surge_percent: 100", "max_surge_percent: 101", f"{SERVER}.max_surge_percent", "less than or equal to 100"),
    ("max_ongoing_requests: 200", "max_ongoing_requests: 0", f"{SERVER}.max_ongoing_requests", "greater than 0"),
    ("max_queued_requests: 400", "max_queued_requests: 0", f"{SERVER}.max_queued_requests", "positive integer"),
    ('stable: "1.0.0"', "stable: 1.0", f"{TABLE}.stable", "expected a valid string: write it in quotes"),
    ('        "1.0.0":', '        "1.0":', f"{TABLE}.versions[1.0]", "expected a version such as 1.0.0"),
    ("max_rows: 256", "max_rows: 0", f"{TABLE}.batch.max_rows", "greater than or equal to 1"),
    ("coalesce: auto", "manifest_sha256: abc", f"{TABLE}.versions[1.0.0].manifest_sha256", "64 hexadecimal digits"),
    ("coalesce: auto", "weight_percent: 5", f"{TABLE}.versions[1.0.0].weight_percent", "stable takes what the others"),
    ("delay_ms: 150", "delay_ms: 9000", f"{TABLE}.limits.candidate_deadline_ms", "expected at most deadline_ms"),
    ("  port: 8000", "  port: 8000\n  port: 8001", "http_options.port", "the key stands twice, first in line 8"),
    ("  - name: Server", "  - Server\n  - name: Server", SERVER, "found text, expected a mapping"),
]

RULES = [
    ("app:server", "app:serve", "applications[churn].import_path", "expected serve_app.app:server or serve_app.app:ver"),
    ("model: churn ", "model: chrun ", "applications[churn].args.model", "expected one of churn, delivery_time"),
    ("  - name: Server", "  - name: Srver", "applications[churn].deployments[Srver].name", "expected Server"),
    ("route_prefix: /\n", "route_prefix: null\n", "applications[churn].route_prefix", "expected a path such as /"),
    ("route_prefix: /d", "route_prefix: d", "applications[delivery_time].route_prefix", "expected a path that begins"),
    ("_prefix: /delivery-time", "_prefix: /", "applications[delivery_time].route_prefix", "which application churn above"),
    ("- name: delivery_time", "- name: churn", "applications[churn].name", "which application churn above has too"),
    ("request_timeout_s: 10", "request_timeout_s: 2", "http_options.request_timeout_s", "deadline_ms of churn (2000 ms)"),
    ("coalesce: auto", "placement: isolated", f"{TABLE}.versions[1.0.0].placement", "an application churn-1.0.0 in this"),
]

WARNINGS = [
    ("http_options:", "http_options:\n  request_timeout_s: null", "http_options.request_timeout_s", "wait forever"),
    ("max_surge_percent: 100", "max_surge_percent: 0", f"{SERVER}.max_surge_percent", "an update is an outage"),
    ("max_queued_requests: 400", "max_queued_requests: -1", f"{SERVER}.max_queued_requests", "instead of a 429"),
    ("upscale_delay_s: 5", "look_back_period_s: 5", f"{SERVER}.autoscaling_config", "look_back_period_s"),
]

ISOLATED_RULES = [
    ("- name: churn-1.1.0", "- name: churn_1.1.0", "applications[churn_1.1.0].name", "expected churn-1.1.0"),
    ("route_prefix: null", "route_prefix: /x", f"{ISOLATED}.route_prefix", "found /x (Ray's default is /), expected null"),
    ("- name: Version", "- name: Server", f"{ISOLATED}.deployments[Server].name", "found Server, expected Version"),
    ('version: "1.1.0"', "version: 1.1", f"{ISOLATED}.args.version", "expected a valid string: write it in quotes"),
    ("{coalesce: auto", "{coalesced: auto", f"{ISOLATED}.deployments[Version].user_config.coalesced", "mean coalesce?"),
    ("placement: isolated", "placement: apart", f"{TABLE}.versions[1.1.0].placement", "'in_server' or 'isolated'"),
    ("ongoing_requests: 64", "ongoing_requests: 1", f"{ISOLATED}.deployments[Version].max_ongoing_requests", "2 or more"),
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
        "2 applications, 2 models, 2 versions, at most 1.6 CPUs; 0 errors, 0 warnings",
    )


def test_the_commented_example_has_no_faults(tmp_path: Path) -> None:
    """Uncommenting the isolated version gives a file that passes."""
    report = report_on(tmp_path, uncommented(SHIPPED), with_store=False)
    assert not [report.line(fault) for fault in report.faults]
    assert "3 applications, 2 models, 3 versions, at most 2.4 CPUs" in report.summary


@pytest.mark.parametrize(("old", "new", "place", "hint"), UNKNOWN_KEYS)
def test_an_unknown_key_is_refused_at_every_level(tmp_path: Path, old: str, new: str, place: str, hint: str) -> None:
    """Key, place and line are named, with what was probably meant."""
    text, line = changed(SHIPPED, old, new)
    said = next(iter(said_at(report_on(tmp_path, text, with_store=False), line)))
    assert said.startswith(f"{place}: unknown key; ")
    assert hint in said


@pytest.mark.parametrize(("old", "new", "place", "hint"), WRONG_VALUES + RULES)
def test_a_wrong_value_is_refused(tmp_path: Path, old: str, new: str, place: str, hint: str) -> None:
    """Ray's types, our settings and the rules between them: one error, with place, line and what was expected."""
    text, line = changed(SHIPPED, old, new)
    said = said_once(report_on(tmp_path, text, with_store=False), line)
    assert said.startswith(f"{place}: ")
    assert hint in said


@pytest.mark.parametrize(("old", "new", "place", "hint"), ISOLATED_RULES)
def test_a_wrong_isolated_version_is_refused(tmp_path: Path, old: str, new: str, place: str, hint: str) -> None:
    """The application of a version has its own rules: name, no route, deployment, settings."""
    text, line = changed(uncommented(SHIPPED), old, new)
    assert any(
        said.removeprefix("warning: ").startswith(f"{place}: ") and hint in said
        for said in said_at(report_on(tmp_path, text, with_store=False), line)
    )


@pytest.mark.parametrize(("old", "new", "place", "hint"), WARNINGS)
def test_a_risk_is_a_warning_and_does_not_fail(tmp_path: Path, old: str, new: str, place: str, hint: str) -> None:
    """What works until the first bad day is said, and is no error."""
    base = re.sub(r"  request_timeout_s: 10 .*\n", "", SHIPPED) if place.startswith("http_options") else SHIPPED
    text, line = changed(base, old, new)
    report = report_on(tmp_path, text, with_store=False)
    assert report.n_errors == 0
    said = report.line(report.faults[0])
    assert re.search(rf":{line - (0 if 'delay' not in old else 3)}: warning: {re.escape(place)}: ", said), said
    assert hint in said


@pytest.mark.parametrize(("text", "line", "hint"), NO_DOCUMENT)
def test_a_file_that_is_no_mapping_is_one_error(tmp_path: Path, text: str, line: int, hint: str) -> None:
    """Broken YAML, an empty file or a list: one error with the line, never a traceback."""
    assert hint in said_once(report_on(tmp_path, text), line)
