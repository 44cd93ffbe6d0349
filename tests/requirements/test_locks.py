"""The lock files have what their lists ask for: one that was not compiled again lacks a package."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LISTS = sorted(path.stem for path in FOLDER.glob("*.in"))


def normal(name: str) -> str:
    """A package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(path: Path) -> set[str]:
    """The packages of a list, and of those that it includes."""
    found: set[str] = set()
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            found |= asked(path.parent / line[3:].split()[0])
            continue
        name = NAME.match(line)
        if name:
            found.add(normal(name[0]))
    return found


def locked(path: Path) -> set[str]:
    """The packages that a lock file installs."""
    lines = path.read_text().splitlines()
    return {normal(line.split("==")[0]) for line in lines if re.match(r"\w.*==", line)}


@pytest.mark.parametrize("name", LISTS)
def test_a_lock_file_has_each_package_of_its_list(name: str) -> None:
    """`make lock` compiles them all; whoever compiles one by hand forgets another."""
    missing = asked(FOLDER / f"{name}.in") - locked(FOLDER / f"{name}.txt")
    assert not missing, f"{name}.txt lacks {', '.join(sorted(missing))}: make lock"
