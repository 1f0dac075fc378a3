"""A plant for the store's tests: lamps that should burn, a check over two of them, and looks at what is stored."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from supervision import decide
from supervision.actions import Run, action
from supervision.checks import Check, Seen, Verdict, check, fail, ok
from supervision.child import Child, state
from supervision.circuit import Circuit
from supervision.model import ChildRecord, Do, Event, Go, Move, Phase, Reservation, Snapshot, Stay, Update
from supervision.store.actions import Record
from supervision.store.observations import Look, Sight
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.store.ticks import Committed
from supervision.supervisor import Supervisor
from supervision.view import Claim, Mode, View

REFUSED = b"supervisor_writes_refused_total"


@dataclass(frozen=True)
class LampSeen:
    on: bool
    heat: int = 0


class Lamp(Child):
    Observed = LampSeen

    def observe(self) -> LampSeen:
        return LampSeen(on=True)

    @state(Phase.STOPPED, initial=True)
    def off(self, seen: Snapshot) -> Move:
        return Go("lit", "it is on") if seen.observed.on else Do("switch_on", "it is off")

    @state(Phase.RUNNING)
    def lit(self, seen: Snapshot) -> Move:
        return Stay("it is on") if seen.observed.on else Go("off", "it went out")

    @action(timeout=5, retries=2)
    def switch_on(self, run: Run) -> None: ...

    @action(timeout=5)
    def restart(self, run: Run) -> None: ...


@check("lamp-0", "lamp-1", restart="lamp-0", trip_after=1)
def equally_warm(one: Seen, other: Seen) -> Verdict:
    return ok() if one.observed.heat == other.observed.heat else fail("one is warmer")


def plant(lamps: int = 2, *, name: str = "plant", checks: Iterable[Check] = (), **limits: Any) -> Supervisor:
    return Supervisor(name, [Lamp(f"lamp-{i}") for i in range(lamps)], checks=checks, **limits)


class Post:
    """A publisher that keeps what it is given; while ``broken`` it takes nothing."""

    def __init__(self) -> None:
        self.taken: list[Entry] = []
        self.broken = False

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        offered = list(entries)
        if self.broken:
            return []
        self.taken += offered
        return offered


def claimed(store: Store, supervisor: Supervisor, mode: Mode = "slot") -> Claim:
    claim = store.ticks.claim(supervisor, mode)
    assert isinstance(claim, Claim), claim
    return claim


def ticked(store: Store, supervisor: Supervisor, mode: Mode = "slot") -> Committed:
    """One whole tick, in whatever slot the store's clock is."""
    forget_slot(store, supervisor)
    return settled(store, supervisor, claimed(store, supervisor, mode))


def settled(store: Store, supervisor: Supervisor, claim: Claim) -> Committed:
    view = store.ticks.load(supervisor, claim)
    return store.ticks.commit(view, decide.decide(view, claim.now), claim)


def written(
    store: Store,
    supervisor: Supervisor,
    claim: Claim,
    *updates: Update,
    circuit: Any = None,
    events: tuple[Event, ...] = (),
) -> Committed:
    """Commit a plan made by hand."""
    view = View(supervisor, claim.now, claim.epoch, Circuit(), {})
    return store.ticks.commit(view, decide.Plan(circuit, updates, events), claim)


def update(child: str, state: str = "off", *, wish: Reservation | None = None) -> Update:
    record = ChildRecord(state, Phase.STOPPED, "by hand", 1)
    return Update(child, record, (Event("state", f"plant/{child}", "by hand", "", state),), wish)


def wish(child: str, action_id: str, *, retries: int = 2, incident: str = "", timeout_ms: int = 5_000) -> Reservation:
    return Reservation(action_id, child, "switch_on", "it is off", {}, timeout_ms, retries, incident)


def reserved(store: Store, action_id: str = "a", child: str = "lamp-0", **limits: Any) -> Entry:
    outcome, sent = store.actions.reserve("plant", "ann", wish(child, action_id, **limits))
    assert outcome == "reserved", outcome
    return sent[0]


def started(store: Store, action_id: str = "a") -> Record:
    record = store.actions.start(action_id)
    assert isinstance(record, Record), record
    return record


def record_of(store: Store, action_id: str = "a") -> Record:
    record = store.actions.get(action_id)
    assert record is not None
    return record


def seen(
    store: Store, supervisor: Supervisor, *sights: Sight, look: Look | None = None, under_way: tuple[str, ...] = ()
) -> tuple[Entry, ...]:
    look = look or store.observations.look(supervisor, periodic=False)
    assert look is not None
    return store.observations.seen(supervisor, look, sights, under_way)


def sight(child: str, *, on: bool = True, heat: int = 0) -> Sight:
    return Sight(child, msgspec.json.encode(LampSeen(on, heat)).decode())


def ask(store: Store) -> Any:
    """The bare client. Its types are those of the synchronous and the asynchronous one at once, so here it has none."""
    return store.client


def control(store: Store, supervisor: str = "plant") -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = ask(store).hgetall(store.keys.of(supervisor, "control"))
    return found


def set_control(store: Store, **fields: float | str) -> None:
    ask(store).hset(store.keys.of("plant", "control"), mapping={k: str(v) for k, v in fields.items()})


def forget_slot(store: Store, supervisor: Supervisor) -> None:
    """As if the next slot had come."""
    ask(store).hdel(store.keys.of(supervisor.path, "control"), "slot")


def expire_lease(store: Store, supervisor: str = "plant") -> None:
    """As if the ticker had been silent for longer than its lease."""
    if control(store, supervisor).get(b"lease_until"):
        ask(store).hset(store.keys.of(supervisor, "control"), "lease_until", "1")


def make_due(store: Store, action_id: str = "a") -> None:
    """As if the time until a sweep must look at the action had passed."""
    ask(store).zadd(store.keys.due, {action_id: 1}, xx=True)


def due_in(store: Store, action_id: str = "a") -> float:
    """Milliseconds from now until a sweep looks at the action."""
    at = ask(store).zscore(store.keys.due, action_id)
    assert isinstance(at, float)
    return at - now(store)


def now(store: Store) -> int:
    seconds, micros = ask(store).time()
    return int(seconds * 1000 + micros // 1000)


def past(store: Store, kind: str = "") -> list[tuple[str, str, str]]:
    """The history as (subject, before, after)."""
    records = store.history.since(most=100_000)
    return [(r.subject, r.before, r.after) for r in records if not kind or r.kind == kind]


def counter(store: Store, name: str) -> int:
    found = ask(store).hgetall(store.keys.counters)
    return sum(int(value) for key, value in found.items() if key.decode().startswith(name))


def everything(store: Store) -> dict[str, object]:
    """All that is stored under the store's namespace, but for the counters of refused writes."""
    found: dict[str, object] = {}
    for key in ask(store).scan_iter(match=f"{{{store.keys.namespace}}}:*", count=10_000):
        name = key.decode()
        found[name] = _READ[ask(store).type(key)](store, name)
    counters = found.get(store.keys.counters, {})
    assert isinstance(counters, dict)
    found[store.keys.counters] = {k: v for k, v in counters.items() if not k.startswith(REFUSED)}
    return found


_READ = {
    b"hash": lambda store, key: ask(store).hgetall(key),
    b"zset": lambda store, key: ask(store).zrange(key, 0, -1, withscores=True),
    b"stream": lambda store, key: ask(store).xrange(key),
    b"string": lambda store, key: ask(store).get(key),
    b"set": lambda store, key: ask(store).smembers(key),
}
