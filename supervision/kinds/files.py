"""The files of one child's process: lock, record and output, side by side in a folder that only its owner can enter.

Who can write a record decides which process we signal, so a folder that others can enter is refused, not repaired: it
may be ``/tmp``.
"""

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from supervision.errors import NotRetryable
from supervision.kinds import launch

LONGEST_FILE_NAME = 200
"""Characters of an escaped path; file systems allow 255, and suffixes need room."""

LAST_WORDS = 500
"""Characters of output that an error quotes: the last lines of a traceback; the rest is in the file."""


@dataclass(frozen=True, slots=True)
class ProcessFiles:
    """Where things are kept for the child ``path``."""

    folder: Path
    path: str

    @property
    def lock(self) -> Path:
        """Locked by whoever changes the record; never removed."""
        return self._file("lock")

    @property
    def record(self) -> Path:
        """The one record, as JSON."""
        return self._file("json")

    @property
    def output(self) -> Path:
        """Standard output and standard error of the process, appended."""
        return self._file("log")

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{file_name(self.path)}.{suffix}"

    def make_folder(self) -> None:
        """Make the folder with mode 0700; NotRetryable if there is one that is not ours alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise NotRetryable(
                f"process {self.path!r}: the folder {self.folder} belongs to user {found.st_uid} with mode "
                f"{found.st_mode & 0o777:o}; it must belong to user {os.geteuid()} with mode 700"
            )

    def read_record(self) -> launch.Record:
        """The record, an empty one if there is none; NotRetryable if it cannot be understood."""
        try:
            return launch.read_record(self.record)
        except ValueError as error:
            raise NotRetryable(
                f"process {self.path!r}: the record {self.record} cannot be read ({error}); make sure that the "
                f"process does not run, then remove this file"
            ) from error

    def last_words(self) -> str:
        """The end of the output file, in whole lines where it has several; at most `LAST_WORDS` characters."""
        try:
            with self.output.open("rb") as output:
                output.seek(max(0, output.seek(0, os.SEEK_END) - 4 * LAST_WORDS))  # a character has up to four bytes
                text = output.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return ""
        end = text[-LAST_WORDS:]
        return end if end == text else end.partition("\n")[2] or end


def file_name(path: str) -> str:
    """The path as one file name: different paths differ in it, also where a file system ignores case.

    ``/`` becomes ``~`` and a capital letter ``+`` with the small one (neither character can be in a path); what is too
    long for a file name ends in its hash, after a ``=``.
    """
    escaped = re.sub("[A-Z]", lambda capital: f"+{capital[0].lower()}", path).replace("/", "~")
    if len(escaped) <= LONGEST_FILE_NAME:
        return escaped
    return f"{escaped[: LONGEST_FILE_NAME - 65]}={sha256(path.encode()).hexdigest()}"
