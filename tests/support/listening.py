"""Who listens where: the TCP ports of some processes, as Linux shows them."""

import ipaddress
import re
import struct
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LISTENS = "0A"
# What listens where Sluice runs, by how its name begins: HAProxy, Ray's own programs, and its
# processes of Python, which give themselves a title.
EXPECTED = ("haproxy", "raylet", "gcs_server", "ray::", "ray-dashboard", "python")


@dataclass(frozen=True)
class Listener:
    """A port that a process listens on."""

    program: str
    address: str
    port: int

    @property
    def is_for_this_machine(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.address).is_loopback


def by_program(found: Iterable[Listener]) -> dict[str, int]:
    """How many ports each program has, Ray's processes by the word that their title begins with."""
    names = [re.split(r"[ :(-]", one.program.removeprefix("ray::"))[0] for one in found]
    return dict(sorted(Counter(names).items()))


def unexpected(found: Iterable[Listener]) -> set[Listener]:
    """Ports of programs that nobody has thought of."""
    return {one for one in found if not one.program.startswith(EXPECTED)}


def listeners(pids: Iterable[int]) -> set[Listener]:
    """What these processes listen on, in the network of this process."""
    places = _places()
    found = set()
    for pid in pids:
        with suppress(OSError):
            program = _program(pid)
            for inode in _sockets(pid) & set(places):
                address, port = places[inode]
                found.add(Listener(program, address, port))
    return found


def _program(pid: int) -> str:
    """The title that Ray gives a process, or the name of its file."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    return words if words.startswith("ray::") else Path(words).name


def _sockets(pid: int) -> set[str]:
    """The numbers of the sockets that a process has open."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            match = re.fullmatch(r"socket:\[(\d+)\]", str(path.readlink()))
            if match:
                found.add(match[1])
    return found


def _places() -> dict[str, tuple[str, int]]:
    """Address and port by the number of the socket, of all that listen."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS:
                host, _, port = fields[1].partition(":")
                found[fields[9]] = (_address(host), int(port, 16))
    return found


def _address(text: str) -> str:
    """An address of /proc/net/tcp, which is in words of four bytes, each the wrong way round."""
    words = [text[start : start + 8] for start in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", int(word, 16)) for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
