"""The demo's builder, as a message that comes twice finds it: two beats' sweeps at one moment are enough for that."""

import re
from pathlib import Path

import pytest
from celery_processes import until
from waiting_system import running

from supervision.demo.canvases import BUILDER, QUEUE, build

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

ID = "replacement-builder-1"


def test_a_replacement_that_is_sent_twice_is_one_builder(tmp_path: Path) -> None:
    with running(tmp_path, SUPERVISION_IMPORTS="supervision.demo.canvases") as system:
        for _ in range(2):
            system.app.send_task(build.name, args=("replacement",), task_id=ID, queue=QUEUE)
        handled = rf"{re.escape(build.name)}\[{ID}\] (succeeded|raised|retry|ignored)"
        until(lambda: len(re.findall(handled, system.worker.log)) == 2, system.story)
        past = system.client.latest_events(100, subject=BUILDER)
        assert [each.after for each in past if each.kind == "coordinator"].count("registered") == 1
        assert system.app.AsyncResult(ID).get(timeout=60) is None
