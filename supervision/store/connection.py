"""Connections to the store: bounded in time, without hidden retries.

redis-py 8 replays a command up to ten times after a connection error, which applies a non-idempotent command twice.
We never want that: a call that changes state either answers, or raises and is repeated on purpose by its caller, with
the same id.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from supervision.errors import StoreUnavailable

CONNECT_TIMEOUT_S = 3.0
"""Seconds to wait for a TCP connection; a store on the same network answers in milliseconds."""

READ_TIMEOUT_S = 5.0
"""Seconds to wait for an answer; every script of ours is bounded to 10 ms, so five seconds means trouble."""

HEALTH_CHECK_S = 15
"""A connection that was idle for so many seconds is checked before it is used again."""

_REFUSALS = (
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.MasterDownError,
)
"""Answers that say that the server, or our rights on it, cannot take a write now; nothing was written."""


def connect(url: str, *, timeout: float = READ_TIMEOUT_S) -> redis.Redis:
    """A client for ``url`` (``redis://``, ``rediss://``, ``unix://``) that answers in bytes; connects on first use."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(CONNECT_TIMEOUT_S, timeout),
        socket_keepalive=True,
        health_check_interval=HEALTH_CHECK_S,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn "no answer" and "not now" into `StoreUnavailable`, naming ``what`` was asked for.

    Any other refusal is a mistake of ours, or of whoever wrote into our keys, and passes through.
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"{what}: the store did not answer ({type(error).__name__}: {error})") from error
    except _REFUSALS as error:
        raise StoreUnavailable(f"{what}: the store refused ({error})") from error


def ping(url: str, *, timeout: float = 1.0) -> bool:
    """Whether a store answers at ``url`` within ``timeout`` seconds and has finished loading its data."""
    client = connect(url, timeout=timeout)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
