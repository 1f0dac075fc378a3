"""What the server says about itself, and what waits in it: the facts that `supervision doctor` judges.

Everything comes from INFO, TIME and our own keys: CONFIG is closed on many managed servers, and not needed.
"""

from typing import Any

import msgspec
import redis

from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.scripts import NAMES, Scripts, source
from supervision.store.views import SupervisorView


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The server and the namespace at the moment ``at`` (store milliseconds).

    ``scripts`` maps a script that the server refused to its reason. ``outbox_age_ms`` and ``overdue_ms`` are how long
    the oldest unsent message, the oldest due action and the end of the wait that is longest over its deadline have been
    waiting, 0 when nothing does.
    """

    at: int
    server: str
    version: str
    redis_version: str
    role: str
    aof_enabled: bool
    aof_last_write: str
    maxmemory_policy: str
    scripts: dict[str, str]
    outbox: int
    outbox_age_ms: int
    overdue: int
    overdue_ms: int
    late_waits: int
    late_waits_ms: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `supervision doctor` judges; a ``clock_skew_ms`` above 0 says that the store's clock is ahead of ours."""

    server: ServerFacts
    round_trip_ms: float
    clock_skew_ms: int
    supervisors: tuple[SupervisorView, ...]


class Health:
    """Asks the server about itself."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._client = scripts.client
        self._keys = keys

    def now(self) -> int:
        """The store's clock in milliseconds."""
        with translated("time"):
            seconds, micros = self._client.time()
        return int(seconds * 1000 + micros // 1000)

    def facts(self) -> ServerFacts:
        """All facts; costs a few round trips."""
        with translated("facts"):
            info: Any = self._client.info()
            outbox: Any = self._client.zrange(self._keys.outbox, 0, 0, withscores=True)
            due: Any = self._client.zrange(self._keys.due, 0, 0, withscores=True)
            late: Any = self._client.zrange(self._keys.deadlines, 0, 0, withscores=True)
            waiting: Any = self._client.zcard(self._keys.outbox)
            at = self.now()
            overdue: Any = self._client.zcount(self._keys.due, "-inf", at)
            late_waits: Any = self._client.zcount(self._keys.deadlines, "-inf", at)
        return ServerFacts(
            at=at,
            server=str(info.get("server_name", "redis")),
            version=str(info.get("valkey_version", info.get("redis_version", "unknown"))),
            redis_version=str(info.get("redis_version", "unknown")),
            role=str(info.get("role", "unknown")),
            aof_enabled=bool(info.get("aof_enabled")),
            aof_last_write=str(info.get("aof_last_write_status", "unknown")),
            maxmemory_policy=str(info.get("maxmemory_policy", "unknown")),
            scripts=self._refused_scripts(),
            outbox=waiting,
            outbox_age_ms=_waiting(outbox, at),
            overdue=overdue,
            overdue_ms=_waiting(due, at),
            late_waits=late_waits,
            late_waits_ms=_waiting(late, at),
        )

    def _refused_scripts(self) -> dict[str, str]:
        refused: dict[str, str] = {}
        for name in NAMES:
            try:
                with translated("script load"):
                    self._client.script_load(source(name))
            except redis.ResponseError as error:
                refused[name] = str(error)
        return refused


def _waiting(oldest: list[Any], at: int) -> int:
    return max(0, at - int(oldest[0][1])) if oldest else 0
