"""A wait that ends, and is gone on with elsewhere, before the run that registers it has heard from the store."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app import trace
from celery.result import AsyncResult

from supervision.coordination.waits import Terms
from supervision.engine import waiting
from supervision.engine.resuming import WAIT, Resumer
from supervision.server import EmbeddedStore
from supervision.store.store import Store
from supervision.store.waits import Claimed, Waits


class Overtaken(Waits):
    """Waits that somebody ends at once."""

    app: Celery
    how: str

    def enter(self, wait_id: str, terms: Terms | None, **options: Any) -> Claimed:
        claim = super().enter(wait_id, terms, **options)
        claims, _ = self.end(wait_id, how=self.how, why="tired of it", by="ann", value="7", claim=True)
        assert self.processed(Resumer(self.app).go_on(claims)) == 1
        return claim


@pytest.fixture
def begin(server: EmbeddedStore, store: Store) -> Iterator[Callable[[str], AsyncResult]]:
    """Runs a wait that is overtaken by an end of this kind; answers its result."""
    app = Celery("overtaken", broker="memory://", backend=server.url, set_as_current=False)
    waits = Overtaken(store.scripts, store.keys)
    waits.app = app

    class Waiting(waiting.Waiting):
        abstract = True

    Waiting.waits = staticmethod(lambda: waits)

    @app.task(name=WAIT, bind=True, base=Waiting, shared=False)
    def wait(self: Any, *carried: Any, **terms: Any) -> Any:
        return waiting.run(self, carried, terms)

    def begun(how: str) -> AsyncResult:
        waits.how, task_id = how, uuid.uuid4().hex
        request = {"id": task_id, "task": WAIT, "is_eager": False, "delivery_info": {}}
        trace.trace_task(wait, task_id, [], {"on": {"signal": f"{task_id}/go"}}, request, app=app)
        return app.AsyncResult(task_id)

    app.finalize()
    yield begun
    app.close()


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's
@pytest.mark.parametrize(("how", "state"), [("released", "SUCCESS"), ("cancelled", "FAILURE")])
def test_an_end_that_overtakes_the_registration_leaves_nothing_waiting(
    begin: Callable[[str], AsyncResult], store: Store, how: str, state: str
) -> None:
    task = begin(how)
    assert store.open_waits.get(task.id).how == how
    assert task.state == state
