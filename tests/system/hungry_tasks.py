"""Tasks of a user that run out of memory: by a real limit of their pool process, in every way such a process ends."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from celery import shared_task
from waiting_tasks import noted

from supervision import coordinator, send

PIECE = 256
"""Bytes of one piece of the hoard: below 512, where Python's own allocator hands memory out of its arenas."""

DEEP = 40_000
"""Tuples in one another: their hash takes 4 MB of the stack, which is half of what a process usually may have."""


@shared_task(name="hungry.build", ignore_result=False, acks_late=False)
@coordinator(lambda name, _how: name)
def build(name, how):
    """A coordinator that needs more than there is."""
    noted(f"began:{name}")
    with no_more_than(64 << 20):
        bytearray(1 << 32) if how == "raises" else killed_by_the_limit()


@shared_task(name="hungry.send", ignore_result=False, acks_late=False)
def sends(name, slack, how):
    """Send a signal, and go on with who waited for it, with ``slack`` bytes left; then recover, or be killed."""
    with no_more_than(0):
        hoard = all_there_is()
        for _ in range(slack // PIECE):
            hoard.pop()  # to cut a piece off needs memory
        # One that leaves a task has Celery end the whole worker; whether the signal was sent is not known.
        with suppress(MemoryError):
            send(name, name, id=name)
        hoard.clear()
    if how == "killed":
        killed_by_the_limit()


@contextmanager
def no_more_than(more: int) -> Iterator[None]:
    """Inside, this process may have ``more`` bytes more than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def all_there_is() -> list[bytes]:
    """Pieces of memory until there are no more."""
    pieces: list[bytes] = []
    try:
        while True:
            pieces.append(bytes(PIECE))
    except MemoryError:
        return pieces


def killed_by_the_limit() -> None:
    """The stack has to grow and may not: the kernel kills a process at that, since there is nobody it could tell."""
    nested: tuple[object, ...] = ()
    for _ in range(DEEP):
        nested = (nested,)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.getrlimit(resource.RLIMIT_AS)[1]))
    hash(nested)
    raise AssertionError("the limit was none")
