"""Waits as signatures: `wait_for` and its kin, usable wherever a Celery signature is.

    chain(build.s(), wait_for("approved", timeout=3600), deploy.s())

Nothing is registered when a signature is made, only when it is run. All that can be wrong with one is refused when it
is made, with `InvalidWait`. In the middle of a chain it drops the result before it, unless ``carry=True``.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from celery import Celery, Signature, current_app

from supervision.coordination.signals import encoded_payload
from supervision.coordination.waits import DEFAULT_TIMEOUT_S, Node, Terms, described, terms, valid_terms
from supervision.documents import told
from supervision.engine.eager import refuse_eager
from supervision.engine.resuming import QUEUE, SERIALIZER, WAIT
from supervision.engine.rows import steps
from supervision.errors import InvalidWait
from supervision.model import shown

RAISE = "raise"
"""What ``on_timeout`` is by default."""


def wait_for(  # noqa: PLR0913 # all but the signal are named
    signal: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
    expects: str | None = None,
    on_death: str | None = None,
    replacement: "Signature[Any] | None" = None,
    on_timeout: Any = RAISE,
    carry: bool = False,
    owner: str | None = None,
    app: Celery | None = None,
) -> "Signature[Any]":
    """A signature that waits for ``signal`` and returns its payload, without holding a worker meanwhile.

    Args:
        signal: its name.
        timeout: seconds, 0.001 to 30 days, by the store's clock from when it begins to wait.
        expects: the coordinator that should send it; when that one dies the wait ends, or goes on, by ``on_death``.
        on_death: ``fail`` (raise `CoordinatorDied`), ``replace`` (start ``replacement`` and wait on, the default when
            there is one) or ``escalate`` (tell the mailbox of the dead one's parent and wait on).
        replacement: a signature, of a task or a chain of tasks, that is started once when the expected one dies, and
            registers under its name within a minute: see docs/coordination.md.
        on_timeout: ``"raise"`` (`SignalTimeout`), a signature that takes this one's place, or a value to return, which
            is what a payload may be.
        carry: return ``[result before it, payload]``.
        owner: the coordinator that waits, so that circles of waits are found.
        app: the app in whose default queue the chain goes on; by default the current one.

    Raises:
        InvalidWait: it could not work, or the app has ``task_always_eager``; the message says why.
        InvalidDocument: ``on_timeout`` is no value that JSON can hold, or above 256 KiB.
    """
    return _signature(
        Node(signal=signal, expects="" if expects is None else expects),
        timeout=timeout,
        on_death=on_death,
        replacement=replacement,
        on_timeout=on_timeout,
        carry=carry,
        owner=owner,
        app=app,
    )


def all_of(*parts: "str | Signature[Any]", **terms_: Any) -> "Signature[Any]":
    """Waits for all of ``parts``: names, `wait_for` with a timeout of its own, or other joins; see `k_of`."""
    return k_of(len(parts), *parts, **terms_)


def any_of(*parts: "str | Signature[Any]", **terms_: Any) -> "Signature[Any]":
    """Waits for the first of ``parts``; see `k_of`."""
    return k_of(1, *parts, **terms_)


def k_of(k: int, *parts: "str | Signature[Any]", **terms_: Any) -> "Signature[Any]":
    """Waits for ``k`` of ``parts`` and returns a mapping from the names that came to their payloads.

    Takes what `wait_for` takes, but ``expects``, which each part has of its own: ``wait_for("a", expects="bob")``. The
    first loss of a part (its own timeout, the death of whom it expects) that makes it
    impossible ends it; the rest is let go.
    """
    if not parts:
        raise InvalidWait("a wait for nothing; name at least one signal")
    if isinstance(k, bool) or not isinstance(k, int):
        raise InvalidWait(f"k={shown(k)}: needs a whole number from 1 to {len(parts)}")
    if terms_.pop("expects", None) is not None:
        raise InvalidWait("a join has no expects=... of its own: give it to its parts, as wait_for('a', expects='bob')")
    return _signature(Node(k=k, of=tuple(map(_part, parts))), **terms_)


def _part(part: Any) -> Node:
    if isinstance(part, str):
        return Node(signal=part)
    if not isinstance(part, Mapping) or part.get("task") != WAIT:
        raise InvalidWait(f"a part of a wait is {shown(part)}: needs a signal's name, wait_for(...) or another join")
    wait = terms(part["kwargs"])
    if wait.on_timeout or wait.replacement or wait.carry or wait.owner or wait.on_death != "fail":
        raise InvalidWait(
            f"a part of a wait, {shown(described(wait.on))}, has terms that only a whole wait can have; "
            "give on_timeout, on_death, replacement, carry and owner to the join"
        )
    if wait.on.of and wait.timeout != DEFAULT_TIMEOUT_S:
        raise InvalidWait(
            f"a join in a join, {shown(described(wait.on))}, has no timeout of its own; "
            "give it to the signals in it, or to the whole"
        )
    if wait.on.of:
        return wait.on
    within = wait.timeout if wait.timeout != DEFAULT_TIMEOUT_S else 0.0
    return msgspec.structs.replace(wait.on, within=within)


def _signature(  # noqa: PLR0913 # as `wait_for`
    on: Node,
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
    on_death: str | None = None,
    replacement: "Signature[Any] | None" = None,
    on_timeout: Any = RAISE,
    carry: bool = False,
    owner: str | None = None,
    app: Celery | None = None,
) -> "Signature[Any]":
    app = valid_app(app)
    wait = valid_terms(
        Terms(
            on=on,
            timeout=timeout,
            on_timeout=said_on_timeout(on_timeout),
            on_death=on_death or ("replace" if replacement is not None else "fail"),  # type: ignore[arg-type] # checked below
            replacement=_replacement(replacement),
            owner="" if owner is None else owner,
            carry=carry,
            home=str(app.conf.task_default_queue),
        )
    )
    refuse_eager(app, f"a wait for {shown(described(on))}")
    said = _as_json(wait)
    terms(said)  # what is of no such type is told here, not by the worker
    options = {"queue": QUEUE, "ignore_result": False, "serializer": SERIALIZER}
    return Signature(WAIT, kwargs=said, options=options, immutable=not carry, app=app)


def _as_json(wait: Terms) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(wait))
    except Exception as error:  # whatever the arguments of its signatures do
        raise InvalidWait(
            f"a wait for {shown(described(wait.on))}: on_timeout or replacement has arguments that cannot be "
            f"written as JSON ({told(error)}); give them texts, numbers, true, false, none, lists and mappings"
        ) from error


def valid_app(app: Any) -> Celery:
    """``app``, the current one if it is None, else `InvalidWait`."""
    if app is None:
        return current_app
    if isinstance(app, Celery):
        return app
    raise InvalidWait(f"app={shown(app)}: needs a Celery app, or None for the current one")


def _replacement(signature: "Signature[Any] | None") -> dict[str, Any] | None:
    """``signature`` if it can be started under ids that are known beforehand, else `InvalidWait`."""
    if signature is None:
        return None
    steps(signature, "the replacement")
    return dict(signature)


def said_on_timeout(said: Any) -> dict[str, Any] | None:
    """``said`` as terms have it; None to raise. `InvalidDocument` if it is a value that would not come back."""
    if said == RAISE and isinstance(said, str):
        return None
    if isinstance(said, Signature):
        return {"signature": dict(said)}
    encoded_payload(said, "on_timeout")
    return {"value": said}
