"""HAProxy's file, as Ray's template writes it, is corrected before HAProxy reads it."""

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import pytest

from serve_app.commands.haproxy import BIND, SCRIPT, bind_of, corrected_haproxy

METRICS = "21001"
STATS = "21002"


def written(host: str) -> str:
    """What Ray's template says of who may connect, filled in as Ray fills it in."""
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    template = Path(spec.origin).with_name("serve") / "_private" / "haproxy_templates.py"
    words = {
        "frontend_host": host,
        "frontend_port": "8000",
        "metrics_port": METRICS,
        "stats_port": STATS,
        "socket_path": "/tmp/admin.sock",
    }
    wanted = r"^(frontend (prometheus|http_frontend)|listen stats|    stats socket .*| *bind .*)$"
    lines = []
    for line in template.read_text().splitlines():
        if re.match(wanted, line) and "grpc" not in line:
            filled = re.sub(r"\{\{ *config\.(\w+) *\}\}", lambda found: words[found[1]], line)
            lines.append(filled)
    return "\n".join(lines) + "\n"


def corrected(text: str, folder: Path, bind: str) -> str:
    """The file after the script, which then became a program that says how it was called."""
    path = folder / "haproxy.cfg"
    path.write_text(text)
    env = {
        "PATH": os.environ["PATH"],
        "RAY_SERVE_HAPROXY_METRICS_PORT": METRICS,
        "RAY_SERVE_HAPROXY_STATS_PORT": STATS,
        "SLUICE_HAPROXY_BINARY": "/bin/echo",
        BIND: bind,
    }
    done = subprocess.run(
        [SCRIPT, "-db", "-f", path, "-sf", "12"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["-db", "-f", str(path), "-sf", "12"]
    return path.read_text()


@pytest.mark.parametrize(
    ("host", "bind"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "*"), ("::", "*"), ("10.0.0.5", "10.0.0.5")],
)
def test_only_predictions_are_answered_where_the_file_says(
    tmp_path: Path, host: str, bind: str
) -> None:
    """Statistics, metrics and the admin socket are for this machine and this user."""
    text = written("127.0.0.1")
    assert f"bind :{METRICS}" in text, "Ray's template has changed: see haproxy.sh"
    assert f"bind *:{STATS}" in text, "Ray's template has changed: see haproxy.sh"
    assert "mode 666" in text, "Ray's template has changed: see haproxy.sh"
    found = corrected(text, tmp_path, bind_of(host))
    assert re.findall(r"bind (\S+)", found) == [
        f"127.0.0.1:{METRICS}",
        f"{bind}:8000",
        f"127.0.0.1:{STATS}",
    ]
    assert "mode 600 level admin" in found


def test_ray_is_told_to_start_the_script_and_the_script_haproxy() -> None:
    """Ray takes a program that can be run, by its whole path."""
    variables = corrected_haproxy()
    assert variables["RAY_SERVE_HAPROXY_BINARY_PATH"] == str(SCRIPT)
    assert SCRIPT.is_absolute()
    assert os.access(SCRIPT, os.X_OK)
    assert Path(variables["SLUICE_HAPROXY_BINARY"]).name == "haproxy"
