"""Coordinators as stored: registered, beating, judged, and told dead once, whoever finds out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from supervision.coordination.liveness import JUDGEMENTS, Patience
from supervision.documents import clipped
from supervision.errors import Lost, NotFound
from supervision.store.claims import news, told_to_parent
from supervision.store.connection import translated
from supervision.store.happened import Happened, Heard
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts
from supervision.store.waits import LEASE_MS, SLICE, Claimed, handed

MOST_BEATS = 500
"""Heartbeats in one script: each takes a few µs of the store."""

MOST_JUDGED = 50
"""Coordinators in one script, of those that were late and of those that are: some 25 µs of the store each, twice
that where it is declared dead."""

MOST_BURIED = 100
"""Coordinators of a process that one script declares dead: each takes 20 to 50 µs of the store."""


LOST = "lost"
"""Why an instance may not go on that registers again: the store has lost it in a failover."""


class Beat(NamedTuple):
    """One heartbeat: ``moved`` says that progress was made since the last one."""

    id: str
    incarnation: int
    doing: str = ""
    moved: bool = False


class Registered(NamedTuple):
    """A coordinator's incarnation, and the seconds between two judgements: as often it has to beat; 0 if unknown."""

    incarnation: int
    every: float


class CoordinatorView(msgspec.Struct, frozen=True):
    """One coordinator as people see it; times in store milliseconds, ``beat`` is the last heartbeat's.

    ``state`` is registered, active, waiting, complete, failed or dead; ``waits`` are the ids of its open waits.
    """

    id: str
    kind: str
    host: str
    process: str
    incarnation: int
    state: str
    since: int
    doing: str = ""
    parent: str = ""
    why: str = ""
    health: str = "healthy"
    ended: int = 0
    beat: int = 0
    waits: tuple[str, ...] = ()


class Coordinators:
    """The store's side of coordinators."""

    def __init__(self, scripts: Scripts, keys: Keys, heard: Heard | None = None) -> None:
        self._scripts = scripts
        self._heard = heard or Heard()
        self._keys = keys
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def register(  # noqa: PLR0913 # one coordinator; all but its id are named
        self,
        name: str,
        *,
        kind: str,
        process: str,
        host: str,
        doing: str = "",
        parent: str = "",
        progress_s: float = 0,
        again: int = 0,
    ) -> "Registered":
        """Come under that name, which supersedes whoever had it.

        With ``again``, the incarnation of an instance that the store has lost, that one comes back, unless another one
        has come meanwhile: the answer is whoever has the name now.
        """
        arguments = [name, kind, process, host, clipped(doing), parent, round(progress_s * 1000), again or ""]
        incarnation, before, every = self._scripts.run("register", self._first, arguments)
        if again in (0, int(incarnation)):
            self._heard.tell(Happened("coordinator", name, before.decode(), "registered", kind, process))
        return Registered(int(incarnation), int(every) / 1000 if every else 0.0)

    def beat(self, beats: Sequence[Beat]) -> dict[str, str]:
        """Say that these live; answers those that may not go on, and why, which may be `LOST`."""
        refused: dict[str, str] = {}
        for i in range(0, len(beats), MOST_BEATS):
            some = [
                (each.id, each.incarnation, clipped(each.doing), int(each.moved)) for each in beats[i : i + MOST_BEATS]
            ]
            answer = self._scripts.run("beat", self._first, [part for each in some for part in each])
            words = [part.decode() for part in answer]
            refused |= dict(zip(words[::2], words[1::2], strict=True))
        return refused

    def leave(self, name: str, incarnation: int, *, failed: bool = False, why: str = "") -> bool:
        """Say that this one is complete, or has failed; answers whether it had not ended before.

        Raises:
            Lost: the store does not know this instance any more.
        """
        state = "failed" if failed else "complete"
        ended = self._scripts.run("leave", self._first, [name, incarnation, state, clipped(why)])
        if ended == [b"lost"]:
            raise Lost(name)
        if ended:
            self._heard.tell(Happened("coordinator", name, "", state, why, expected=ended[0] == b"1"))
        return bool(ended)

    def bury(self, process: str, why: str) -> list[str]:
        """Declare all coordinators of a process dead that is known to have ended; answers them."""
        died: list[str] = []
        left = 1
        while left:
            left, *answer = self._scripts.run("bury", self._first, [process, clipped(why), MOST_BURIED])
            pairs = zip(answer[::2], answer[1::2], strict=True)
            died += self._died([part for each in pairs for part in (*each, why.encode())])
        return died

    def judge(self, patience: Patience) -> list[str]:
        """Judge everybody by the last heartbeat; answers those who were declared dead by this call."""
        limits = [
            round(each * 1000) for each in (patience.warning, patience.critical, patience.dead, patience.heartbeat)
        ]
        died: list[str] = []
        more, cursor, left = 1, b"0", b""  # where the walks over those who were late, and who are, have got to
        while more:
            arguments = [MOST_JUDGED, cursor, left, *limits, JUDGEMENTS]
            more, cursor, left, dead, moved = self._scripts.run("judge", self._first, arguments)
            words = [part.decode() for part in moved]
            for name, before, health in zip(words[::3], words[1::3], words[2::3], strict=True):
                self._heard.tell(Happened("coordinator", name, before, health, "judged by its last heartbeat"))
            died += self._died(dead)
        return died

    def mourning(self, most: int = 1000) -> list[str]:
        """Dead ones whose death was not told yet to all who expect them, ``most`` at most."""
        with translated("mourning"):
            return [name.decode() for name in self._scripts.client.zrange(self._keys.mourning, 0, most - 1)]  # type: ignore[union-attr] # the sync client answers the list itself

    def mourn(self, name: str, *, claim: bool) -> tuple[int, list[Claimed]]:
        """Tell some of those who expect ``name`` that it died; answers how many are left, and who goes on."""
        answer = self._scripts.run("mourn", self._first, [name, SLICE, LEASE_MS if claim else 0])
        ended = handed(answer[2:])
        self._heard.tell(*news(ended), *([told_to_parent(name)] if int(answer[1]) else []))
        return int(answer[0]), ended

    def replace_again(self) -> list[str]:
        """Send once more for those who replace a dead one and have not registered in their time, five times in all.

        After the last time those who expect it are to be told, as of a death. Answers the dead ones.
        """
        answer = self._scripts.run("replace_again", self._first, [MOST_JUDGED])
        late = [tuple(part.decode() for part in each) for each in answer]
        self._heard.tell(*(Happened("coordinator", name, "replacing", after, why) for name, after, why in late))
        return [name for name, _, _ in late]

    def replacement(self, name: str) -> tuple[str, str, str]:
        """The signature that replaces ``name``, as text, its home, and the id of the one task that it is."""
        with translated("replacement"):
            found: Any = self._scripts.client.hmget(self._keys.coordinator(name), "replacement", "home", "replaced")
        signature, home, incarnation = found
        if signature is None:
            raise NotFound(f"nobody is to replace {name!r} any more: it has registered again meanwhile")
        return signature.decode(), (home or b"").decode(), f"replacement-{name}-{incarnation.decode()}"

    def get(self, name: str) -> CoordinatorView:
        """One of them, or `NotFound`; ended ones are known for a day."""
        found = self._read([name])
        if not found:
            raise NotFound(f"no coordinator {name!r} has registered in the last day")
        return found[0]

    def all(self, most: int = 1000) -> list[CoordinatorView]:
        """Who is known, ``most`` at most: the living first, by name, then those who have ended, the last one first."""
        key = self._keys.coordinators
        client: Any = self._scripts.client
        with translated("coordinators"):
            names = client.zrangebyscore(key, "+inf", "+inf", 0, most)
            names += client.zrevrangebyscore(key, "(+inf", "-inf", 0, most - len(names))
        return self._read([name.decode() for name in names])

    def _died(self, answer: Sequence[bytes]) -> list[str]:
        """Tell of those that a script has declared dead: name, whether somebody expects it, why, name ..."""
        words = [part.decode() for part in answer]
        for name, expected, why in zip(words[::3], words[1::3], words[2::3], strict=True):
            self._heard.tell(Happened("coordinator", name, "", "dead", why, expected=expected == "1"))
        return words[::3]

    def _read(self, names: Sequence[str]) -> list[CoordinatorView]:
        pipeline = self._scripts.client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(self._keys.coordinator(name))
            pipeline.zscore(self._keys.beats, name)
            pipeline.smembers(self._keys.waits_of(name))
        with translated("coordinators"):
            found = pipeline.execute() if names else []
        return [_view(name, *found[3 * i : 3 * i + 3]) for i, name in enumerate(names) if found[3 * i]]


def _view(name: str, fields: dict[bytes, bytes], beat: float | None, waits: set[bytes]) -> CoordinatorView:
    plain = {key.decode(): value.decode() for key, value in fields.items()}
    state = "waiting" if waits and plain["state"] in {"registered", "active"} else plain["state"]
    told = {
        **plain,
        "id": name,
        "state": state,
        "beat": int(beat or 0),
        "waits": sorted(each.decode() for each in waits),
    }
    return msgspec.convert(told, CoordinatorView, strict=False)
