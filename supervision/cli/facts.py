"""The facts about the store that `supervision doctor` judges: each with its cure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from supervision.cli.printing import age, moment

if TYPE_CHECKING:
    from supervision.client import ChildView, Facts, SupervisorView

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"

OLDEST_SERVER: Final = (7, 0)
"""Redis 7.0 is the oldest server that the tests run against; every Valkey calls itself 7.2 there."""

SKEW_WARNING_MS: Final = 2_000
SKEW_FAILED_MS: Final = 30_000
"""Ticks expire after 900 s by two machines' clocks; people who read times and logs lose their way long before."""

OUTBOX_LATE_MS: Final = 10_000
"""A sweep sends once a second what is older than a second."""

OVERDUE_LATE_MS: Final = 10_000
"""A sweep looks once a second."""

TICKS_MISSED: Final = 5
"""Intervals without a tick after which beat or the tickers are taken to be gone."""


class Fact(NamedTuple):
    """One line: ``state`` is ok, warning or failed; ``cure`` is empty when nothing is to be done."""

    name: str
    state: str
    value: str
    cure: str = ""


def fact(name: str, value: str, cure: str, *, holds: bool, otherwise: str = FAILED) -> Fact:
    """One fact, with its cure only when it does not hold."""
    return Fact(name, OK if holds else otherwise, value, "" if holds else cure)


def store_facts(found: "Facts") -> Iterator[Fact]:
    """What the server says about itself, and what waits in it."""
    server = found.server
    yield fact(
        "server version",
        f"{server.server} {server.version}",
        f"use Valkey, or Redis {OLDEST_SERVER[0]}.{OLDEST_SERVER[1]} or newer",
        holds=_version(server.redis_version) >= OLDEST_SERVER,
    )
    yield fact(
        "persistence",
        f"append-only file {'on' if server.aof_enabled else 'off'}, last write {server.aof_last_write}",
        "appendonly yes in its configuration (a restart loses everything otherwise); look at the disk if it is on",
        holds=server.aof_enabled and server.aof_last_write == "ok",
    )
    yield fact(
        "maxmemory-policy",
        server.maxmemory_policy,
        "maxmemory-policy noeviction in its configuration: any other throws away states and fences",
        holds=server.maxmemory_policy == "noeviction",
    )
    yield Fact(
        "clock skew",
        _skew_state(abs(found.clock_skew_ms)),
        f"{found.clock_skew_ms} ms (round trip {found.round_trip_ms:.1f} ms)",
        "" if abs(found.clock_skew_ms) <= SKEW_WARNING_MS else "synchronise the clocks of this machine and the store's",
    )
    yield fact(
        "scripts",
        "; ".join(f"{name}: {why}" for name, why in server.scripts.items()) or "all load",
        "allow SCRIPT, EVALSHA and EVAL to this user of the store (its ACL)",
        holds=not server.scripts,
    )
    yield from _waiting_facts(found)
    yield from _tick_facts(found)


def _waiting_facts(found: "Facts") -> Iterator[Fact]:
    server = found.server
    yield fact(
        "outbox",
        f"{server.outbox} unsent, the oldest for {age(server.outbox_age_ms)}",
        "start a worker for supervision.sweeps and beat, and look whether the broker takes messages",
        holds=server.outbox_age_ms <= OUTBOX_LATE_MS,
    )
    yield fact(
        "due actions",
        f"{server.overdue} due, the oldest for {age(server.overdue_ms)}",
        "start a worker for supervision.sweeps and beat",
        holds=server.overdue_ms <= OVERDUE_LATE_MS,
    )
    yield fact(
        "deadlines of waits",
        f"{server.late_waits} over, the oldest for {age(server.late_waits_ms)}",
        "start beat and a worker for supervision.sweeps: without them no timeout is told",
        holds=server.late_waits_ms <= OVERDUE_LATE_MS,
    )


def _tick_facts(found: "Facts") -> Iterator[Fact]:
    if not found.supervisors:
        cure = "name the modules with your supervisors in supervision_imports, and start a worker"
        yield Fact("supervisors", WARNING, "none is declared", cure)
    for supervisor in found.supervisors:
        yield _tick_fact(supervisor)
        yield from _circuit_facts(supervisor)
        for child in supervisor.children:
            yield from _child_facts(child)


def _circuit_facts(supervisor: "SupervisorView") -> Iterator[Fact]:
    if supervisor.unreadable:
        cure = "have the version of the code that wrote it do the ticks, or write it anew"
        yield Fact(f"what is stored about {supervisor.path}", FAILED, supervisor.unreadable, cure)
    if supervisor.circuit not in {"closed", "unreadable"}:
        escalated = supervisor.circuit == "escalated"
        cure = f"supervision describe {supervisor.path}; then supervision reset {supervisor.path}"
        wait = f"wait for its restarts, and watch: supervision describe {supervisor.path}"
        value = f"{supervisor.circuit}: {supervisor.check}: {supervisor.reason}"
        state = FAILED if escalated else WARNING
        yield Fact(f"circuit of {supervisor.path}", state, value, cure if escalated else wait)


def _child_facts(child: "ChildView") -> Iterator[Fact]:
    """What keeps a child from being looked after; nothing when nothing does."""
    if child.quarantined:
        yield Fact(
            f"child {child.path}",
            FAILED,
            f"in quarantine until {moment(child.quarantined_until)}, its code raised again and again: {child.reason}",
            f"correct its state functions; supervision describe {child.path} has the traceback among its events",
        )
    if child.unobservable:
        yield Fact(
            f"child {child.path}",
            FAILED,
            f"nobody can see it, not even in a process of its own: {child.unobservable}",
            f"is a worker of supervision.collectors alive, and what does its observe() wait for? {child.path}",
        )
    if child.observation_error:
        since = f"the last good look was {age(child.observed_age_ms)} ago" if child.observed_at else "never seen well"
        # Nothing is decided about one that cannot be seen, so a look that fails for long is a failure.
        state = WARNING if child.observed_at and not child.stale else FAILED
        cure = f"correct its observe(), or what it looks at: supervision describe {child.path}"
        yield Fact(f"look at {child.path}", state, f"failed: {child.observation_error}; {since}", cure)


def _tick_fact(supervisor: "SupervisorView") -> Fact:
    since = supervisor.last_tick_age_ms
    return fact(
        f"last tick of {supervisor.path}",
        f"{age(since)} ago, one every {supervisor.interval_ms / 1000:g}s" if since is not None else "none yet",
        "start beat (celery -A tasks beat) and a worker for supervision.ticks, or look why they do nothing",
        holds=since is not None and since <= TICKS_MISSED * supervisor.interval_ms,
    )


def _skew_state(skew_ms: int) -> str:
    if skew_ms > SKEW_FAILED_MS:
        return FAILED
    return WARNING if skew_ms > SKEW_WARNING_MS else OK


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
