"""A program that is a coordinator: ``lone_coordinator.py URL NAME SIGNAL [TIMEOUT]``; prints how its wait ended."""

import sys

from supervision.client import Client
from supervision.errors import Superseded, WaitEnded


def main(url: str, name: str, signal: str, timeout: str = "300") -> None:
    with Client(url) as client:
        coordinator = client.coordinator(name)
        sys.stdout.write("registered\n")
        sys.stdout.flush()
        try:
            said = f"got {coordinator.wait(signal, timeout=float(timeout))}"
        except (Superseded, WaitEnded) as error:
            said = f"{type(error).__name__}: {error}"
        sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
