"""What those who only look see of supervisors and children: values of one moment, in store milliseconds."""

from typing import Any

import msgspec

from supervision.model import LastAction
from supervision.store.actions import Record
from supervision.store.history import Past

UNREADABLE = "unreadable"
"""The circuit of a supervisor whose circuit is there and cannot be read."""


class ChildView(msgspec.Struct, frozen=True, kw_only=True):
    """One child at one moment; times are store milliseconds, None is what never was.

    ``state``, ``phase`` and ``since`` are None until the first tick, ``observed_at`` until the first good look;
    ``phase`` is degraded while ``state`` is only the last one known: ``quarantined``, or ``unobservable``.
    ``observation_error`` is why the last look failed, empty when it was good.
    ``action`` is the one in flight. ``not_before`` (0 for none) is when the next action may be given, ``paused_until``
    (0 for not at all) when its pause or its supervisor's ends. ``stale``: its last good look is too old to go by.
    ``circuit`` is its supervisor's; ``held`` says that it holds this child in the state that it was in when it opened.
    ``enabled`` is false when it, or its supervisor with all of its children, is switched off. ``leaving``: its
    supervisor's document wants it no more, and it is removed when it has come to rest. ``unobservable`` is the incident
    of a child that nobody can see, not even in a process of its own; empty otherwise.
    """

    path: str
    kind: str
    supervisor: str
    state: str | None
    phase: str | None
    reason: str
    since: int | None
    observed_at: int | None
    observed_age_ms: int | None
    observation_error: str
    stale: bool
    circuit: str
    held: bool
    enabled: bool
    leaving: bool
    action: Record | None
    last_action: LastAction | None
    not_before: int
    quarantined: bool
    quarantined_until: int
    paused_until: int
    unobservable: str


class SupervisorView(msgspec.Struct, frozen=True, kw_only=True):
    """One supervisor at the moment ``at``; times are store milliseconds, 0 is never.

    ``parent`` is the path of the one above, empty at the top. ``health`` is the phase of all of its children as one.
    ``attempts`` of ``max_attempts`` restarts were used in this ``incident`` (empty: none), and ``check``, ``child`` and
    ``reason`` say what opened the circuit; ``forced_by`` is who forced it open, empty when it opened by itself.
    ``last_tick_age_ms`` is None until the first tick. ``mode``, ``enabled`` (false: all of its children are switched
    off), ``paused_until`` and ``silenced_until`` are what people have ordered. ``suspected_since``: so many children
    fell silent together that the store or the network is suspected. ``worst_case_ms``: how long trouble that stays
    takes at most until it escalates. ``unreadable`` says what is stored about it and cannot be read; its
    ``circuit`` is `UNREADABLE` if that is it. Empty otherwise.
    """

    path: str
    parent: str
    at: int
    health: str
    circuit: str
    reason: str
    check: str
    child: str
    attempts: int
    max_attempts: int
    next_attempt_at: int
    incident: str
    opened_at: int
    forced_by: str
    interval_ms: int
    epoch: int
    last_tick_at: int | None
    last_tick_age_ms: int | None
    mode: str
    enabled: bool
    paused_until: int
    silenced_until: int
    suspected_since: int
    worst_case_ms: int
    checks: tuple[str, ...]
    children: tuple[ChildView, ...]
    unreadable: str = ""


class ChildDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A child and its documents; ``desired_revision`` is 0 while ``desired`` is as declared. Events: oldest first.

    ``desired_refused`` says that the code cannot read the document of this revision, and goes by the declared one.
    """

    child: ChildView
    states: dict[str, str]
    actions: tuple[str, ...]
    desired: Any
    desired_revision: int
    desired_refused: bool
    observed: Any
    last_action: LastAction | None
    events: tuple[Past, ...]


class SupervisorDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A supervisor with its children, and the events of it and of what is below it, oldest first.

    ``desired`` is its own document, None when it declares none; ``desired_revision`` is 0 while that is as declared.
    ``desired_refused``: the code cannot read the document of this revision, and leaves the children as they are.
    """

    supervisor: SupervisorView
    desired: Any
    desired_revision: int
    desired_refused: bool
    events: tuple[Past, ...]
