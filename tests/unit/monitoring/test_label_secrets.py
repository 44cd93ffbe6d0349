"""The secrets of prediction ids: made once, shared, rotated, and refused without being shown."""

import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import SettingsError
from serve_app.monitoring.labels.label_secrets import (
    PATH_VARIABLE,
    VARIABLE,
    make_secrets,
    new_secret,
    open_secrets,
    parse_secrets,
)

PLAIN = bytes(32)


def sealed_by(secrets: object) -> str:
    """An id, which opens where the same secret is."""
    return secrets.seal.seal(PLAIN)  # type: ignore[attr-defined,no-any-return]


def test_the_first_start_makes_a_secret_for_its_owner_alone(tmp_path: Path) -> None:
    """And the next process on this machine has the same."""
    state = str(tmp_path / "state")
    first = open_secrets(None, state, "churn", {})
    second = open_secrets(None, state, "churn", {})
    assert second.seal.open(sealed_by(first)) == PLAIN
    path = tmp_path / "state/label_keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["label_keys"]


def test_of_servers_that_start_at_once_one_makes_the_secret(tmp_path: Path) -> None:
    """All have the one that was made first, whole."""
    path = tmp_path / "label_keys"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make_secrets, [path] * 16))
    assert len(parse_secrets(path.read_text())) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["label_keys"]


def test_a_variable_comes_before_a_file_and_a_named_file_before_the_states(
    tmp_path: Path,
) -> None:
    """As for keys of callers: the environment overrides the file of the configuration."""
    named, setting = tmp_path / "named", tmp_path / "setting"
    for path in (named, setting):
        path.write_text(new_secret())
    state = str(tmp_path / "state")
    value = new_secret()
    by_setting = open_secrets(str(setting), state, "churn", {})
    by_path = open_secrets(str(setting), state, "churn", {PATH_VARIABLE: str(named)})
    both = {PATH_VARIABLE: str(named), VARIABLE: f"{value}, {new_secret()}"}
    by_value = open_secrets(str(setting), state, "churn", both)
    assert not (tmp_path / "state").exists()
    for one, text in ((by_setting, setting.read_text()), (by_path, named.read_text())):
        again = open_secrets(None, state, "churn", {VARIABLE: text})
        assert again.seal.open(sealed_by(one)) == PLAIN
    alone = open_secrets(None, state, "churn", {VARIABLE: value})
    assert alone.seal.open(sealed_by(by_value)) == PLAIN


@pytest.mark.parametrize(
    "text",
    ["", "# only a note\n", "short", "!" * 44, new_secret() + "\nno secret", "A" * 4_000],
    ids=["empty", "note", "short", "no base64", "second", "long"],
)
def test_what_is_no_secret_is_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    """A first file that is broken keeps the server from starting: labels would be lost."""
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        open_secrets(str(path), str(tmp_path), "churn", {})
    assert str(path) in str(error.value)
    assert all(line not in str(error.value) for line in text.split() if len(line) > 10)


def test_a_missing_named_file_is_refused_and_not_made(tmp_path: Path) -> None:
    """It was to be mounted: one that is made here would be another one on each node."""
    with pytest.raises(SettingsError, match="cannot be read"):
        open_secrets(str(tmp_path / "none"), str(tmp_path), "churn", {})
    assert list(tmp_path.iterdir()) == []


def test_a_state_in_an_object_store_gets_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Ids are sealed all the same, and the log says what is missing."""
    one = open_secrets(None, "memory://state", "churn", {})
    other = open_secrets(None, "memory://state", "churn", {})
    assert one.seal.open(sealed_by(one)) == PLAIN
    assert "labels can be joined by no other server" in caplog.text
    assert sealed_by(one) != sealed_by(other)


def test_a_running_server_follows_its_file_and_keeps_the_last_good_secrets(
    tmp_path: Path,
) -> None:
    """A new first line seals from then on; a file that is broken or gone changes nothing."""
    path = tmp_path / "keys"
    path.write_text(new_secret())
    running = open_secrets(str(path), str(tmp_path), "churn", {})
    old = sealed_by(running)
    path.write_text(f"{new_secret()}\n{path.read_text()}")
    running.look()
    new = sealed_by(running)
    assert new != old
    assert running.seal.open(old) == PLAIN
    path.write_text("broken")
    running.look()
    assert running.error is not None
    path.unlink()
    running.look()
    assert running.error is not None
    assert running.seal.open(old) == running.seal.open(new) == PLAIN


@given(
    st.text(max_size=60)
    | st.text(alphabet="Aab=-_+/#, \n", max_size=200)
    | st.lists(st.binary(min_size=30, max_size=34), max_size=4).map(
        lambda parts: "\n".join(b64encode(part).decode() for part in parts)
    )
)
def test_any_text_is_secrets_of_32_bytes_or_a_sentence_that_repeats_nothing(text: str) -> None:
    """What is nearly a secret must not stand in a log either."""
    try:
        found = parse_secrets(text)
    except SettingsError as error:
        words = [word for word in text.replace(",", " ").split() if len(word) > 12]
        assert not any(word in str(error) for word in words)
    else:
        assert {len(secret) for secret in found} == {32}
