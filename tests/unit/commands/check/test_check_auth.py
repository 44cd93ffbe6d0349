"""`sluice check` and who is let in: nobody by an omission."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from checking import ROOT, SHIPPED, changed, check_file, report_on
from keyring import write_keys

ELSEWHERE = SHIPPED.replace("host: 127.0.0.1 ", "host: 0.0.0.0 ")
MISSING = "args.auth: missing, and http_options.host is 0.0.0.0: expected `auth` in args, or KEYS"
RAYSERVICE = ROOT / "k8s/rayservice.yaml"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have set it."""
    monkeypatch.delenv("KEYS_PATH", raising=False)


def lines_of(folder: Path, text: str) -> list[str]:
    """What is said of a file with this text."""
    report = report_on(folder, text, with_store=False)
    return [report.line(fault) for fault in report.faults]


def errors_of(folder: Path, text: str) -> list[str]:
    """Those that are no warnings."""
    return [line for line in lines_of(folder, text) if "warning: " not in line]


def with_auth(text: str, auth: str) -> str:
    """The file with `auth` in both servers' args."""
    return text.replace("store: model_store ", f"auth: {auth}\n    store: model_store ", 1).replace(
        "store: model_store\n", f"auth: {auth}\n    store: model_store\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "'::1'"])
def test_a_server_of_this_machine_alone_needs_no_keys(tmp_path: Path, host: str) -> None:
    """The newcomer's first start is without a password."""
    text, _ = changed(SHIPPED, "host: 127.0.0.1 ", f"host: {host} ")
    assert lines_of(tmp_path, text) == []


def test_a_server_that_others_reach_says_how_it_lets_them_in(tmp_path: Path) -> None:
    """Each of them, at the line of its args, with what to write."""
    lines = lines_of(tmp_path, ELSEWHERE)
    assert len(lines) == 2
    for line, name in zip(lines, ("churn", "delivery_time"), strict=True):
        assert f"applications[{name}].{MISSING}" in line
        assert "`disabled` written out" in line


@pytest.mark.parametrize("left", ["", "http_options:\n  port: 8000\n"])
def test_a_file_that_says_no_host_is_one_that_others_reach(tmp_path: Path, left: str) -> None:
    """Ray listens on every interface then; so does it where the whole block is left out."""
    block = SHIPPED[SHIPPED.index("http_options:") : SHIPPED.index("logging_config:")]
    text = SHIPPED.replace(block, left)
    assert len([line for line in lines_of(tmp_path, text) if MISSING in line]) == 2


def test_disabled_is_enough_when_it_is_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the file of each server, or in the variable for all of them."""
    assert lines_of(tmp_path, with_auth(ELSEWHERE, "disabled")) == []
    one, _ = changed(ELSEWHERE, "    model: churn ", "    auth: disabled\n    model: churn ")
    [line] = lines_of(tmp_path, one)
    assert "applications[delivery_time]" in line
    monkeypatch.setenv("KEYS_PATH", "disabled")
    assert errors_of(tmp_path, ELSEWHERE) == []


def test_what_only_the_shell_of_the_check_says_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is deployed from here, and its servers are started by somebody else."""
    path = write_keys(tmp_path / "keys.yaml")
    for value in ("disabled", str(path)):
        monkeypatch.setenv("KEYS_PATH", value)
        lines = lines_of(tmp_path, ELSEWHERE)
        assert len(lines) == 2
        assert all("warning: applications" in line for line in lines)
        assert all("args.auth: missing; it is KEYS_PATH of this shell" in line for line in lines)
        assert lines_of(tmp_path, with_auth(ELSEWHERE, "disabled")) == []
        assert lines_of(tmp_path, SHIPPED) == []


def test_a_key_file_is_read_and_what_is_wrong_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers with one file: its fault stands at the first."""
    path = write_keys(tmp_path / "keys.yaml")
    monkeypatch.setenv("KEYS_PATH", str(path))
    assert errors_of(tmp_path, ELSEWHERE) == []
    path.write_text("keys: [{id: a}]")
    [line] = errors_of(tmp_path, ELSEWHERE)
    assert f"args.auth: {path}: entry 1 (a): secret_sha256: missing" in line


def test_a_key_file_of_another_machine_is_a_warning(tmp_path: Path) -> None:
    """It is mounted where the server runs."""
    text = with_auth(ELSEWHERE, "/etc/sluice/keys.yaml")
    [line] = lines_of(tmp_path, text)
    assert "warning" in line
    assert "/etc/sluice/keys.yaml is not there, as seen from here" in line


def test_an_auth_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """`auth: off` is false in YAML, and must not pass for anything."""
    lines = lines_of(tmp_path, with_auth(ELSEWHERE, "off"))
    assert lines
    assert all("args.auth" in line for line in lines)


def pod(values: dict[str, Any]) -> dict[str, Any]:
    """The container of a worker."""
    group = values["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    found: dict[str, Any] = group["template"]["spec"]["containers"][0]
    return found


def set_variable(values: dict[str, Any], value: str | None) -> None:
    """KEYS_PATH of every container; None takes it out."""
    cluster = values["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], cluster["workerGroupSpecs"][0]):
        container = group["template"]["spec"]["containers"][0]
        env = [one for one in container["env"] if one["name"] != "KEYS_PATH"]
        more = [] if value is None else [{"name": "KEYS_PATH", "value": value}]
        container["env"] = [*env, *more]


IN_PODS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "as shipped": (lambda v: None, ""),
    "with the Secret": (lambda v: set_variable(v, "/etc/sluice/keys.yaml"), ""),
    "nothing said": (lambda v: set_variable(v, None), "expected `auth` in args, or KEYS_PATH"),
    "an empty value": (lambda v: set_variable(v, ""), "expected `auth` in args, or KEYS_PATH"),
    "no mount": (
        lambda v: set_variable(v, "/keys/keys.yaml"),
        "found no mount that holds /keys/keys.yaml; expected the Secret of the keys there",
    ),
}


@pytest.mark.parametrize("name", IN_PODS)
def test_pods_say_it_in_their_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is set on the machine of the check means nothing there."""
    monkeypatch.setenv("KEYS_PATH", "disabled")
    change, said = IN_PODS[name]
    values = yaml.safe_load(RAYSERVICE.read_text())
    change(values)
    path = tmp_path / "rayservice.yaml"
    path.write_text(yaml.safe_dump(values))
    report = check_file(path)
    lines = [report.line(fault) for fault in report.faults]
    assert any(said in line for line in lines) if said else lines == []


def test_the_shipped_manifest_has_a_place_for_the_secret() -> None:
    """The pods start without it, and turning keys on is one value."""
    values = yaml.safe_load(RAYSERVICE.read_text())
    spec = values["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]
    [volume] = [one for one in spec["volumes"] if "secret" in one]
    assert volume["secret"] == {"secretName": "sluice-keys", "optional": True, "defaultMode": 0o440}
    [mount] = [one for one in pod(values)["volumeMounts"] if one["name"] == volume["name"]]
    assert "subPath" not in mount, "a file that is mounted alone does not change"
