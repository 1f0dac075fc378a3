"""Transports that survive the restart of their broker, and what is no message.

A stock Celery worker that holds an unacknowledged message dies when its Redis restarts: while the broken connection is
cleaned up, kombu forgets the connection's parameters, closes the channel a second time, and that second close wants to
hand messages back and asks the forgotten parameters for a host name (`'NoneType' object has no attribute 'hostname'`).
An AttributeError is not a connection error, so the worker stops instead of reconnecting.

What lies on a queue and is no message of kombu's (a text, other JSON, half a message) ends a stock worker likewise:
kombu reads it on the worker's main loop, and what that raises is no connection error either.

Rules:
- The differences from kombu: a channel remembers the parameters it was opened with, throws away, told in the log,
  what it cannot read, and owes its broker what that has not heard (`engine.unacked`). No body of kombu's is copied.
- `install()` comes before an app opens its first connection; it is idempotent and affects the whole process.
- `tests/system/test_transport_contract.py` proves need and cure in one run, and fails when upstream needs no cure.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

import kombu.transport
from kombu.transport import redis as upstream
from kombu.transport import virtual

from supervision.engine import unacked
from supervision.model import shown

ALIASES = {
    "redis": "supervision.engine.transport:Transport",
    "rediss": "supervision.engine.transport:Transport",
    "sentinel": "supervision.engine.transport:SentinelTransport",
}
"""URL scheme -> our class. ``redis+socket://`` resolves to the first one: kombu takes what stands before the plus."""

_log = logging.getLogger(__name__)


class _RemembersItsBroker:
    """Mixin for channels: opening a pool works after the transport has dropped its parameters, too."""

    connection: Any
    _broker: Any = None

    def _get_pool(self, asynchronous: bool = False) -> object:  # noqa: FBT001, FBT002 - kombu's signature
        with self._broker_known():
            pool: object = super()._get_pool(asynchronous)  # type: ignore[misc]  # each subclass has it from kombu
            return pool

    @contextmanager
    def _broker_known(self) -> Iterator[None]:
        transport = self.connection
        if transport.client is not None:
            self._broker = transport.client
            yield
            return
        # Put back for the call only: kombu drops the reference so that nothing uses a closed connection by accident.
        transport.client = self._broker
        try:
            yield
        finally:
            transport.client = None


class Unreadable(ValueError):
    """What came from a queue is no message."""


class Message(virtual.Message):
    """A message, or `Unreadable`."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        try:
            super().__init__(payload, channel, **options)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        _check(payload.get("body"), self.delivery_tag, self.delivery_info)


def _check(body: object, tag: object, way: object) -> None:
    """Raise `Unreadable` for what kombu would take, and stumble over when it holds the message or tells of it."""
    for name, value in (("body", body), ("delivery_tag", tag)):
        if not isinstance(value, str):
            raise Unreadable(f"{name}={shown(value)}: needs a text")
    if not (isinstance(way, dict) and isinstance(way.get("exchange"), str) and "routing_key" in way):
        raise Unreadable(f"delivery_info={shown(way)}: needs a mapping with exchange and routing_key")


class _PassesOver:
    """Mixin for channels: what cannot be read is thrown away; it was taken from its queue already."""

    def _brpop_read(self, **options: Any) -> object:
        try:
            taken: object = super()._brpop_read(**options)  # type: ignore[misc]  # each subclass has it from kombu
        except (Unreadable, JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.error("a queue had something that is no message, which is thrown away: %s", error)  # where is no news
            return True
        return taken


class Channel(_PassesOver, _RemembersItsBroker, upstream.Channel):
    """A channel to one server."""

    Message = Message
    QoS = unacked.QoS


class SentinelChannel(_PassesOver, _RemembersItsBroker, upstream.SentinelChannel):
    """A channel to whichever server the sentinels call the master."""

    Message = Message
    QoS = unacked.QoS


class Transport(upstream.Transport):
    """``redis://``, ``rediss://`` and ``redis+socket://``."""

    Channel = Channel


class SentinelTransport(upstream.SentinelTransport):
    """``sentinel://``."""

    Channel = SentinelChannel


def install() -> None:
    """Let every redis-like broker URL of this process resolve to our transports."""
    kombu.transport.TRANSPORT_ALIASES.update(ALIASES)
    # A scheme that was resolved before is cached, and the cache would win over the table.
    cache: dict[str | None, type | None] = vars(kombu.transport)["_transport_cache"]
    for alias in ALIASES:
        cache.pop(alias, None)


def installed(scheme: str = "redis") -> bool:
    """Whether broker URLs that begin with ``scheme`` use our transports."""
    found: object = kombu.transport.get_transport_cls(scheme)
    return isinstance(found, type) and issubclass(found, Transport | SentinelTransport)
