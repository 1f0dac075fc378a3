"""Notices: what the scripts publish on a process's own channel, heard on a connection of its own."""

import socket
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from supervision.store.connection import READ_TIMEOUT_S, connect, translated


class Notices:
    """Listens on ``channel`` while it is entered; raises `StoreUnavailable` when the connection is lost."""

    def __init__(self, url: str, channel: str) -> None:
        self._client = connect(url, timeout=READ_TIMEOUT_S)
        self._channel = channel
        self._pubsub: Any = None

    def __enter__(self) -> Self:
        with translated("listen"):
            client: Any = self._client  # its types do not say what a pubsub is
            self._pubsub = client.pubsub()
            self._pubsub.subscribe(self._channel)
            self._pubsub.get_message(timeout=READ_TIMEOUT_S)  # the server says that it has heard
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pubsub.close()
        self._client.close()

    def interrupt(self) -> None:
        """Let `next`, which another thread is in, raise now instead of waiting on."""
        with suppress(OSError, AttributeError):  # the connection may be gone, or not be there yet
            # Not `disconnect`, which would take the socket away from under the other thread.
            self._pubsub.connection._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 # redis-py has no word for it

    def next(self, seconds: float) -> str | None:
        """The next notice, or None after so many seconds without one."""
        with translated("listen"):
            message = self._pubsub.get_message(timeout=seconds, ignore_subscribe_messages=True)
        return message["data"].decode() if message else None
