"""Room on this machine: how much memory is free, and which errors say that there is none."""

from pathlib import Path

from serve_app.errors import NoRoom

# Files of a bundle may take so much of the memory that is free: the model's bytes are copied once
# more for the child that proves it, and those that serve need some too.
SHARE_FOR_FILES = 0.4
CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")
RECLAIMED = "inactive_file"
MACHINE = Path("/proc/meminfo")
AVAILABLE = "MemAvailable:"


def is_passing(error: BaseException) -> bool:
    """Whether this machine is at fault and not the bundle: no memory, no thread, a full disk."""
    has_no_thread = "can't start new thread" in str(error)
    return isinstance(error, OSError) or has_no_thread or is_memory(error)


def is_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory; onnxruntime has no class of its own for it."""
    return isinstance(error, MemoryError) or "alloc" in str(error).lower()


def free_memory_bytes(
    control_groups: Path = CONTROL_GROUPS, own_group: Path = OWN_GROUP, machine: Path = MACHINE
) -> int | None:
    """Bytes that this process may take until the kernel ends something; None: nobody says so.

    That is the least of what its control group (version 2) has left, those around it, and the
    machine: a laptop has no bound but its own. What was read from files is not counted as taken,
    since the kernel gives it up first.
    """
    found = [_free_in(folder) for folder in _groups(control_groups, own_group)]
    found.append(_available(machine))
    return min((free for free in found if free is not None), default=None)


def require_memory(where: str, n_bytes: int, free_bytes: int | None) -> None:
    """Ask for room before so many bytes of a bundle are read: its manifest, which a stranger may
    have written, says how many they are.

    `free_bytes` is what `free_memory_bytes` tells; None: nobody does. Raises NoRoom.
    """
    if free_bytes is None or n_bytes <= SHARE_FOR_FILES * free_bytes:
        return
    raise NoRoom(
        f"{where}: its files take {n_bytes / 1e6:.0f} MB, found {free_bytes / 1e6:.0f} MB of "
        f"memory free; expected {n_bytes / SHARE_FOR_FILES / 1e6:.0f} MB where it serves"
    )


def _groups(control_groups: Path, own_group: Path) -> list[Path]:
    """The folder of this process's group, and those that it is in."""
    try:
        lines = own_group.read_text().splitlines()
    except (OSError, ValueError):
        return []
    own = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    if not own:
        return []
    folder = control_groups / own[0]
    around = [group for group in folder.parents if group.is_relative_to(control_groups)]
    return [folder, *around]


def _free_in(folder: Path) -> int | None:
    """What one group has left; None where it has no bound, or does not say so."""
    try:
        most = int((folder / "memory.max").read_text())
        taken = int((folder / "memory.current").read_text())
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == RECLAIMED:
                taken -= int(value)
    except (OSError, ValueError):
        # Without a bound it is the word `max`.
        return None
    return max(0, most - taken)


def _available(machine: Path) -> int | None:
    """What the kernel says that the whole machine has left; None where it does not say so."""
    try:
        lines = machine.read_text().splitlines()
        kilobytes = [line.split()[1] for line in lines if line.startswith(AVAILABLE)]
        return int(kilobytes[0]) * 1024
    except (OSError, ValueError, IndexError):
        return None
