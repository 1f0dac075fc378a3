"""A program that is a coordinator: ``python -m supervision.demo.keeper``. It registers, says so, and waits.

It ends with 0 when it got the signal, and with `SUPERSEDED` when it learns that another one has its name.
"""

import sys

from supervision.client import Client
from supervision.errors import Superseded

NAME = "keeper"
SIGNAL = "keeper/go"
SUPERSEDED = 3
TIMEOUT_S = 300.0


def main() -> int:
    """Wait as a coordinator; the store is the one in the environment."""
    with Client() as client:
        keeper = client.coordinator(NAME, doing="waiting for a word")
        try:
            keeper.wait(SIGNAL, timeout=TIMEOUT_S)
        except Superseded as error:
            sys.stdout.write(f"{error}\n")
            return SUPERSEDED
    return 0


if __name__ == "__main__":
    sys.exit(main())
