"""Waits as Celery tasks: the first run registers and lets go of its slot, a later one goes on with how the wait ended.

How it works:
- The first run stores the state WAITING, then registers the wait together with the message that goes on with it, and
  leaves by `Left`: from then on it is a record in the store and nothing else.
- Whoever ends the wait goes on with it: in place, when this process has the task (`resuming.Resumer.go_on`), which
  saves a way through the broker; or by that message, with the same task id (`Resumer.send`). Either way Celery's own
  tracer runs the task a second time, so chains, chords, groups, links and errbacks go on as after any task.
- The store hands an outcome to one of them at a time (`Waits.enter`), so a message that comes twice has one effect.

Details that were found by trying: WAITING is stored before the wait is registered, or it would overwrite an early end
for ever; results are stored whatever the caller says, or SUCCESS never would be; `expires` is an earlier deadline, and
no part of the message, which Celery would otherwise throw away.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from celery import Task, current_app, states
from celery.exceptions import Ignore, Reject
from celery.signals import task_postrun

from supervision.coordination.waits import ERRORS, INSTEAD, How, Outcome, described, terms
from supervision.engine import showing
from supervision.engine.eager import refuse_eager_run
from supervision.engine.keeping import Keeper
from supervision.engine.leaving import Left
from supervision.engine.resuming import QUEUE, RESUMED, Ended, letter
from supervision.engine.rows import named, steps, whole
from supervision.errors import InvalidWait, NotFound, StoreUnavailable, WaitEnded
from supervision.repeating import patiently
from supervision.saying import log as _log
from supervision.store.coordinators import Coordinators
from supervision.store.waits import Claimed, Stored, Waits

AGAIN_S = 2.0
"""Seconds until a wait that could not begin tries again; soon enough to be back in time, and no load."""

_keeper = Keeper()


@task_postrun.connect(dispatch_uid="supervision.waiting")
def _ended(task: Any, **_signal: object) -> None:
    """A run has ended, also by what a result backend raises: who has a claim on the wait then goes on with it later.

    A run that has none, as the wait is another thread's to go on with, lets go of nothing.
    """
    claim: Claimed | None = getattr(task.request, "claim", None)
    if claim is not None:
        _keeper.let_go(claim)


class Waiting(Task):  # type: ignore[type-arg] # celery-types makes it generic, Celery does not
    """The task behind `wait_for`; ``waits`` answers the store's side of this process."""

    abstract = True
    waits: Callable[[], Waits]

    def after_return(self, status: str, retval: Any, task_id: str, *_rest: Any) -> None:
        """Celery has sent what follows and stored the result: the wait is over, or was refused."""
        claim: Claimed | None = getattr(self.request, "claim", None)
        showing.ended(self, status, retval)
        if claim is None:
            return
        if self.request.ignore_result:  # it passed at once, and whoever asked for no result sees WAITING otherwise
            self.backend.store_result(task_id, retval, status, request=self.request)
        went_on = status == states.SUCCESS or (claim.outcome is not None and claim.outcome.how in ERRORS)
        self.over(claim, "processed" if went_on else "failed")

    def begun(self, args: Sequence[Any], described_by: dict[str, Any]) -> Claimed:
        """Begin to wait, or claim how it ended."""
        wait = terms(described_by)
        wait = msgspec.structs.replace(wait, timeout=shortened(wait.timeout, self.request.expires))
        showing.announce(self, described(wait.on), wait.timeout)
        return type(self).waits().enter(str(self.request.id), wait, mail=letter(self, args))

    def came(self, claim: Claimed, outcome: Outcome) -> Any:
        """The value of a wait that ended well."""
        several = claim.stored is not None and claim.stored.tree is not None
        return dict(outcome.payloads) if several else next(iter(outcome.payloads.values()))

    def failure(self, _claim: Claimed, outcome: Outcome) -> WaitEnded:
        """What is raised where it did not."""
        return ERRORS[outcome.how](outcome.why)

    def over(self, claim: Claimed, state: str) -> None:
        """Say so to the store, or to whoever runs many in place and says it for all of them."""
        ended: Ended = (claim.id, claim.start, state)
        together: list[Ended] | None = getattr(self.request, "together", None)
        if together is None:
            patiently(lambda: type(self).waits().processed([ended]))
        else:
            together.append(ended)


def run(task: Waiting, args: Sequence[Any], described_by: dict[str, Any]) -> Any:
    """One run of ``task``: its value, or what it raises; `Left` while there is nothing to go on with."""
    refuse_eager_run(task)
    claim: Claimed | None = getattr(task.request, "claim", None)
    if claim is None:
        claim = _found(task, args, described_by)
    if claim.state != "received" or claim.outcome is None or claim.stored is None:
        raise Left
    vars(task.request)["claim"] = claim
    _keeper.keep(claim, type(task).waits())
    return _value(task, args, claim, claim.stored)


def _found(task: Waiting, args: Sequence[Any], described_by: dict[str, Any]) -> Claimed:
    """What the store says of the wait. A store that is away is no end of it: another run comes."""
    resumed = described_by.pop("resumed", False)
    try:
        return _resumed(task) if resumed else _begun(task, args, described_by)
    except StoreUnavailable as error:
        _log.warning("wait_put_off", wait=task.request.id, error=str(error))
        if not resumed:  # a wait that has ended is sent again from its record
            _come_again(task, error)
        raise Left from error


def _come_again(task: Waiting, error: StoreUnavailable) -> None:
    """Send this run's message once more; not by `retry`, whose state could overwrite how the wait ended meanwhile."""
    try:
        task.signature_from_request(countdown=AGAIN_S).apply_async()
    except Exception as gone:  # noqa: BLE001 # whatever it is, a message that is dropped here is a wait that is lost
        _log.warning("wait_put_back", wait=task.request.id, error=f"{type(gone).__name__}: {gone}")
        raise Reject(str(error), requeue=True) from error  # the broker is away, too, and has the message still


def _resumed(task: Waiting) -> Claimed:
    claim = type(task).waits().enter(str(task.request.id), None, resumed=True)
    if claim.state == "gone":
        _log.warning(
            "wait_unknown", wait=claim.id, why="a message says that it ended, and there is none; it is ignored"
        )
    return claim


def _begun(task: Waiting, args: Sequence[Any], described_by: dict[str, Any]) -> Claimed:
    claim = task.begun(args, described_by)
    if claim.state == "processed":  # this message came once more, after all was over
        _say_again(task, args, claim)
    return claim


def shortened(timeout: float, expires: Any) -> float:  # celery-types takes it for a number; it is a text
    """``timeout``, or what is left until Celery's ``expires`` if that is sooner."""
    if expires is None:
        return timeout
    moment = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
    left = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.001, min(timeout, left))


def _value(task: Waiting, args: Sequence[Any], claim: Claimed, stored: Stored) -> Any:
    outcome = claim.outcome
    if outcome is None:
        raise InvalidWait(f"wait {claim.id} has no outcome")
    if outcome.how is How.TIMED_OUT and stored.on_timeout:
        if "signature" in stored.on_timeout:
            return _replaced(task, claim, stored.on_timeout["signature"])
        value = stored.on_timeout["value"]
    elif outcome.how in ERRORS:
        raise task.failure(claim, outcome)
    elif outcome.how is How.RELEASED:
        value = outcome.value
    else:
        value = task.came(claim, outcome)
    return [args[0] if args else None, value] if stored.carry else value


def _replaced(task: Waiting, claim: Claimed, signature: dict[str, Any]) -> Any:
    """Go on with ``signature`` under the same task id, in front of whatever follows."""
    instead = task.app.signature(signature)
    last = _last(instead)
    if last.task in RESUMED:  # under this wait's id it would find this wait, which is over
        if "task_id" not in last.options:
            last.options["task_id"] = f"{claim.id}{INSTEAD}"  # the same one, should this run twice
            last.kwargs["instead_of"] = claim.id
        passes_on = task.app.tasks["celery.accumulate"].s(index=0)  # what Celery itself puts behind a group
        passes_on.options.update(queue=QUEUE, ignore_result=False)
        instead |= passes_on
    try:
        return task.replace(instead)
    except Ignore:
        _timed_out(task, claim)
        task.over(claim, "processed")
        raise


def _last(signature: Any) -> Any:
    """The task in ``signature`` whose result is that of the whole; a group has none."""
    kind = signature.get("subtask_type")
    if kind == "chain":
        return _last(signature.tasks[-1])
    return _last(signature.body) if kind == "chord" else signature


def _timed_out(task: Waiting, claim: Claimed) -> None:
    """Show the timeout of a wait whose place another task takes; that one's success can follow a failure, only."""
    showing.ended(task, states.FAILURE, f"{claim.outcome.why if claim.outcome else ''}; another task takes its place")


def _say_again(task: Waiting, args: Sequence[Any], claim: Claimed) -> None:
    """WAITING has just been said of a wait that has ended: say how it did, and do nothing else.

    What took its place on timeout was started by whoever ended the wait, and says under the same id how that ends.
    """
    if claim.outcome is None or claim.stored is None:
        return
    how, value = claim.outcome.how, None
    status: str = states.SUCCESS
    if how is How.TIMED_OUT and "signature" in (claim.stored.on_timeout or {}):
        _timed_out(task, claim)
        return
    try:
        if how is not How.GATHERED:  # whose results are gone with it
            value = _value(task, args, claim, claim.stored)
    except Exception as error:  # noqa: BLE001 # how the wait has ended, and no error of this run
        status, value = states.FAILURE, error
    showing.ended(task, status, value)
    if task.backend.get_state(claim.id) != showing.WAITING:
        return  # what stood there stands
    if how is How.GATHERED:
        task.backend.forget(claim.id)
    else:
        task.backend.store_result(claim.id, value, status, request=task.request)


def replace(coordinators: Coordinators, name: str) -> str:
    """Start the task, or the chain of tasks, that replaces the dead ``name``: its ids are of this death."""
    try:
        signature, home, task_id = coordinators.replacement(name)
    except NotFound as error:
        _log.info("nobody_replaced", coordinator=name, why=str(error))
        return ""
    stored = msgspec.json.decode(signature)
    row = named(steps(stored, f"the replacement of {name}"), task_id, home=home, app=current_app)
    started = whole(row, current_app)
    if len(row) > 1:  # what was said of the chain as a whole, its errbacks for example
        started.options.update({key: value for key, value in stored["options"].items() if key != "task_id"})
    started.apply_async(add_to_parent=False)
    _log.warning("coordinator_replaced", coordinator=name, task=task_id)
    return task_id
