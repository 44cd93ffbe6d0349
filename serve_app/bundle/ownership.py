"""Who can change what is at a path: this user and root alone, or others too.

Who may write in a folder can put another in the place of what lies in it, so a path is looked at
level by level, from `/`, links and what they lead to included.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

ROOT = 0
MOST_LINKS = 40


def way_fault(path: Path) -> str:
    """Say which level of the way to a path others can change; empty when none.

    A level belongs to this user or to root. Others may write there only where they cannot replace
    what is not theirs: below a sticky folder such as /tmp, whose levels are looked at in turn. The
    top of a volume that root has mounted counts as given to this machine alone, whatever its mode:
    that of an `emptyDir` is 0777.

    Levels that are not there yet are nobody's. Raises OSError.
    """
    for level in levels(path):
        try:
            found = level.lstat()
        except FileNotFoundError:
            return ""
        fault = owner_fault(level, found)
        if fault:
            return fault
        # A link has no mode: who may replace it is said by the folder that it lies in.
        if stat.S_ISLNK(found.st_mode) or not _others_write(found) or found.st_mode & stat.S_ISVTX:
            continue
        if found.st_uid != ROOT or not level.is_mount():
            return _open_to_others(level, found)
    return ""


def make_own(top: Path, *below: str) -> tuple[Path, str]:
    """A folder and those inside it that are to be this user's own, made where they are missing.

    Returns the innermost, and why others can change one of them; empty when they cannot. `top` may
    be root's. Nothing is made behind a level that others can change. Raises OSError.
    """
    fault = way_fault(top.joinpath(*below))
    if fault:
        return top, fault
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Somebody may have been there first, as below /tmp.
    fault = way_fault(top)
    folder = top
    for name in below:
        folder = folder / name
        if not fault:
            folder.mkdir(mode=0o700, exist_ok=True)
            fault = own_fault(folder)
    return folder, fault


def own_fault(path: Path, *, or_root: bool = False) -> str:
    """Say why others can change a folder or a file itself; empty when they cannot.

    It belongs to this user (`or_root`: or to root), and nobody else may write there. A link is
    refused. Raises OSError.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return f"{path}: is a link; expected the folder or file itself"
    fault = owner_fault(path, found, or_root=or_root)
    if not fault and _others_write(found):
        return _open_to_others(path, found)
    return fault


def owner_fault(path: Path, found: os.stat_result, *, or_root: bool = True) -> str:
    """Say that a level belongs to another user; empty when it does not."""
    allowed = (os.getuid(), ROOT) if or_root else (os.getuid(),)
    if found.st_uid in allowed:
        return ""
    return f"{path}: belongs to user {found.st_uid}; expected one's own"


def levels(path: Path) -> Iterator[Path]:
    """Every folder and link on the way to a path, from `/`; behind a link, the way it leads.

    Raises OSError for links that lead in a circle.
    """
    here = Path("/")
    yield here
    waiting = deque(path.absolute().parts[1:])
    n_links = 0
    while waiting:
        part = waiting.popleft()
        if part == "..":
            here = here.parent
            continue
        level = here / part
        yield level
        if not level.is_symlink():
            here = level
            continue
        n_links += 1
        if n_links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = level.readlink()
        if target.is_absolute():
            here = Path("/")
        waiting.extendleft(reversed([part for part in target.parts if part != "/"]))


def _others_write(found: os.stat_result) -> bool:
    """Whether the mode lets others write.

    Root's group counts as root, and the group of this user's own number as this user.
    """
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and found.st_gid not in (ROOT, os.getuid())


def _open_to_others(path: Path, found: os.stat_result) -> str:
    mode = stat.S_IMODE(found.st_mode)
    return f"{path}: others may write there (mode {mode:04o}); expected none: chmod go-w {path}"
