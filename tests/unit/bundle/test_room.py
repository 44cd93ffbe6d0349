"""How much memory is free by what the kernel says of control groups."""

from pathlib import Path

import pytest

from serve_app.bundle.room import free_memory_bytes


def write_group(
    folder: Path, most: str, taken: str, stat: str = "anon 5\ninactive_file 0\n"
) -> None:
    """The files of one group."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(most)
    (folder / "memory.current").write_text(taken)
    (folder / "memory.stat").write_text(stat)


@pytest.fixture
def own_group(tmp_path: Path) -> Path:
    """What /proc says of a process in a pod, on a machine with groups of both versions."""
    path = tmp_path / "own"
    path.write_text("4:memory:/other\n0::/kubepods/pod1/app\n")
    return path


def test_what_is_free_is_the_least_of_all_groups_around(tmp_path: Path, own_group: Path) -> None:
    """A container without a bound may be in a pod that has one."""
    groups = tmp_path / "groups"
    write_group(groups / "kubepods/pod1/app", "max\n", "300\n")
    write_group(groups / "kubepods/pod1", "1000\n", "400\n")
    write_group(groups / "kubepods", "5000\n", "700\n")
    assert free_memory_bytes(groups, own_group) == 600
    write_group(groups / "kubepods", "5000\n", "4900\n")
    assert free_memory_bytes(groups, own_group) == 100


def test_files_that_were_read_do_not_count_as_taken(tmp_path: Path, own_group: Path) -> None:
    """A node that has read large bundles would look full; the kernel gives them up first."""
    write_group(tmp_path / "kubepods/pod1/app", "1000", "900", "anon 200\ninactive_file 650\nx y\n")
    assert free_memory_bytes(tmp_path, own_group) == 750


def test_inside_a_container_its_own_group_is_at_the_top(tmp_path: Path, own_group: Path) -> None:
    """The folders that /proc names are those of the machine, and not there."""
    write_group(tmp_path, "1000", "1200")
    assert free_memory_bytes(tmp_path, own_group) == 0


@pytest.mark.parametrize("own", ["", "4:memory:/x\n", "0::/\n"])
def test_where_nobody_says_it_nothing_is_known(tmp_path: Path, own: str) -> None:
    """No groups, those of version 1 alone, no bound: then the limits of a model stand."""
    path = tmp_path / "own"
    nothing = tmp_path / "meminfo"
    assert free_memory_bytes(tmp_path, path, nothing) is None
    path.write_text(own)
    nothing.write_text("MemTotal: 1 kB\nMemAvailable:\n")
    assert free_memory_bytes(tmp_path, path, nothing) is None
    write_group(tmp_path, "max", "1")
    nothing.write_bytes(b"MemAvailable: \xff kB\n")
    assert free_memory_bytes(tmp_path, path, nothing) is None


def test_without_a_bound_it_is_what_the_machine_has_left(tmp_path: Path, own_group: Path) -> None:
    """A laptop or a VM sets none, and groups of version 1 are not looked at; the least counts."""
    machine = tmp_path / "meminfo"
    machine.write_text("MemTotal:  16000000 kB\nMemFree:  1 kB\nMemAvailable:    100000 kB\n")
    write_group(tmp_path, "max", "1")
    assert free_memory_bytes(tmp_path, own_group, machine) == 102_400_000
    write_group(tmp_path, "1000", "900")
    assert free_memory_bytes(tmp_path, own_group, machine) == 100
    write_group(tmp_path, "900000000", "1")
    assert free_memory_bytes(tmp_path, own_group, machine) == 102_400_000
