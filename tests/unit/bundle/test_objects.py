"""Bytes by key, with one set of errors whatever store is behind: what the bundles and the rollouts'
logs stand on.
"""

import os
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from serve_app.bundle.objects import (
    NoSuchObject,
    ObjectExists,
    ObjectFault,
    Objects,
    ObjectTooLarge,
    open_objects,
    scheme_fault,
)

MOST_BYTES = 100
SPARSE_BYTES = 6_000_000_000


@pytest.fixture(params=["folder", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A folder that is not there yet, and a store in memory."""
    if request.param == "memory":
        return Objects(MemoryStore())
    return open_objects(str(tmp_path / "not" / "there"), retry_s=1, timeout_s=1)


def test_an_object_is_created_once_and_may_be_replaced(objects: Objects) -> None:
    """Put-if-absent is what keeps a log one order, and a version immutable."""
    objects.create("a/b/one", b"1")
    with pytest.raises(ObjectExists):
        objects.create("a/b/one", b"2")
    assert objects.get("a/b/one", MOST_BYTES) == b"1"
    objects.replace("a/b/one", b"3")
    objects.replace("a/two", b"4")
    assert (objects.get("a/b/one", MOST_BYTES), objects.get("a/two", MOST_BYTES)) == (b"3", b"4")


def test_keys_are_listed_below_a_folder_and_inside_it(objects: Objects) -> None:
    """A folder that is not there has none."""
    for key in ("a/one", "a/b/two", "ab/three"):
        objects.create(key, b"")
    assert sorted(objects.below("a/")) == ["a/b/two", "a/one"]
    assert objects.inside("a") == ["a/one"]
    assert objects.below("none/") == objects.inside("none") == []


def test_what_is_not_there_is_told_apart_from_a_store_that_fails(
    objects: Objects, tmp_path: Path
) -> None:
    """The first is an answer; the second says the kind of error, and never the client's text."""
    with pytest.raises(NoSuchObject, match=r"^a/none$"):
        objects.get("a/none", MOST_BYTES)
    (tmp_path / "file").write_text("")
    folder = open_objects(str(tmp_path), retry_s=1, timeout_s=1)
    for call in (lambda: folder.get("file/x", MOST_BYTES), lambda: folder.create("file/x", b"")):
        with pytest.raises(ObjectFault, match=r"^GenericError$") as found:
            call()
        assert (found.value.kind, found.value.is_permission) == ("GenericError", False)


def test_an_object_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Reading 6 GB would end the process: the client has no memory error to raise."""
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", SPARSE_BYTES)
    folder = open_objects(str(tmp_path), retry_s=1, timeout_s=1)
    with pytest.raises(ObjectTooLarge) as found:
        folder.get("large", MOST_BYTES)
    assert found.value.n_bytes == SPARSE_BYTES
    folder.create("small", b"x" * MOST_BYTES)
    assert len(folder.get("small", MOST_BYTES)) == MOST_BYTES


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("state", None),
        ("/a/b", None),
        ("s3://bucket/prefix", None),
        ("memory://", None),
        ("ftp://x", "found 'ftp://x', expected a folder or one of s3://, gs://, az://, memory://"),
    ],
)
def test_a_place_is_a_folder_or_a_uri_that_is_known(place: str, fault: str | None) -> None:
    """A scheme that nobody knows would otherwise become a folder of that name."""
    assert scheme_fault(place) == fault
