"""A pool process that asks to be replaced: no task is lost or done twice, and no error is told."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from celery_processes import Worker, ended, lines, publish, until
from replacing_app import app as wearing

from supervision.server import EmbeddedStore

TASKS, SLOTS = 30, 2


@pytest.mark.chaos
def test_a_process_is_replaced_between_two_tasks(tmp_path: Path, valkey_server: EmbeddedStore) -> None:
    queue = "replacing"
    with wearing.connection_for_write(valkey_server.url) as connection:
        for number in range(TASKS):
            publish(wearing, "probe.wearing", str(tmp_path), str(number), queue=queue, connection=connection)  # type: ignore[arg-type]  # one more option of send_task
    worker = Worker(tmp_path, valkey_server.url, queue, app="replacing_app", slots=SLOTS)
    with ended(worker):
        until(lambda: len(lines(tmp_path, "done")) >= TASKS, lambda: f"{lines(tmp_path, 'done')}\n{worker.log}")
        worker.send(signal.SIGTERM)
        worker.wait(60)
    done = [line.split() for line in lines(tmp_path, "done")]
    assert Counter(number for number, _ in done) == {str(number): 1 for number in range(TASKS)}
    by_process = Counter(pid for _, pid in done)
    assert max(by_process.values()) == 3, "nobody goes on after asking"
    assert worker.logged("pool process [0-9]+ is replaced: three tasks done") >= TASKS // 3 - SLOTS
    assert worker.logged("ERROR|CRITICAL|Traceback|exited with|prematurely|WorkerLost") == 0, worker.log
