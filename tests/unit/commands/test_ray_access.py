"""Ray's token is on, its file is for its owner, and Ray keeps to this machine."""

from pathlib import Path
from typing import Any

import pytest

from serve_app.commands.haproxy import BIND
from serve_app.commands.ray_access import keep_token_private, local_ray, ray_environment
from serve_app.errors import SettingsError

OFF = {"RAY_AUTH_MODE": "disabled"}


def test_a_token_is_asked_for_whether_or_not_the_environment_says_so() -> None:
    """Each replica has a port that takes a pickle, which the token alone guards."""
    assert local_ray({}, without_token=False)["RAY_AUTH_MODE"] == "token"
    for mode in ("token", "TOKEN"):
        asked = local_ray({"RAY_AUTH_MODE": mode}, without_token=False)
        assert asked["RAY_AUTH_MODE"] == "token"
    assert local_ray({}, without_token=False)["RAY_ADDRESS"] == "local"


@pytest.mark.parametrize(
    ("environment", "without_token", "said"),
    [
        (OFF, False, "RAY_AUTH_MODE: found disabled, expected token.*--without-ray-token"),
        ({"RAY_AUTH_MODE": "DISABLED"}, False, "found disabled, expected token"),
        ({"RAY_AUTH_MODE": ""}, False, "RAY_AUTH_MODE: found '', expected token"),
        ({"RAY_AUTH_MODE": "off"}, False, "found 'off', expected token"),
        ({"RAY_AUTH_MODE": "tokn"}, False, "found 'tokn', expected token"),
        ({"RAY_AUTH_MODE": "tokn"}, True, "found 'tokn', expected token"),
        ({"RAY_AUTH_MODE": " token"}, False, "found ' token', expected token"),
        ({}, True, "--without-ray-token: found RAY_AUTH_MODE=token, expected disabled"),
    ],
)
def test_no_token_is_refused_unless_it_is_said_twice(
    environment: dict[str, str], without_token: bool, said: str
) -> None:
    """A variable that a shell inherited opens nothing, and neither does an option alone."""
    with pytest.raises(SettingsError, match=said):
        local_ray(environment, without_token=without_token)
    assert local_ray(OFF, without_token=True)["RAY_AUTH_MODE"] == "disabled"


def test_a_token_that_everybody_could_read_is_for_its_owner_afterwards(tmp_path: Path) -> None:
    """Ray 2.60 wrote it with the umask of the shell; where there is none nothing happens."""
    keep_token_private(tmp_path)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    keep_token_private(tmp_path)
    assert token.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("http_options", "bind"),
    [({"host": "0.0.0.0"}, "*"), ({}, "*"), ({"host": "10.1.1.1"}, "10.1.1.1")],
)
def test_in_the_fast_mode_haproxy_alone_listens_where_the_file_says(
    tmp_path: Path, http_options: dict[str, Any], bind: str
) -> None:
    """Replicas have ports of their own, by which a client would go past HAProxy."""
    config = {"http_options": {"port": 8000, **http_options}}
    env = ray_environment(config, tmp_path, fast=True, without_token=False)
    assert env[BIND] == bind
    assert config["http_options"] == {"port": 8000, "host": "127.0.0.1"}


def test_in_plain_mode_the_file_stays_as_it_is(tmp_path: Path) -> None:
    """There the one proxy is Ray's own, and replicas have no HTTP ports."""
    config = {"http_options": {"host": "0.0.0.0"}}
    assert BIND not in ray_environment(config, tmp_path, fast=False, without_token=False)
    assert config == {"http_options": {"host": "0.0.0.0"}}
