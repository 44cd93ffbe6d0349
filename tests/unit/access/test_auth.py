"""The three ways of letting callers in, and who may read why something is wrong."""

from pathlib import Path

import pytest
from keyring import NOW_S, key_of, keyed, write_keys

from serve_app.access.auth import Auth, auth_setting, is_loopback, open_auth
from serve_app.access.caller import Caller
from serve_app.errors import SettingsError

PREDICT = Caller("shop", frozenset({"predict"}))
ADMIN = Caller("ops", frozenset({"predict", "feedback", "admin"}))


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have set it."""
    monkeypatch.delenv("KEYS_PATH", raising=False)


def test_nothing_said_means_that_whoever_asks_is_the_user_of_this_machine() -> None:
    """The server is on the loopback: no key is asked for, and everything is shown."""
    auth = open_auth(None)
    assert not auth.asks
    assert auth.shows_reasons(None)


def test_disabled_asks_nobody_and_shows_nobody_a_path() -> None:
    """Callers come from outside, and nobody knows who they are."""
    auth = open_auth("disabled")
    assert not auth.asks
    assert not auth.shows_reasons(None)
    assert auth.caller(key_of("shop").encode()) is None


def test_with_a_file_everybody_but_admins_sees_no_path(tmp_path: Path) -> None:
    """Who may only predict is nobody of the house."""
    auth, _ = keyed(tmp_path)
    assert auth.asks
    assert not auth.shows_reasons(None)
    assert not auth.shows_reasons(PREDICT)
    assert auth.shows_reasons(ADMIN)


def test_the_variable_comes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file serves on a laptop and in a pod; an empty variable says nothing."""
    path = write_keys(tmp_path / "keys.yaml")
    monkeypatch.setenv("KEYS_PATH", str(path))
    assert open_auth("disabled").asks
    monkeypatch.setenv("KEYS_PATH", "disabled")
    assert not open_auth(str(path)).asks
    monkeypatch.setenv("KEYS_PATH", "")
    assert open_auth(str(path)).asks
    assert auth_setting(None) is None


def test_a_broken_file_keeps_a_server_from_starting(tmp_path: Path) -> None:
    """Not open by mistake, not closed in silence: it says what is wrong."""
    with pytest.raises(SettingsError, match="cannot be read"):
        open_auth(str(tmp_path / "keys.yaml"))


async def test_the_error_of_a_later_file_is_known(tmp_path: Path) -> None:
    """`/ready` tells it; and without a file there is nothing to follow."""
    auth, file = keyed(tmp_path)
    assert auth.error is None
    (tmp_path / "keys.yaml").unlink()
    file.look()
    assert auth.error is not None
    assert auth.caller(key_of("shop").encode()) is not None
    await Auth().follow_forever()
    assert Auth().error is None


def test_the_clock_on_the_wall_says_when_a_key_is_over(tmp_path: Path) -> None:
    """An expired key is refused without a new file."""
    _, file = keyed(tmp_path)
    now_s = NOW_S
    auth = Auth(file, clock=lambda: now_s)
    assert auth.caller(key_of("ops").encode()) is not None
    now_s += 60
    assert auth.caller(key_of("ops").encode()) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("sluice.internal", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_machine_itself_are_loopback(host: str, expected: bool) -> None:
    """A name may mean any address, so it counts as one that others reach."""
    assert is_loopback(host) is expected
