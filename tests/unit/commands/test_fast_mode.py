"""`sluice env` and the fast mode's variables: one source for a laptop, a cluster and a manifest."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from serve_app.commands.env import docker_lines, dotenv_lines
from serve_app.commands.fast_mode import (
    PLAIN_VARIABLES,
    SMALL_LOGS,
    VARIABLES,
    fast_environment,
)
from serve_app.commands.main import app
from serve_app.errors import SettingsError

ROOT = Path(__file__).parents[3]
RETRY_ON = "RAY_SERVE_HAPROXY_RETRY_ON"
MAXCONN = "RAY_SERVE_HAPROXY_MAXCONN"


def environment_after(script: str, folder: Path, **variables: str) -> dict[str, str]:
    """The environment that a bash script leaves to the programs after it."""
    path = folder / "environment"
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    command = ["bash", "-euc", f'{script}\nenv -0 > "{path}"']
    subprocess.run(command, check=True, env=env, timeout=300)
    entries = path.read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def ray_variables(environment: dict[str, str]) -> dict[str, str]:
    """Those that Ray reads."""
    return {name: value for name, value in environment.items() if name.startswith("RAY_")}


def printed(*words: str) -> str:
    """What `sluice env …` prints."""
    result = CliRunner().invoke(app, ["env", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_eval_of_what_it_prints_sets_just_these_variables(tmp_path: Path) -> None:
    """Also the one with line breaks, and whatever else a shell would read into a value."""
    script = tmp_path / "lines.sh"
    script.write_text(printed())
    found = environment_after(f'eval "$(cat {script})"', tmp_path)
    assert ray_variables(found) == dict(VARIABLES)
    assert "\n" in VARIABLES[RETRY_ON], "the case that quoting is for"


def test_the_line_of_the_page_on_clusters_sets_them(tmp_path: Path) -> None:
    """As a person types it; `sluice` is this folder's code, wherever it is installed from."""
    (line,) = re.findall(
        r'^\$ (eval "\$\(sluice env\)")', (ROOT / "docs" / "cluster.md").read_text(), re.M
    )
    command = tmp_path / "bin" / "sluice"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m serve_app.commands.main "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    found = environment_after(line, tmp_path, PATH=path, PYTHONPATH=str(ROOT))
    assert ray_variables(found) == dict(VARIABLES)


def test_what_it_prints_survives_a_posix_shell_too(tmp_path: Path) -> None:
    """The entrypoint of a container may be `sh`, which knows no bash quoting."""
    script = tmp_path / "lines.sh"
    script.write_text(printed())
    found = environment_after(
        f"""exec sh -c 'eval "$(cat {script})"; env -0 > "{tmp_path}/environment"'""", tmp_path
    )
    assert ray_variables(found) == dict(VARIABLES)


def test_an_env_file_has_a_line_for_each_variable_and_takes_line_breaks_from_the_shell() -> None:
    """A name alone makes `docker run --env-file` take the value from the shell that calls it."""
    lines = docker_lines(VARIABLES, VARIABLES)
    assert len(lines) == len(VARIABLES)
    assert RETRY_ON in lines
    read = {}
    for line in lines:
        name, is_given, value = line.partition("=")
        read[name] = value if is_given else VARIABLES[name]
    assert read == dict(VARIABLES)


@pytest.mark.parametrize(
    ("environment", "found"), [({}, "no value"), ({RETRY_ON: "conn-failure"}, "another value")]
)
def test_an_env_file_that_would_lose_a_value_is_refused(
    environment: dict[str, str], found: str
) -> None:
    """Docker leaves out a variable that its shell does not have, without a word."""
    with pytest.raises(SettingsError, match=f"found {found} in this shell.*eval"):
        docker_lines(VARIABLES, environment)


def test_the_env_file_is_refused_by_the_command_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it, and nothing on stdout that could be taken for the file."""
    monkeypatch.delenv(RETRY_ON, raising=False)
    result = CliRunner().invoke(app, ["env", "--format", "docker"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'call eval "$(sluice env)" first' in result.stderr
    monkeypatch.setenv(RETRY_ON, VARIABLES[RETRY_ON])
    assert printed("--format", "docker").count("\n") == len(VARIABLES)


def test_a_dotenv_file_and_a_kubernetes_list_hold_the_same_values() -> None:
    """As a program reads them: Compose by the rules of .env files, Kubernetes by those of YAML."""
    entries = yaml.safe_load(printed("--format", "kubernetes"))
    assert {entry["name"]: entry["value"] for entry in entries} == dict(VARIABLES)
    read = {}
    for line in printed("--format", "dotenv").splitlines():
        name, _, value = line.partition("=")
        assert (value[0], value[-1]) == ('"', '"')
        read[name] = value[1:-1].replace(r"\n", "\n").replace(r"\"", '"')
    assert read == dict(VARIABLES)


def test_a_value_that_a_dotenv_file_would_change_is_refused() -> None:
    """Compose puts a variable in the place of a dollar sign and a name."""
    with pytest.raises(ValueError, match="expected no"):
        dotenv_lines({"RAY_X": "a $HOME"})


def test_rays_own_logs_are_small_in_both_modes_and_in_the_image() -> None:
    """Statistics of Ray's event loops filled /tmp with 210 MB a day of an idle node."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    in_image = dict(re.findall(r"\b(RAY_(?:ROTATION|event_stats)\w+)=(\S+)", dockerfile))
    assert in_image == dict(SMALL_LOGS), "for `ray start` without the fast mode"
    for variables in (VARIABLES, PLAIN_VARIABLES):
        assert dict(SMALL_LOGS).items() <= dict(variables).items()
    every_ms = int(SMALL_LOGS["RAY_event_stats_print_interval_ms"])
    assert every_ms >= 3_600_000, "seldom; -1 would keep Ray's GCS busy with most of a core"
    n_files = 60
    most_mb = int(SMALL_LOGS["RAY_ROTATION_MAX_BYTES"]) * n_files / 1e6
    n_kept = 1 + int(SMALL_LOGS["RAY_ROTATION_BACKUP_COUNT"])
    assert most_mb * n_kept <= 256, "half of the /tmp that docs/deploy.md gives a container"


def test_a_laptop_has_the_variables_of_a_cluster_and_places_of_its_own(tmp_path: Path) -> None:
    """What is tested here is what a cluster runs; only files, ports and the drain are local."""
    found = fast_environment(tmp_path)
    assert {name: found[name] for name in VARIABLES} == dict(VARIABLES)
    own = {name: value for name, value in found.items() if name not in VARIABLES}
    # HAProxy is started by a script of ours (test_haproxy.py).
    programs = {"RAY_SERVE_HAPROXY_BINARY_PATH", "SLUICE_HAPROXY_BINARY"}
    assert programs <= set(own)
    own = {name: value for name, value in own.items() if name not in programs}
    ports = [value for name, value in own.items() if name.endswith("PORT")]
    files = [value for value in own.values() if value.startswith(str(tmp_path))]
    assert len(set(ports)) == 3
    assert len(files) == 5
    here_alone = {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", MAXCONN}
    assert set(own) - here_alone == {name for name, value in own.items() if value in ports + files}


@pytest.mark.parametrize(
    ("n_files", "expected"),
    [
        (resource.RLIM_INFINITY, "20000"),
        (1_048_576, "20000"),
        (20_000, "7200"),
        (12_500, "4200"),
        (10_240, None),
        (4_096, None),
    ],
)
def test_haproxy_takes_as_many_connections_as_the_machine_has_files_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, n_files: int, expected: str | None
) -> None:
    """Twenty thousand at most; with fewer files than Ray's own number takes, that one stays."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, n_files))
    assert fast_environment(tmp_path).get(MAXCONN) == expected


def test_every_node_of_the_manifest_has_the_fast_mode_and_no_other_variable_of_ray() -> None:
    """The manifest repeats what `sluice env` prints, for head and workers alike."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "k8s/base/rayservice.yaml").read_text())
    cluster = manifest["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        container = group["template"]["spec"]["containers"][0]
        variables = {entry["name"]: entry["value"] for entry in container["env"]}
        assert ray_variables(variables) == dict(VARIABLES)


def test_the_image_sets_none_of_them_itself() -> None:
    """In the image `sluice up` sets them, or `sluice env` and the manifest do: no second list.

    Those that keep logs small are for every Ray there, in the fast mode or not.
    """
    dockerfile = (ROOT / "Dockerfile").read_text()
    fast = [name for name in VARIABLES if name not in SMALL_LOGS]
    assert [name for name in fast if name in dockerfile] == []


def test_idle_connections_of_a_load_balancer_live_as_long_as_the_file_says() -> None:
    """The limit on a silent client is above the time that a connection may be idle for."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    client_s = int(VARIABLES["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"])
    assert client_s > config["http_options"]["keep_alive_timeout_s"]


def test_slow_clients_are_let_go_by_haproxy_itself() -> None:
    """Ray has no variable for this limit: it is a further line of the value for `retry-on`."""
    first, *further = VARIABLES[RETRY_ON].splitlines()
    assert first == "conn-failure empty-response"
    assert [line.strip() for line in further] == [
        "option http-buffer-request",
        "timeout http-request 10s",
        "no option abortonclose",
    ]
    client_s = int(VARIABLES["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"])
    assert client_s < 3_600, "Ray's default holds a connection for an hour"


def test_a_dead_haproxy_is_found_within_seconds() -> None:
    """Ray acts after three looks. With its own period of 10 s nobody answers for 24 to 30 s."""
    period_s = float(VARIABLES["RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S"])
    assert 3 * period_s <= 6
