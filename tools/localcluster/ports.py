"""Who listens on which TCP port of this machine."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

LISTEN = "0A"
ANY = IPv4Address(0)


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket; the address 0.0.0.0 stands for all, those of IPv6 too."""

    address: IPv4Address
    port: int
    inode: int

    def blocks(self, address: IPv4Address, port: int) -> bool:
        """Say whether nobody else can listen there any more."""
        return self.port == port and self.address in (ANY, address)


def parse(table: str) -> Iterator[Listener]:
    """Read /proc/net/tcp or tcp6: a heading, then ``N: ADDRESS:PORT PEER STATE ... INODE``, in hex."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        host, _, port = fields[1].partition(":")
        if fields[3] == LISTEN and (address := _address(host)) is not None:
            yield Listener(address, int(port, 16), int(fields[9]))


def _address(host: str) -> IPv4Address | None:
    """Read an address, whose 32-bit words are little-endian; None for one that cannot meet IPv4."""
    words = [host[start : start + 8] for start in range(0, len(host), 8)]
    if not any(int(word, 16) for word in words):
        return ANY  # an IPv6 socket bound to :: accepts IPv4 too
    mapped = len(words) == 4 and words[:3] == ["00000000", "00000000", "FFFF0000"]
    if len(words) == 1 or mapped:
        return IPv4Address(int.from_bytes(bytes.fromhex(words[-1]), "little"))
    return None


def listeners() -> list[Listener]:
    """List the machine's listening TCP sockets."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    return [found for table in tables if table.exists() for found in parse(table.read_text())]


def owner(listener: Listener) -> str:
    """Name the process that holds a socket, as ``NAME (pid N)``."""
    target = f"socket:[{listener.inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while we look
            if any(str(fd.readlink()) == target for fd in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return "an unknown process"
