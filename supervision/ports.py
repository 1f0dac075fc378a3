"""Free ports on this machine's loopback address, where no outgoing connection can be sitting on them."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PORTS: Final = range(20_000, 32_000)
"""Where ports are looked for: below the usual ephemeral ranges, above what well-known services use."""

TRIES: Final = 20
"""Ports to look at before giving up; that all are taken says that something else is wrong."""


def free_ports(*first: int) -> Iterator[int]:
    """The free ones of ``first``, in that order, then free ones by chance; `TRIES` looks at most, so it may end.

    Free is what was seen a moment ago: whoever listens must still be ready to find the port taken.
    """
    ephemeral = ephemeral_ports()
    candidates = [port for port in PORTS if port not in ephemeral] or PORTS
    others = (secrets.choice(candidates) for _ in range(TRIES))
    return (port for port in (*first, *others) if is_free(port))


def is_free(port: int) -> bool:
    """Whether nobody listens on 127.0.0.1:``port`` right now."""
    with socket.socket() as probe:
        # As servers do it: connections of an earlier server that are in TIME_WAIT do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def ephemeral_ports() -> range:
    """What the kernel gives to outgoing connections; empty where it does not say, as that is then above `PORTS`."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except FileNotFoundError:
        return range(0)
    return range(int(low), int(high) + 1)
