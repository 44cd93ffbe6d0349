"""`sluice keys`: what it prints, what it writes, and what a server makes of that."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_app.access.key_file import FollowedKeys, read_key_file
from serve_app.access.keys import secret_sha256
from serve_app.commands.main import app

NOW_S = 1_767_225_600.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file will be: a folder of its own."""
    monkeypatch.delenv("KEYS_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "keys.yaml"


def keys(*words: str, code: int = 0) -> tuple[str, str]:
    """Standard output and error of `sluice keys`, which ends with this code."""
    found = CliRunner().invoke(app, ["keys", *words])
    assert found.exit_code == code, found.output
    return found.stdout, found.stderr


def test_a_key_that_is_added_lets_its_owner_in(path: Path) -> None:
    """The whole key is printed alone, so that a script can take it; the file has its hash."""
    out, err = keys("add", "shop", "--rows-per-s", "50", "--burst-rows", "100")
    key = out.strip()
    assert key.startswith("shop.")
    assert "shown this once" in err
    caller = FollowedKeys(path).keys.caller(key.encode(), NOW_S)
    assert caller is not None
    assert (caller.id, caller.scopes) == ("shop", {"predict"})
    assert (caller.rows_per_s, caller.burst_rows) == (50, 100)
    secret = key.partition(".")[2]
    assert secret not in path.read_text()
    assert secret_sha256(secret) in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_key_leaves_the_first_as_it_was(path: Path) -> None:
    """So that a key can be changed without a gap: both are valid until the old one is revoked."""
    first = keys("add", "shop-1")[0].strip()
    second = keys("add", "shop-2", "--scope", "predict", "--scope", "feedback")[0].strip()
    followed = FollowedKeys(path)
    for key in (first, second):
        assert followed.keys.caller(key.encode(), NOW_S) is not None
    assert keys("revoke", "shop-1")[0].strip() == "keys.yaml: shop-1 revoked"
    followed.look()
    assert followed.keys.caller(first.encode(), NOW_S) is None
    assert followed.keys.caller(second.encode(), NOW_S) is not None


def test_the_list_shows_who_and_until_when_and_no_hash(path: Path) -> None:
    """It is read over people's shoulders."""
    key = keys("add", "shop", "--expires", "2099-01-31T02:00:00+02:00")[0].strip()
    keys("add", "ops", "--scope", "admin")
    out, _ = keys("list")
    assert "2099-01-31 00:00 UTC" in out
    assert "admin" in out
    assert "never" in out
    for entry in read_key_file(path).keys:
        assert entry.id in out
        assert entry.secret_sha256[:8] not in out
    assert key.partition(".")[2][:8] not in out


def test_the_list_marks_what_is_over(path: Path) -> None:
    """A key that nobody can use any more is to be revoked."""
    keys("add", "shop", "--expires", "2099-01-31T00:00:00Z")
    path.write_text(path.read_text().replace("2099", "2019"))
    assert "(expired)" in keys("list")[0]


def test_the_variable_says_which_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that a server of this machine or container follows."""
    other = path.with_name("other.yaml")
    monkeypatch.setenv("KEYS_PATH", str(other))
    keys("add", "shop")
    assert other.exists()
    assert not path.exists()
    assert "shop" in keys("list")[0]


REFUSED = {
    "an id that is none": (["add", "Shop"], "id: expected 1 to 40 of a-z, 0-9, - and _"),
    "a scope that is none": (["add", "b", "--scope", "all"], "scopes: expected a list of predict"),
    "a time that is none": (["add", "b", "--expires", "soon"], "expires: expected a date and time"),
    "a time that is over": (
        ["add", "b", "--expires", "2019-01-01T00:00:00Z"],
        "expires: found a time that is over, expected one to come",
    ),
    "a burst without a rate": (["add", "b", "--burst-rows", "3"], "burst_rows without rows_per_s"),
    "an id that is there": (["add", "a"], "has a key a already; expected another id, or `sluice"),
    "an id that is not there": (["revoke", "b"], "has no key of this id; expected one of: a"),
    "no file": (["list", "--file", "none.yaml"], "none.yaml: cannot be read (No such file"),
    "no folder": (["add", "b", "--file", "none/keys.yaml"], "none: cannot be opened (No such file"),
    "disabled": (["list", "--file", "disabled"], "KEYS_PATH: found disabled, expected the path"),
    "disabled when adding": (["add", "b", "--file", "disabled"], "KEYS_PATH: found disabled"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(path: Path, name: str) -> None:
    """Exit code 1, and no key is printed that is in no file."""
    keys("add", "a")
    before = path.read_text()
    words, said = REFUSED[name]
    out, err = keys(*words, code=1)
    assert out == ""
    assert said in err
    assert path.read_text() == before
    assert [one.name for one in path.parent.iterdir()] == ["keys.yaml"]


def test_a_broken_file_is_not_written_over(path: Path) -> None:
    """Whatever it holds may be somebody's only list of keys."""
    path.write_text("keys: [{id: a}]")
    out, err = keys("add", "b", code=1)
    assert out == ""
    assert "entry 1 (a): secret_sha256: missing" in err
    assert path.read_text() == "keys: [{id: a}]"
