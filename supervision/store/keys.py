"""Every key, its type, who writes it, and when it goes away.

All keys of one namespace share the hash tag ``{namespace}``, so that a namespace could live on one shard of a cluster.

    supervisors             hash    supervisor -> declaration; written by declare
    declared                hash    supervisor -> when a worker declared it last; declare
    fence                   string  the last fence; start; never goes away
    action:<id>             hash    one action from reservation to end; goes 24 h after its end
    due                     zset    action id by when a sweep must look at it; goes at its end
    swept                   string  when the due ones were looked at last; overdue; never goes away
    sweeps                  hash    sweep -> request of the last order for it; sweep; never goes away
    outbox                  zset    entry id by when it was written; goes when published
    entries                 hash    entry id -> message; goes when published
    incidents               hash    supervisor, or child nobody can see -> when its incident began; goes when it is over
    events                  stream  the history, written by every script; trimmed by age
    counters                hash    metric and labels -> count; goes when its supervisor is forgotten

    incidents               hash    supervisor, or unobservable child -> when its incident began; goes when it is over
fields when it is removed:

    control                 hash    epoch, lease, slots, dirty marks, circuit; claim, look, commit, dirty marks by all
    records                 hash    child -> `ChildRecord`; commit
    desired                 hash    child -> revision, request and document that were set at run time; desire
    orders                  hash    what people ordered, field by field, see `orders.py`; order, commit
    observed                hash    child -> observed document; observed, when it changes
    seen                    hash    child -> "sequence:began at" of the last good look; observed
    errors                  hash    child -> "sequence:why" of the last failed look; observed, goes at the next good one
    slow                    hash    child (/child: alone) -> until when it is looked at; look, observed, goes at its end
    flight                  hash    child -> id of the action in flight; commit, reserve, goes at its end
    last                    hash    child -> `LastAction`; finish
    members                 hash    dynamic child -> which document wanted it, since when it leaves; enrol
    sources                 hash    digest -> the supervisor's desired document that members are made from; enrol
    gone                    hash    removed child -> when; enrol, prune; for 24 h, so that nothing late brings it back
    orphans                 hash    child that is no longer in the code -> since when; prune
"""

from supervision.errors import InvalidDeclaration
from supervision.model import valid_name

DEFAULT_NAMESPACE = "supervision"


class Keys:
    """The keys of one ``namespace``, as the scripts take them."""

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:
        if "/" in namespace:
            raise InvalidDeclaration(f"namespace {namespace!r}: one name without '/', for example 'supervision'")
        self.namespace = valid_name(namespace, "namespace")
        self._prefix = f"{{{namespace}}}:"
        self.supervisors = self._prefix + "supervisors"
        self.declared = self._prefix + "declared"
        self.fence = self._prefix + "fence"
        self.due = self._prefix + "due"
        self.swept = self._prefix + "swept"
        self.sweeps = self._prefix + "sweeps"
        self.outbox = self._prefix + "outbox"
        self.entries = self._prefix + "entries"
        self.incidents = self._prefix + "incidents"
        self.events = self._prefix + "events"
        self.counters = self._prefix + "counters"

    def action(self, action_id: str) -> str:
        """The record of one action."""
        return f"{self._prefix}action:{action_id}"

    def of(self, supervisor: str, what: str) -> str:
        """One of the keys of ``supervisor``."""
        return f"{self._prefix}s:{supervisor}:{what}"
