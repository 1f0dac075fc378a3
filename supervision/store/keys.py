"""Every key, its type, who writes it, and when it goes away.

All keys of one namespace share the hash tag ``{namespace}``, so that a namespace could live on one shard of a cluster.

    supervisors             hash    supervisor -> declaration; written by declare
    declared                hash    supervisor -> when a worker declared it last; declare
    fence                   string  the last fence; start; never goes away
    action:<id>             hash    one action from reservation to end; goes 24 h after its end
    due                     zset    action id by when a sweep must look at it; goes at its end
    swept                   string  "when:gap": when the due ones were looked at last, and how far apart looks lately
                                    were (ms); overdue; never goes away
    sweeps                  hash    sweep -> request of the last order for it; sweep; never goes away
    outbox                  zset    entry id by when it was written; goes when published
    entries                 hash    entry id -> message; goes when published
    incidents               hash    supervisor, or child nobody can see -> when its incident began; goes when it is over
    events                  stream  the history, written by every script; trimmed by age
    hooked                  string  id of the last event that hooks in other processes were told; hooked; never goes
    trimmed                 string  "record incidents": how far the history was looked through for what an open incident
                                    keeps, and which ones were open (a digest); trim, goes when none keeps anything
    counters                hash    metric and labels -> count; goes when its supervisor is forgotten

Of one supervisor, each named ``s:<supervisor>:`` and what follows; a child's fields go when it is removed:

    control                 hash    epoch, lease, slots, dirty marks, last look, circuit; claim, look, commit, who marks
    records                 hash    child -> `ChildRecord`; commit
    desired                 hash    child -> revision, request and document that were set at run time; desire
    orders                  hash    what people ordered, field by field, see `orders.py`; order, commit
    observed                hash    child -> observed document; observed, when it changes
    seen                    hash    child -> "sequence:began at" of the last good look; observed
    errors                  hash    child -> "sequence:why" of the last failed look; observed, goes at the next good one
    slow                    hash    child (/child: alone) -> until when it is looked at, or its collector died; look,
                                    observed, goes at its end
    flight                  hash    child -> id of the action in flight; commit, reserve, goes at its end
    last                    hash    child -> `LastAction`; finish
    members                 hash    dynamic child -> which document wanted it, since when it leaves; enrol
    sources                 hash    digest -> the supervisor's desired document that members are made from; enrol
    gone                    hash    removed child -> when; enrol, prune; for 24 h, so that nothing late brings it back
    orphans                 hash    child that is not in the code of those who sweep -> since when; prune, enrol

Of coordination. A member of ``deadlines``, ``waiters`` and ``expecting`` is ``<leaf>#<wait>``: the number of the signal
in a wait for several, from 1, or 0 for the whole wait:

    signal:<name>           hash    one signal: id, payload, sender, at, until; send; goes a day after ``until``
    waiters:<name>          zset    who waits for it and was not released, by since when; enter, goes as each is
                                    released
    receipt:<name>          hash    wait -> how far the signal has got with it; goes with the signal
    signals                 zset    name by when clear may forget signal and receipt; send, whoever writes a receipt
    releasing               zset    signal of which some who wait are not released yet, by since when; send, release
    wait:<id>               hash    one wait: what, mail or channel, state, how it ended; enter; goes a day after that,
                                    a dead letter after 7
    parts:<wait>            hash    index -> signature of each part of a gather that has not ended; stage, arrive; goes
                                    at its end, or an hour after it was staged for a gather that never began: nothing
                                    else would know of it
    results:<wait>          hash    index -> how each part ended that has; arrive; goes when the gather is processed
    gathers                 zset    gather that waits by when somebody must look after it; enter, fan, missing, goes at
                                    its end
    once:<task>             hash    a guarded task's run: holder, until, value, settled; run_once, ran_once; expires
                                    24 h after the last of them, because one per guarded task is too many for a list
                                    that a sweep would have to walk over
    submitted:<key>         hash    what was submitted under a key: message, task, sender, at; submit; expires 24 h
                                    later, because one per task is too many for a list
    open                    zset    wait that has not ended, by since when; enter, goes at its end
    deadlines               zset    when a wait, or one signal of it, is over; enter, extend, goes at its end
    undelivered             zset    ended wait by when its message is sent (again); goes when it is processed
    ended                   zset    wait by when it ended; clear removes what is older than a day
    dead_letters            zset    ``wait:<id>`` or ``mail:<mailbox>#<id>`` by when it was given up; retry, dead_mail,
                                    clear, clear_mail
    coordinator:<id>        hash    one coordinator: incarnation, state, who and where; register; goes a day after its
                                    end
    coordinators            zset    coordinator by when clear may forget it, +inf while it lives; register, its end
    beats                   zset    living coordinator by its last heartbeat; register, beat, goes at its end
    moving                  zset    coordinator by when it must have made progress; register, beat, goes at its end
    every                   string  milliseconds between two judgements; judge; never goes away
    late                    set     living coordinators that are not healthy; judge
    state:<state>           set     coordinators that are critical, complete, failed or dead; register, judge, their
                                    end, clear
    process:<process>       set     living coordinators of one process; register, goes at their end
    waits_of:<coordinator>  set     its open waits; enter, goes at their end
    expecting:<coordinator> set     who waits for a signal of its; enter, goes at their end
    mourners:<coordinator>  set     those of them who were not told of its death yet; its end, mourn
    replacing               zset    dead coordinator by when who replaces it must have registered; mourn, enter,
                                    replace_again, goes when it registers or nobody expects it
    mourning                zset    dead coordinator with mourners, by when it died; its end, mourn

Of mailboxes, each named like a coordinator, whether or not that one is known:

    mailboxes               zset    mailbox by when clear_mail looks at it next; post, arrange, clear_mail
    mail_due                zset    mailbox by when its lease or pause is over, or its handler is sent for again; take,
                                    goes when it rests
    mailbox:<mailbox>       hash    bound, handler, batch in flight and its state; post, arrange, take; goes when it was
                                    empty for a day, with a handler 30 days
    mail:<mailbox>          zset    id of a message by a growing number; post, goes when it is handled or given up
    letters:<mailbox>       hash    id -> payload (JSON text), sender, at; likewise
    tries:<mailbox>         hash    id -> how often it was handed over, from the first time on; take, goes likewise
    handled:<mailbox>       zset    id of a message by when it was handled; handled, clear_mail; for a day, the last
                                    100,000
    dead:<mailbox>          hash    id -> letter, why, since, attempts of one that was given up; dead_mail, clear_mail
                                    after 7 days
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
        self.trimmed = self._prefix + "trimmed"
        self.counters = self._prefix + "counters"
        self.signals = self._prefix + "signals"
        self.releasing = self._prefix + "releasing"
        self.open = self._prefix + "open"
        self.gathers = self._prefix + "gathers"
        self.deadlines = self._prefix + "deadlines"
        self.undelivered = self._prefix + "undelivered"
        self.ended = self._prefix + "ended"
        self.dead_letters = self._prefix + "dead_letters"
        self.coordinators = self._prefix + "coordinators"
        self.beats = self._prefix + "beats"
        self.late = self._prefix + "late"
        self.moving = self._prefix + "moving"
        self.hooked = self._prefix + "hooked"
        self.replacing = self._prefix + "replacing"
        self.mourning = self._prefix + "mourning"
        self.mailboxes = self._prefix + "mailboxes"
        self.mail_due = self._prefix + "mail_due"

    def channel(self, name: str) -> str:
        """Where a process hears that a wait of its has ended; no key, but named like one."""
        return f"{self._prefix}channel:{name}"

    def signal(self, name: str) -> str:
        """One signal."""
        return f"{self._prefix}signal:{name}"

    def waiters(self, name: str) -> str:
        """Who waits for a signal."""
        return f"{self._prefix}waiters:{name}"

    def receipt(self, name: str) -> str:
        """How far a signal has got."""
        return f"{self._prefix}receipt:{name}"

    def wait(self, wait_id: str) -> str:
        """One wait."""
        return f"{self._prefix}wait:{wait_id}"

    def parts(self, wait_id: str) -> str:
        """The parts of a gather that have not ended."""
        return f"{self._prefix}parts:{wait_id}"

    def results(self, wait_id: str) -> str:
        """How the other parts ended."""
        return f"{self._prefix}results:{wait_id}"

    def once(self, task_id: str) -> str:
        """The run of a guarded task."""
        return f"{self._prefix}once:{task_id}"

    def state(self, state: str) -> str:
        """Coordinators by what they are."""
        return f"{self._prefix}state:{state}"

    def submitted(self, key: str) -> str:
        """What was submitted under a key."""
        return f"{self._prefix}submitted:{key}"

    def waits_of(self, coordinator: str) -> str:
        """The open waits of a coordinator."""
        return f"{self._prefix}waits_of:{coordinator}"

    def coordinator(self, name: str) -> str:
        """One coordinator."""
        return f"{self._prefix}coordinator:{name}"

    def mail(self, mailbox: str) -> str:
        """The order of the messages in a mailbox."""
        return f"{self._prefix}mail:{mailbox}"

    def mailbox(self, mailbox: str) -> str:
        """How a mailbox is set up, and what is in flight."""
        return f"{self._prefix}mailbox:{mailbox}"

    def dead_mail(self, mailbox: str) -> str:
        """The dead letters of a mailbox."""
        return f"{self._prefix}dead:{mailbox}"

    def action(self, action_id: str) -> str:
        """The record of one action."""
        return f"{self._prefix}action:{action_id}"

    def of(self, supervisor: str, what: str) -> str:
        """One of the keys of ``supervisor``."""
        return f"{self._prefix}s:{supervisor}:{what}"
