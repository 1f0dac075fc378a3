"""Going on with waits that have ended: in place, by Celery's own tracer, or by the message that the store holds for it.

The message is what is left of the first run's: its options that are not empty, and what it carried.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from celery import Celery, current_task
from celery.app import trace
from celery.utils.nodenames import gethostname
from kombu.exceptions import OperationalError

from supervision.documents import told
from supervision.saying import log as _log
from supervision.store.waits import Claimed

WAIT = "supervision.wait"
GATHER = "supervision.gather"
RESUMED = frozenset({WAIT, GATHER})
"""Tasks that run a second time when their wait has ended."""

QUEUE = "supervision.waits"
SWEEP = "supervision.sweep"

SERIALIZER = "json"
"""Of each message of ours, whatever its app says of others: our workers read nothing else."""

Ended = tuple[str, int, str]
"""A claim that is over: wait, start, and whether it was ``processed`` or ``failed``."""

_KEPT = (
    *("root_id", "parent_id", "group_id", "group_index", "chord", "chain", "link", "link_error", "headers", "reply_to"),
    *("replaced_task_nesting", "origin", "shadow", "stamped_headers"),
)
"""Options of a message that its second run needs, too. Not ``expires``, and no time limits: those were the first's."""


_EMPTY: tuple[Any, ...] = (None, "", [], {})
"""What is as good as absent; not 0, which is the place of the first one in a group."""


def letter(task: Any, args: Sequence[Any]) -> str:
    """The message that goes on with this task, as it stands in the store: what is not empty of its options."""
    request = task.request
    options = request.as_execution_options()
    wanted = (*_KEPT, *(options.get("stamped_headers") or ()))
    kept = {name: options[name] for name in wanted if options.get(name) not in _EMPTY}
    if kept.get("root_id") == request.id:
        del kept["root_id"]
    delivery = request.delivery_info or {}
    if delivery.get("priority") is not None:
        kept["priority"] = delivery["priority"]
    if delivery.get("routing_key") not in {None, QUEUE}:
        kept["queue"] = delivery["routing_key"]
    said = {
        "options": kept,
        **({"args": list(args)} if args else {}),
        **({"task": task.name} if task.name != WAIT else {}),
    }
    return msgspec.json.encode(said).decode()


class Resumer:
    """Goes on with waits that have ended, through ``app``."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    @property
    def here(self) -> bool:
        """Whether this process can go on with them itself.

        Sweeps send messages: a result backend that is away would hold them up, and with them all that relies on them.
        """
        return WAIT in self._app.tasks and getattr(current_task, "name", "") != SWEEP

    def close(self) -> None:
        """Close the app's connections, for those who made it."""
        self._app.close()

    def go_on(self, claims: Iterable[Claimed]) -> list[Ended]:
        """Go on with each of ``claims`` in place, by Celery's own tracer; answers those that are over."""
        together: list[Ended] = []
        for claim in claims:
            if claim.state == "received":
                try:
                    self._run(claim, together)
                except Exception as error:  # noqa: BLE001 # of the task nothing comes here: the record cannot be read
                    _log.exception("continuation_refused", wait=claim.id, error=told(error))
        return together

    def send(self, claims: Iterable[Claimed]) -> None:
        """Send the message that goes on with each; raises what a broker that is gone raises.

        One that cannot be sent for a reason of its own is told, and stops no other.
        """
        for claim in claims:
            try:
                self._send(claim)
            except (OperationalError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 # see above; it is due again in 5 min at most
                _log.exception("continuation_refused", wait=claim.id, error=told(error))

    def _run(self, claim: Claimed, together: list[Ended]) -> None:
        letter_ = msgspec.json.decode(claim.mail)
        task = self._app.tasks[letter_.get("task", WAIT)]
        request = _request(claim, letter_, together)
        trace.trace_task(task, claim.id, letter_.get("args", []), {"resumed": True}, request, app=self._app)

    def _send(self, claim: Claimed) -> None:
        letter_ = msgspec.json.decode(claim.mail)
        options = {
            "queue": QUEUE,
            **letter_["options"],
            "task_id": claim.id,
            "ignore_result": False,
            "serializer": SERIALIZER,
        }
        name, args = letter_.get("task", WAIT), letter_.get("args", [])
        self._app.signature(name, args=args, kwargs={"resumed": True}, **options).apply_async(add_to_parent=False)


def _request(claim: Claimed, letter_: dict[str, Any], together: list[Ended]) -> dict[str, Any]:
    """What a worker makes of that message when it comes over the broker."""
    options = letter_["options"]
    stamped = options.get("stamped_headers")
    return {
        **(options.get("headers") or {}),
        "lang": "py",
        "task": letter_.get("task", WAIT),
        "id": claim.id,
        "root_id": options.get("root_id", claim.id),
        "parent_id": options.get("parent_id"),
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "chord": options.get("chord"),
        "chain": options.get("chain"),
        "callbacks": options.get("link"),
        "errbacks": options.get("link_error"),
        "reply_to": options.get("reply_to"),
        "correlation_id": claim.id,
        "origin": options.get("origin"),
        "shadow": options.get("shadow"),
        "replaced_task_nesting": options.get("replaced_task_nesting", 0),
        "stamped_headers": stamped,
        "stamps": {name: options[name] for name in stamped or ()},
        "retries": 0,
        "timelimit": [None, None],
        "ignore_result": False,
        "is_eager": False,
        "hostname": gethostname(),
        "delivery_info": {
            "exchange": "",
            "routing_key": options.get("queue", QUEUE),
            "priority": options.get("priority"),
        },
        "claim": claim,
        "together": together,
    }
