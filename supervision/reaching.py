"""How a client reaches the broker: when it has to for the first time, and not before.

The only room of the client's that knows the engine, and it imports it when it needs it: whoever only reads pays for no
Celery. What cannot be sent is no error: the store holds it, and the workers' sweeps send it within seconds.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from supervision.saying import log as _log
from supervision.store.outbox import Entry
from supervision.store.waits import Claimed

if TYPE_CHECKING:
    from supervision.engine.publish import CeleryPublisher
    from supervision.engine.resuming import Resumer

DEFAULT_QUEUE = "celery"
"""Where Celery sends what nobody has said a queue for."""


class Reaching:
    """Goes on with waits through ``app`` if there is one, or else through the broker at ``broker_url``."""

    def __init__(self, broker_url: str, app: Any = None) -> None:
        self._broker_url = broker_url
        self._app = app
        self._made: tuple[Resumer, CeleryPublisher] | None = None

    @property
    def here(self) -> bool:
        """Whether this process can go on with a wait itself: only one with an app that knows the task can."""
        return self._app is not None and self._engine()[0].here

    def go_on(self, claims: Iterable[Claimed]) -> list[tuple[str, int, str]]:
        """Go on with each in place; answers those that are over."""
        return self._engine()[0].go_on(claims)

    def send(self, claims: Iterable[Claimed]) -> None:
        """Send the message that goes on with each; raises what the broker raises."""
        self._engine()[0].send(claims)

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        """Send each entry; answers those that the broker took, all others are the sweeps' to send."""
        try:
            return self._engine()[1].publish(entries)
        except Exception as error:  # noqa: BLE001 # an address that is none, a broker without rights: see above
            _log.warning("broker_unreachable", error=f"{type(error).__name__}: {error}")
            return []

    def queue(self, task: str) -> str:
        """The queue that a task goes to which says none: where the app routes it, or Celery's own default."""
        if self._app is None:
            return DEFAULT_QUEUE
        found = self._app.amqp.router.route({}, task).get("queue")
        return str(getattr(found, "name", found) or self._app.conf.task_default_queue)

    def close(self) -> None:
        """Close the connections; using it again opens new ones."""
        if self._made and self._app is None:
            self._made[0].close()
        self._made = None

    def _engine(self) -> "tuple[Resumer, CeleryPublisher]":
        if self._made is None:
            from supervision.engine import sending  # noqa: PLC0415 # see the head of this module

            self._made = sending.through(self._app) if self._app else sending.to(self._broker_url)
        return self._made
