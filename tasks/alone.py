"""``python -m tasks.alone plant/line-1/pump 12.2``: look at one child, in this fresh process, within so many seconds.

Started by `tasks.collectors`. It stores what it sees as every look does, and ends.
"""

import os
import sys

from supervision import looking_alone
from tasks import app, wiring


def main(child: str, limit: str) -> None:
    """Look at ``child``; the process ends within ``limit`` seconds, with or without a result."""
    looking_alone.bounded(float(limit))
    wiring.build(app).look_alone(child)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # without waiting for what hangs: it may hold whatever the end of an interpreter needs
