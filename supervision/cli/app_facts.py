"""The facts about a Celery app that `supervision doctor` judges: its settings, its broker, who consumes its queues."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from supervision import settings
from supervision.cli.address import searched_here
from supervision.cli.facts import FAILED, OK, WARNING, Fact, fact
from supervision.declared import together
from supervision.errors import InvalidDeclaration
from supervision.supervisor import Supervisor

INSPECT_S: Final = 2.0
"""Seconds for workers to answer; a busy one needs a few tenths."""

CONNECT_S: Final = 4.0
"""Seconds to connect to the broker."""

OURS: Final = "supervision."
"""How the names of our queues begin."""


def found_app(name: str) -> Any:
    """The app that ``celery -A name`` would find."""
    from celery.app.utils import find_app  # noqa: PLC0415 # Celery is loaded by nobody else here

    return find_app(name)


def app_facts(app: Any) -> Iterator[Fact]:
    """Settings first: they need no connection."""
    yield from _setting_facts(app)
    yield from _queue_facts(app)


def import_facts(app: Any) -> Iterator[Fact]:
    """Whether the modules that declare the supervisors can be loaded and fit together, as a worker would find them."""
    loaded: dict[str, list[Supervisor]] = {}
    wanted = settings.read(app.conf).imports
    for module in wanted:
        name = f"import {module}"
        try:
            with searched_here():
                found = [value for value in vars(import_module(module)).values() if isinstance(value, Supervisor)]
        except (Exception, SystemExit) as error:  # noqa: BLE001 # the user's modules may raise anything
            cure = f"correct it, its place in PYTHONPATH ({Path.cwd()} is searched), or supervision_imports"
            yield Fact(name, FAILED, f"{type(error).__name__}: {error}", cure)
            continue
        loaded[module] = found
        none = f"make a Supervisor a global of {module}; if it connects no hooks, take it out of supervision_imports"
        declares = f"declares {', '.join(sorted({each.name for each in found})) or 'no supervisor'}"
        yield fact(name, declares, none, holds=bool(found), otherwise=WARNING)
    if wanted and len(loaded) == len(wanted):
        yield _together(loaded)


def _together(loaded: Mapping[str, Iterable[Supervisor]]) -> Fact:
    """Whether a worker starts with what they declare together; only asked when all of them are there."""
    try:
        paths = together(loaded.items())
    except InvalidDeclaration as error:
        return Fact("declarations", FAILED, str(error), "correct it: no worker starts with it")
    return Fact("declarations", OK, f"fit together; supervisors: {len(paths)}")


def _setting_facts(app: Any) -> Iterator[Fact]:
    from supervision.engine.audit import audit  # noqa: PLC0415 # loads Celery

    findings = audit(app)
    for finding in findings:
        state = FAILED if finding.severity == "error" else WARNING
        yield Fact(f"setting {finding.name}", state, repr(finding.value), f"{finding.advice}: {finding.why}")
    if not findings:
        yield Fact("Celery settings", OK, "as this system needs them, REMAP_SIGTERM included")


def _queue_facts(app: Any) -> Iterator[Fact]:
    wanted = sorted(name for name in app.amqp.queues if name.startswith(OURS))
    try:
        with app.connection_for_write(connect_timeout=CONNECT_S) as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECT_S)
            answers: dict[str, list[dict[str, Any]]] = (
                app.control.inspect(timeout=INSPECT_S, connection=connection).active_queues() or {}
            )
    except Exception as error:  # noqa: BLE001 # whatever the transport raises, it says that the broker is not usable
        yield Fact("broker", FAILED, f"{type(error).__name__}: {error}", "start the broker, or correct broker_url")
        return
    yield Fact("broker", OK, f"answers; {_workers(len(answers))}")
    consumed = [queue["name"] for queues in answers.values() for queue in queues]
    for name in wanted:
        consumers = consumed.count(name)
        cure = f"celery -A {app.main or 'APP'} worker -Q {name}"
        yield fact(f"queue {name}", _workers(consumers), cure, holds=consumers > 0)
    yield from _hook_facts(app, consumed)


def _hook_facts(app: Any, consumed: Sequence[str]) -> Iterator[Fact]:
    """Whether somebody serves the queue that the task of each configured hook is sent to."""
    for hook, signature in settings.read(app.conf).hooks.items():
        options = signature.get("options") or {}
        routed = options.get("queue") or app.amqp.router.route(dict(options), signature["task"]).get("queue")
        queue = str(getattr(routed, "name", routed) or app.conf.task_default_queue)
        consumers = consumed.count(queue)
        cure = f"start a worker of {signature['task']} with -Q {queue}, or name its queue in supervision_hooks"
        yield fact(f"hook {hook}", f"{signature['task']} on {queue}: {_workers(consumers)}", cure, holds=consumers > 0)


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"
