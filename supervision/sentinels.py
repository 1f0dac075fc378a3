"""The address of a store that sentinels watch: ``sentinel://host:26379;sentinel://host:26379/0?master=name``.

Spelled as Celery's transport and result backend spell it, with one thing more: the master's name, for which Celery has
an option beside the address. ``;host:port`` without the scheme is read, too. User, password and database are those of
the servers, written before or behind any of the hosts; what the sentinels themselves ask for is ``sentinel_password``.
"""

import os
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from supervision.errors import InvalidDeclaration

SCHEME: Final = "sentinel://"

EXAMPLE: Final = "sentinel://host:26379;sentinel://other:26379/0?master=mymaster"

DEFAULT_PORT: Final = 26379

DEFAULT_MASTER: Final = "mymaster"
"""What the sentinels' own example calls the master, for addresses that name none; see `MASTER_VARIABLE`."""

MASTER_VARIABLE: Final = "SUPERVISION_SENTINEL_MASTER"

TIMEOUT_S: Final = 1.0
"""Seconds that one sentinel has for its answer: the others are asked after it, within the same call."""

OPTIONS: Final = ("db", "master", "sentinel_username", "sentinel_password")
"""What may stand behind the ? of such an address."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where the sentinels are, which master they are asked for, and how to log in there."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int = 0
    login: str = ""
    """User and password as they stand in the address, quoted."""
    own: tuple[tuple[str, str], ...] = ()
    """How to log in at the sentinels themselves: ``username``, ``password``."""

    @classmethod
    def read(cls, url: str) -> Self:
        """What ``url`` says; raises `InvalidDeclaration`, without what may be secret in it."""
        address, _, query = url.partition("?")
        try:
            options = _options(query)
            parts = [urlsplit(SCHEME + chunk.removeprefix(SCHEME)) for chunk in address.split(";") if chunk]
            hosts = tuple((_named(part.hostname), part.port or DEFAULT_PORT) for part in parts)
            database = options.get("db") or next((path for part in parts if (path := part.path.strip("/"))), "0")
            number = int(database)
        except ValueError:
            raise InvalidDeclaration(
                f"the address of sentinels cannot be read; it is like {EXAMPLE}, where behind the ? may stand "
                f"{', '.join(OPTIONS)}, and in a password / # ? @ ; and % are written %2F %23 %3F %40 %3B and %25"
            ) from None  # for what it says may be a part of a password
        return cls(
            hosts=hosts,
            master=options.get("master") or os.environ.get(MASTER_VARIABLE, DEFAULT_MASTER),
            database=number,
            login=next((part.netloc.rpartition("@")[0] for part in parts if "@" in part.netloc), ""),
            own=tuple(
                (name, options[f"sentinel_{name}"])
                for name in ("username", "password")
                if options.get(f"sentinel_{name}")
            ),
        )

    @property
    def servers(self) -> dict[str, str | int | None]:
        """How to log in at whichever server is the master, and which database of it is meant."""
        user, _, password = self.login.partition(":")
        return {"username": unquote(user) or None, "password": unquote(password) or None, "db": self.database}

    def for_celery(self) -> str:
        """The address as Celery reads it; what it does not say is in `transport_options`."""
        login = f"{self.login}@" if self.login else ""
        return ";".join(f"{SCHEME}{login}{_host(host)}:{port}/{self.database}" for host, port in self.hosts)

    @property
    def asking(self) -> dict[str, Any]:
        """How a sentinel is asked: once, for there are others; redis-py would ask one that is gone for ten seconds."""
        timeouts = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), TIMEOUT_S)
        return {**timeouts, "retry": None, **dict(self.own)}

    @property
    def transport_options(self) -> dict[str, Any]:
        """What Celery's transport and result backend are told beside the address."""
        return {"master_name": self.master, "sentinel_kwargs": self.asking}


def transport_options(url: str) -> dict[str, Any]:
    """What Celery has to be told beside ``url``: nothing, unless it is of sentinels."""
    return Sentinels.read(url).transport_options if url.startswith(SCHEME) else {}


def _options(query: str) -> dict[str, str]:
    found = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    if set(found) <= set(OPTIONS):
        return found
    raise ValueError


def _named(host: str | None) -> str:
    if host:
        return host
    raise ValueError


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
