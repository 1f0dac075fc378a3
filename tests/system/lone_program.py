"""What a look alone may turn out to be: ``python -m lone_program WHAT LIMIT``; notes its pid, and does WHAT."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from supervision import looking_alone


def main(what: str, limit: str) -> None:
    file = Path(os.environ["LONE_FOLDER"]) / what
    if what == "hangs":  # deaf to all but the last signal, and with a process of its own
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        file.write_text(f"{os.getpid()} {below.pid}")
        time.sleep(60)
    elif what == "bounded":
        looking_alone.bounded(float(limit))
        time.sleep(60)
    file.write_text(str(os.getpid()))
    sys.exit(3 if what == "fails" else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
