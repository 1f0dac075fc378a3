"""The starter's side of the launcher: find the program, run the launcher once, hand it a request, take its answer.

Nothing is decided here. The launcher may be killed at any moment without harm, so a starter that has waited long enough
kills it: what it had already started has its record, and the next start adopts it.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervision.errors import ActionFailed, NotRetryable
from supervision.kinds import launch

ANSWER_MARGIN = 2.0
"""Seconds that the launcher may take beyond the patience for the lock that its request allows."""

HOPELESS = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.E2BIG}
)
"""Why a program cannot be executed, where the same try would end in the same way."""

# On Linux the launcher needs no site-packages, and whatever they run at start-up shall not delay or break it.
_OPTIONS = ("-I", "-S") if sys.platform == "linux" else ("-I",)


def ask_launcher(request: Mapping[str, object], path: str) -> dict[str, Any]:
    """The launcher's answer to a request; ``path`` only makes it recognisable in a list of processes.

    Raises:
        ActionFailed: It did not answer in time, or died before it could.
    """
    patience = float(str(request["patience"])) + ANSWER_MARGIN
    launcher = subprocess.Popen(  # noqa: S603 - our own file, by our own interpreter
        [sys.executable, *_OPTIONS, launch.__file__, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What is sent to a worker's group or terminal must not reach the launcher in the middle of its work.
        start_new_session=True,
    )
    with launcher:
        try:
            said, complaint = launcher.communicate(json.dumps(request).encode(), patience)
        except subprocess.TimeoutExpired:
            raise ActionFailed(f"process {path!r}: the launcher did not answer within {patience:g} s") from None
        finally:
            launcher.kill()  # does nothing to one that has ended
    if not said:
        why = complaint.decode(errors="replace").strip() or "no message"
        raise ActionFailed(f"process {path!r}: the launcher ended with {launcher.returncode} before answering: {why}")
    answer: dict[str, Any] = json.loads(said)
    return answer


def find_program(path: str, name: str, env: Mapping[str, str], cwd: Path | None) -> str:
    """The absolute path of the program ``name``, found before anything is started; ``path`` is the child's.

    Raises:
        NotRetryable: There is no such program.
    """
    if os.sep in name:
        name = str((cwd or Path()).absolute() / name)
    found = shutil.which(name, path=env.get("PATH", os.defpath))
    if found is None:
        raise NotRetryable(
            f"process {path!r}: {name!r} is not an executable file"
            f"{'' if os.sep in name else ' in any folder of PATH'}; install it, or name it by its whole path"
        )
    return os.path.abspath(found)  # noqa: PTH100 - Path.resolve would follow links, and argv[0] programs need theirs
