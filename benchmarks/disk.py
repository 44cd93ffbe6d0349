"""How much an idle Sluice writes: every file of its own, its HAProxy and its Ray, an hour long."""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.bundles import trained
from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.contenders.sluice import base_config, up
from benchmarks.place import Place
from benchmarks.report import table
from benchmarks.service import running

MOST_BYTES_AN_HOUR = 2_000_000
MOST_FILES_SHOWN = 10
HOUR_S = 3_600.0


@dataclass(frozen=True)
class Plan:
    """How long to wait until the start has been written down, to look, and between two looks."""

    settle_s: float
    look_s: float
    every_s: float


FULL = Plan(settle_s=60, look_s=HOUR_S, every_s=60)
# Ray's statistics come once a minute: long enough for one of them.
SHORT = Plan(settle_s=10, look_s=90, every_s=30)


@dataclass(frozen=True)
class Look:
    """The bytes of all files at a time since the first look."""

    at_s: float
    n_bytes: int


@dataclass(frozen=True)
class Growth:
    """What was written between the first look and the last.

    `files` holds bytes by file, for those that grew. A file that was rotated or removed counts with
    what it lost: what matters is the room that is taken. `there` has all files of the last look.
    """

    looks: tuple[Look, ...]
    files: Mapping[str, int]
    there: Mapping[str, int]

    @property
    def n_bytes(self) -> int:
        """Bytes that were added in all."""
        return self.looks[-1].n_bytes - self.looks[0].n_bytes

    @property
    def bytes_an_hour(self) -> float:
        """The same for an hour."""
        return self.n_bytes * HOUR_S / (self.looks[-1].at_s - self.looks[0].at_s)


def run(out: Path, console: Console, plan: Plan) -> Growth:
    """Serve, ask for nothing, and look; the report as JSON and Markdown. Raises BenchmarkError."""
    with short_folder() as temporary, running(_contender(temporary), trained()) as service:
        folders = {"place": service.place.folder, "tmp": temporary}
        console.print(f"idle for {plan.settle_s + plan.look_s:g} s …")
        time.sleep(plan.settle_s)
        begin_s = time.monotonic()
        first = all_sizes(folders)
        looks = [Look(0.0, sum(first.values()))]
        last = first
        while time.monotonic() < begin_s + plan.look_s:
            time.sleep(plan.every_s)
            last = all_sizes(folders)
            looks.append(Look(time.monotonic() - begin_s, sum(last.values())))
        found = Growth(tuple(looks), grown(first, last), last)
    out.mkdir(parents=True, exist_ok=True)
    (out / "disk.json").write_text(json.dumps(asdict(found), indent=1))
    (out / "disk.md").write_text(markdown(found))
    return found


def _contender(temporary: Path) -> Contender:
    # Ray's files are below the place. Those of `sluice up`, HAProxy and the cache are temporary.
    def launch(place: Place, bundle: Path) -> Launch:
        started = up(place, base_config(place, bundle))
        return replace(started, env={**started.env, "TMPDIR": str(temporary)})

    return Contender("disk", "idle", "sluice", launch, SLUICE)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for temporary files, for a `with` block; gone afterwards.

    Its name is short. HAProxy refuses sockets whose paths have more than 97 characters, and has 86
    of its own below it: a folder of `sluice up`, the id of the node, the name of the socket.
    """
    while True:
        folder = Path("/tmp") / secrets.token_hex(2)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def all_sizes(folders: Mapping[str, Path]) -> dict[str, int]:
    """Bytes of each file below some folders, by the folder's name and the path there."""
    return {
        f"{name}/{path}": n_bytes
        for name, folder in folders.items()
        for path, n_bytes in sizes(folder).items()
    }


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file below a folder, by its path there; links and sockets are left out."""
    found: dict[str, int] = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where) / name
            try:
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(folder))] = path.stat().st_size
            except OSError:
                # It went while it was looked at.
                continue
    return found


def grown(first: Mapping[str, int], last: Mapping[str, int]) -> dict[str, int]:
    """Bytes by file for those that grew, largest first."""
    differences = {name: n_bytes - first.get(name, 0) for name, n_bytes in last.items()}
    positive = [(name, n_bytes) for name, n_bytes in differences.items() if n_bytes > 0]
    return dict(sorted(positive, key=lambda item: -item[1]))


def markdown(found: Growth) -> str:
    """The sentence that counts, the looks, and what grew most."""
    seconds = found.looks[-1].at_s
    text = (
        f"In {seconds:,.0f} s without a request {found.n_bytes / 1e3:,.1f} KB more, which makes "
        f"{found.bytes_an_hour / 1e6:.2f} MB an hour.\n\n"
    )
    first = found.looks[0].n_bytes
    looks = [
        [f"{look.at_s:,.0f}", f"{look.n_bytes / 1e6:,.2f}", f"{(look.n_bytes - first) / 1e3:,.1f}"]
        for look in found.looks
    ]
    files = [[name, f"{n_bytes / 1e3:,.1f}"] for name, n_bytes in _most(list(found.files.items()))]
    parts = [table(["seconds", "MB in all", "KB more"], looks), table(["file", "KB more"], files)]
    return text + "\n\n".join(parts) + "\n"


def _most(files: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    return files[:MOST_FILES_SHOWN]
