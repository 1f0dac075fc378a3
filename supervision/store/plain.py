"""What other people's code says, made fit for the store: short, and always text that can be written.

A message of an exception may hold anything: half a megabyte, or bytes of a file name that are no UTF-8. Refusing it
would let one child's odd message break the write that its siblings share.
"""

MAX_CHARACTERS = 4_000
"""About a screenful: enough for a traceback's last calls, and too little to make a snapshot slow to load."""


def plain(text: str) -> str:
    """``text`` in at most `MAX_CHARACTERS`, what cannot be UTF-8 written as an escape."""
    return text[:MAX_CHARACTERS].encode(errors="backslashreplace").decode()


def told(error: BaseException) -> str:
    """An exception as one reason: its type and what it says, if it can say it."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - user code: an exception that cannot even say what it is
        said = "its message raised another exception"
    return plain(f"{type(error).__name__}: {said}")
