"""Gathers: many parts, one result, in a record that cannot be lost.

    gather([resize.s(image) for image in images], album.s(), timeout=3600)

The call shape of a chord, and a signature like any other: alone, in a chain, in a group or chord header, as a part of
another gather. What a chord keeps in counters that a killed worker may never decrement is kept as a wait here (see
`waiting`): the first run stages the parts and registers the wait, publishes, and lets go of its slot.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from celery import Celery, Signature, chain

from supervision.coordination.gathers import MOST_KEPT, Gather, failures, gather_terms, told, valid_gather
from supervision.coordination.waits import DEFAULT_TIMEOUT_S, ERRORS, How, Outcome
from supervision.engine.canvas import RAISE, said_on_timeout, valid_app
from supervision.engine.eager import refuse_eager
from supervision.engine.leaving import Left
from supervision.engine.parts import text, value
from supervision.engine.resuming import GATHER, QUEUE, SERIALIZER, letter
from supervision.engine.rows import steps
from supervision.engine.showing import announce
from supervision.engine.waiting import Waiting, shortened
from supervision.errors import InvalidWait, PartsFailed, StoreUnavailable, WaitEnded
from supervision.model import shown
from supervision.store.gathers import Gathers
from supervision.store.waits import Claimed


def gather(  # noqa: PLR0913 # all but the parts and what follows are named
    parts: "Iterable[Signature[Any]]",
    then: "Signature[Any] | None" = None,
    *,
    fail_fast: bool = False,
    timeout: float = DEFAULT_TIMEOUT_S,
    on_timeout: Any = RAISE,
    app: Celery | None = None,
) -> "Signature[Any]":
    """A signature that runs ``parts`` side by side and returns the list of their results, in their order.

    Parts that are running when it ends early go on; what they return is dropped. A part runs once, but for what any
    Celery task may do twice: a worker that is killed while it publishes publishes up to 100 again, under the same ids.

    Args:
        parts: 1 to 10,000 signatures of tasks or chains; several in one part are a gather of their own.
        then: a signature that gets the list, as a chord's body does.
        fail_fast: end at the first part that fails; by default it ends when all have ended, as a chord does.
        timeout: seconds from when it begins, 0.001 to 30 days, by the store's clock.
        on_timeout: ``"raise"`` (`SignalTimeout`, which names missing parts), a signature instead, or a value.
        app: the app in whose default queue parts and chain run; by default the current one.

    Raises:
        InvalidWait: it could not work; the message says why. When it runs it raises `PartsFailed`, which says which
            parts failed and why, and what `wait_for` raises.
        InvalidDocument: as of `wait_for`.
    """
    app = valid_app(app)
    said = valid_gather(
        Gather(
            parts=tuple(steps(part, f"part {index} of a gather") for index, part in enumerate(_listed(parts))),
            fail_fast=fail_fast,
            timeout=timeout,
            on_timeout=said_on_timeout(on_timeout),
            home=str(app.conf.task_default_queue),
        )
    )
    refuse_eager(app, f"a gather of {told(len(said.parts))}")
    options = {"queue": QUEUE, "ignore_result": False, "serializer": SERIALIZER}
    # Not encoded: what kombu can carry is more than what JSON has.
    signature = Signature(GATHER, kwargs=msgspec.structs.asdict(said), options=options, immutable=True, app=app)
    gather_terms(signature["kwargs"])  # what is of no such type is told here, not by the worker
    return signature if then is None else chain(signature, _then(then), app=app)


def _listed(parts: Any) -> Any:
    if isinstance(parts, Iterable) and not isinstance(parts, Mapping):
        return parts
    if isinstance(parts, Mapping) and parts.get("subtask_type") == "group":
        return parts["kwargs"]["tasks"]
    raise InvalidWait(f"parts={shown(parts)}: needs a list of signatures, for example [add.s(1, 2), add.s(3, 4)]")


def _then(then: Any) -> "Signature[Any]":
    if isinstance(then, Signature):
        return then.clone()
    raise InvalidWait(f"then={shown(then)}: needs a signature that takes the list of results, for example total.s()")


class Gathering(Waiting):
    """The task behind `gather`; ``gathers`` answers the store's side of this process, ``fan_out`` publishes parts."""

    abstract = True
    gathers: Callable[[], Gathers]
    fan_out: Callable[[str], object]

    def begun(self, args: Sequence[Any], described_by: dict[str, Any]) -> Claimed:
        """Stage the parts, begin to wait, and publish some."""
        wanted = gather_terms(described_by)
        wanted = msgspec.structs.replace(wanted, timeout=shortened(wanted.timeout, self.request.expires))
        gather_id = str(self.request.id)
        parts = [text(steps) for steps in wanted.parts]
        began = announce(self, told(len(wanted.parts)), wanted.timeout)  # a message that comes once more begins nothing
        claim = type(self).gathers().begin(gather_id, wanted, parts, mail=letter(self, args), resumed=not began)
        if claim.state == "waiting":
            type(self).fan_out(gather_id)
        return claim

    def came(self, claim: Claimed, outcome: Outcome) -> Any:  # noqa: ARG002 # as any wait's
        """The list of results."""
        return [value(each) for each in self._results(claim)[0]]

    def failure(self, claim: Claimed, outcome: Outcome) -> WaitEnded:
        """What is raised, with the parts that failed."""
        if outcome.how is not How.FAILED or claim.stored is None or claim.state == "processed":  # then they are gone
            return ERRORS[outcome.how](outcome.why)
        failed = self._results(claim)[1]
        kept = dict(sorted(failed.items())[:MOST_KEPT])
        return PartsFailed(failures(failed, claim.stored.parts), kept)

    def _results(self, claim: Claimed) -> tuple[list[str], dict[int, str]]:
        try:
            return type(self).gathers().results(claim.id)
        except StoreUnavailable as error:  # no end of the gather: whoever claims it next reads them
            raise Left from error
