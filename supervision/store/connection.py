"""Connections to the store: bounded in time, without hidden retries.

redis-py 8 replays a command up to ten times after a connection error, which applies a non-idempotent command twice.
We never want that: a call that changes state either answers, or raises and is repeated on purpose by its caller, with
the same id.

Each new connection asks once which run of which server it leads to: after a restart or a failover the last writes may
be missing, and whoever decides has to know.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from supervision import sentinels
from supervision.errors import InvalidDeclaration, StoreUnavailable
from supervision.sentinels import EXAMPLE, Sentinels
from supervision.settings import DEFAULT_STORE_URL

CONNECT_TIMEOUT_S = 3.0
"""Seconds to wait for a TCP connection; a store on the same network answers in milliseconds."""

READ_TIMEOUT_S = 5.0
"""Seconds to wait for an answer; every script of ours is bounded to 10 ms, so five seconds means trouble."""

HEALTH_CHECK_S = 15
"""A connection that was idle for so many seconds is checked before it is used again."""

OPTIONS = (
    *("db", "username", "password", "client_name", "protocol", "max_connections"),
    *("socket_timeout", "socket_connect_timeout", "health_check_interval", "ssl_..."),
)
"""What may stand behind the ? of a store's address; with it redis-py takes anything else for an argument of its own,
and ``?retry=`` or ``?decode_responses=`` would undo what holds for every connection of ours."""

_REFUSALS = (
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.MasterDownError,
)
"""Answers that say that the server, or our rights on it, cannot take a write now; nothing was written."""

_NOT_NOW = ("NOREPLICAS", "MISCONF", "BUSY ", "DB index", "invalid DB index")
"""How such answers begin that redis-py knows no type for: replicas, the disk or a database of that number are missing,
or a script runs for long."""


class Greeting:
    """What every new connection of one client does first; ``server`` is the run id that the newest one has found."""

    def __init__(self) -> None:
        self.server = ""

    def __call__(self, connection: Any) -> None:  # redis-py tells no types for what is used of it here
        """Log in, as redis-py does by itself when nobody wants to greet, and ask who is there."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        try:
            told = re.search(rb"^run_id:(\w+)", connection.read_response(disable_decoding=True), re.MULTILINE)
        except redis.ResponseError:  # not ours to ask on this server, which is no reason to do without it
            told = None
        self.server = told[1].decode() if told else ""


def server_of(client: redis.Redis) -> str:
    """The run id of the server that the next command of ``client`` goes to, empty when it does not tell.

    Costs no round trip: it is asked when a connection is made, which includes the one that a broken one is replaced by.
    """
    pool = client.connection_pool
    with translated("connect"):
        pool.release(pool.get_connection())
    greeting = pool.connection_kwargs["redis_connect_func"]
    return greeting.server if isinstance(greeting, Greeting) else ""


def connect(url: str, *, timeout: float = READ_TIMEOUT_S) -> redis.Redis:
    """A client for ``url`` (``redis://``, ``rediss://``, ``unix://``, ``sentinel://``) that answers in bytes.

    It connects on first use. Raises `InvalidDeclaration` for an address that can never be one, without what may be
    secret in it.
    """
    options = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, timeout),
        "health_check_interval": HEALTH_CHECK_S,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": Greeting(),
    }
    if not url.startswith("unix:"):  # a local socket does not have it
        options["socket_keepalive"] = True
    if url.startswith(sentinels.SCHEME):
        return _watched(Sentinels.read(url), options)
    try:
        client = redis.Redis.from_url(url, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # which connects nowhere: it says now what is wrong with them
    except (TypeError, ValueError, redis.RedisError):
        raise _refused(url) from None  # for what it says may be a part of a password
    if _odd_options(url):
        raise _refused(url)
    return client


class _MasterPool(SentinelConnectionPool):
    """Connections to the master; with the last of them those to the sentinels go, which redis-py leaves open."""

    def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 # redis-py's own signature
        """Close the connections, those to the sentinels too unless a change of the master is why."""
        super().disconnect(inuse_connections)
        if inuse_connections:
            for watcher in self.sentinel_manager.sentinels:
                watcher.close()


def _watched(found: Sentinels, options: dict[str, Any]) -> redis.Redis:
    """A client for whichever server the sentinels call the master when a connection is made."""
    watchers: Any = Sentinel(found.hosts, sentinel_kwargs=found.asking)  # type: ignore[no-untyped-call] # redis-py's
    client: redis.Redis = watchers.master_for(
        found.master, connection_pool_class=_MasterPool, **found.servers, **options
    )
    return client


def _odd_options(url: str) -> list[str]:
    query = urlsplit(url).query
    found = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    return [name for name in found if name not in OPTIONS and not name.startswith("ssl_")]


def _refused(url: str) -> InvalidDeclaration:
    """Without the address, and without the parser's sentence about it: either may quote a part of a password."""
    query = url.partition("?")[2]
    odd = [] if "@" in query else [name for name in _odd_options("?" + query) if name.isidentifier()]
    options = f"has options that are none of {', '.join(OPTIONS)}: {', '.join(map(repr, odd))}"
    wrong = options if odd else "cannot be read"
    return InvalidDeclaration(
        f"the store's address {wrong}; it is redis://, rediss://, unix:// or sentinel://, for example "
        f"{DEFAULT_STORE_URL}, rediss://host:6379/0?ssl_ca_certs=/etc/ca.pem or {EXAMPLE}, and in a password "
        "/ # ? @ and % are written %2F %23 %3F %40 and %25"
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
    except redis.ResponseError as error:
        if str(error).startswith(_NOT_NOW):
            raise StoreUnavailable(f"{what}: the store refused ({error})") from error
        raise


def ping(url: str, *, timeout: float = 1.0) -> bool:
    """Whether a store answers at ``url`` within ``timeout`` seconds and has finished loading its data."""
    client = connect(url, timeout=timeout)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
