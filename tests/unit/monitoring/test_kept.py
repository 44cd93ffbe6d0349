"""The file of what labels say: replaced whole, and put aside where nobody can read it."""

from pathlib import Path

import pytest

from serve_app.errors import StateError
from serve_app.monitoring.quality.kept import KeptFile

FILE = "churn/shop/quality.json"


def test_what_was_written_is_read_by_the_next_coordinator(tmp_path: Path) -> None:
    """Next to the rollouts' logs of the application, and of no other."""
    kept = KeptFile(str(tmp_path), "churn", "shop")
    assert kept.read() is None
    for data in (b'{"n": 1}', b'{"n": 2}'):
        kept.write(data)
    assert KeptFile(str(tmp_path), "churn", "shop").read() == b'{"n": 2}'
    assert KeptFile(str(tmp_path), "churn", "other").read() is None
    assert [path.name for path in (tmp_path / FILE).parent.iterdir()] == ["quality.json"]


def test_what_cannot_be_used_is_put_aside(tmp_path: Path) -> None:
    """A person may look at it, though the next writing takes its place."""
    kept = KeptFile(str(tmp_path), "churn", "shop")
    kept.put_aside(b'{"n": 1')
    assert (tmp_path / FILE).with_name("quality.broken.json").read_text() == '{"n": 1'


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """With the place, so that a person finds it."""
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file"), "ftp://state"):
        with pytest.raises(StateError, match="state: "):
            KeptFile(place, "churn", "shop").read()
