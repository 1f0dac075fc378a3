"""The store: one connection, one namespace, one object per noun."""

from supervision.model import MAX_COUNT
from supervision.store.actions import Actions
from supervision.store.connection import connect
from supervision.store.coordinators import Coordinators
from supervision.store.dead_letters import DeadLetters
from supervision.store.gathers import Gathers
from supervision.store.happened import Heard
from supervision.store.history import History
from supervision.store.hooking import Hooking
from supervision.store.keys import DEFAULT_NAMESPACE, Keys
from supervision.store.mailboxes import Mailboxes
from supervision.store.observations import Observations
from supervision.store.open_waits import OpenWaits
from supervision.store.orders import OrderBook
from supervision.store.outbox import Outbox
from supervision.store.registry import Registry
from supervision.store.scripts import Scripts
from supervision.store.signals import Signals
from supervision.store.submissions import Submissions
from supervision.store.ticks import Ticks
from supervision.store.waits import Waits


class Store:
    """Everything under ``namespace`` at ``url``; connects on first use, is not shared across a fork.

    Ticks give no more actions while ``most_actions`` are in flight.
    """

    def __init__(self, url: str, namespace: str = DEFAULT_NAMESPACE, *, most_actions: int = MAX_COUNT) -> None:
        self.client = connect(url)
        self.keys = Keys(namespace)
        self.scripts = Scripts(self.client)
        self.ticks = Ticks(self.scripts, self.keys, most_actions)
        self.observations = Observations(self.scripts, self.keys)
        self.actions = Actions(self.scripts, self.keys)
        self.orders = OrderBook(self.scripts, self.keys)
        self.outbox = Outbox(self.scripts, self.keys)
        self.history = History(self.scripts, self.keys)
        self.hooking = Hooking(self.scripts, self.keys)
        self.registry = Registry(self.scripts, self.keys)
        self.heard = Heard()
        self.signals = Signals(self.scripts, self.keys, self.heard)
        self.open_waits = OpenWaits(self.scripts, self.keys)
        self.waits = Waits(self.scripts, self.keys, self.heard)
        self.gathers = Gathers(self.scripts, self.keys, self.heard)
        self.coordinators = Coordinators(self.scripts, self.keys, self.heard)
        self.mailboxes = Mailboxes(self.scripts, self.keys, self.heard)
        self.submissions = Submissions(self.scripts, self.keys)
        self.dead_letters = DeadLetters(self.scripts, self.keys, self.open_waits, self.mailboxes)

    def close(self) -> None:
        """Close the connections; using the store again opens new ones."""
        self.client.close()
