"""The composition root: reads the configuration, loads the user's modules, hands store and publisher to the runtime.

Each process builds its own runtime when its first task runs: connections and threads do not survive a fork.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from importlib import import_module
from typing import TypeVar

from celery import Celery, current_app

from supervision import settings, telling
from supervision.coordinating import Coordination
from supervision.declared import together
from supervision.engine.parts import CeleryParts
from supervision.engine.publish import CeleryPublisher
from supervision.engine.resuming import Resumer
from supervision.errors import InvalidDeclaration, StoreUnavailable
from supervision.mailing import Mailing
from supervision.runtime import Runtime
from supervision.saying import log as _log
from supervision.store.gathers import Gathers
from supervision.store.meters import count_per_child
from supervision.store.store import Store
from supervision.store.waits import Waits
from supervision.supervisor import Supervisor

_T = TypeVar("_T")
_runtimes: dict[int, Runtime] = {}


def supervisors(app: Celery) -> Mapping[str, Supervisor]:
    """Every `Supervisor` that is a global of a module in ``supervision_imports``, and all below it, by path."""
    if "supervision_store_url" not in app.conf:
        raise InvalidDeclaration(
            f"{sys.modules['celeryconfig'].__file__} is not our celeryconfig: it has no supervision_store_url; "
            "give yours another name, or begin it with what ours says"
        )
    return together(
        (module, [value for value in vars(import_module(module)).values() if isinstance(value, Supervisor)])
        for module in settings.read(app.conf).imports
    )


def runtime() -> Runtime:
    """The runtime of this process."""
    found = _runtimes.get(os.getpid())
    if found is None:
        found = build(current_app)
        found.declare()
        wanted = settings.read(current_app.conf).metrics_per_child
        count_per_child(found.store.scripts, found.store.keys, wanted=wanted)
        _runtimes.clear()
        _runtimes[os.getpid()] = found
    return found


def build(app: Celery) -> Runtime:
    """A runtime for what ``app`` is configured with."""
    configured = settings.read(app.conf)
    store = Store(configured.store_url, configured.namespace, most_actions=configured.max_actions)
    return Runtime(
        store,
        CeleryPublisher(app),
        supervisors(app),
        Resumer(app),
        configured.patience,
        parts=CeleryParts(app),
        hooks=configured.hooks,
    )


def cancel_revoked(ids: Iterable[str]) -> None:
    """End the waits among revoked tasks; for a worker's main process, which has no runtime of its own."""
    with closing(_store(current_app)) as store:
        coordination = Coordination(store, Resumer(current_app), CeleryPublisher(current_app).publish)
        for wait_id in ids:
            coordination.revoke(wait_id)


def thrown_away(wait_id: str) -> None:
    """Say that what goes on with a wait was thrown away, as a revoked task's is."""
    with closing(_store(current_app)) as store:
        claim = store.waits.enter(wait_id, None, resumed=True)
        store.waits.processed([(wait_id, claim.start, "failed")])


def _store(app: Celery) -> Store:
    configured = settings.read(app.conf)
    store = Store(configured.store_url, configured.namespace)
    store.heard.by = telling.heard
    return store


def mailing() -> Mailing:
    """The mailboxes in the store of this process."""
    return runtime().mail


def waits() -> Waits:
    """The waits in the store of this process."""
    return runtime().store.waits


def gathers() -> Gathers:
    """The gathers in the store of this process."""
    return runtime().store.gathers


def fan_out(gather_id: str) -> int | None:
    """Publish some parts of a gather; answers how many, None while the store is away."""
    return unless_store_is_away(lambda runtime: runtime.gathering.fan_out(gather_id))


def unless_store_is_away(use_case: Callable[[Runtime], _T]) -> _T | None:
    """Run ``use_case``; while the store is unreachable do nothing, say so, and let the next message try again."""
    try:
        return use_case(runtime())
    except StoreUnavailable as error:
        _log.warning("store_unavailable", error=str(error))
        return None
