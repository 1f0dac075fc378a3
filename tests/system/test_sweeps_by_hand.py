"""Sweeps that a person or a timer runs while there is no worker at all: ``supervision sweep NAME --here``."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shells import SUPERVISION, Quick, Shell

from supervision.coordination.waits import Node, Terms
from supervision.ports import free_ports
from supervision.server import EmbeddedStore
from supervision.store.store import Store

A_DAY_MS = 24 * 3_600_000


@pytest.fixture
def store(valkey_server: EmbeddedStore, namespace: str) -> Iterator[Store]:
    with closing(Store(valkey_server.url, namespace)) as found:
        yield found


@pytest.fixture
def shell(store: Store, valkey_server: EmbeddedStore, tmp_path: Path) -> Shell:
    """A shell whose broker is away, where nobody has ever begun a worker; it judges by heartbeats of 0.1 s."""
    patience = {"": 0.1, "_WARNING": 0.2, "_CRITICAL": 0.3, "_DEAD": 0.4}
    return Shell(
        tmp_path,
        SUPERVISION_STORE_URL=valkey_server.url,
        SUPERVISION_NAMESPACE=store.keys.namespace,
        SUPERVISION_BROKER_URL=f"redis://127.0.0.1:{next(free_ports())}/0",
        **{f"SUPERVISION_HEARTBEAT{name}": str(seconds) for name, seconds in patience.items()},
    )


def begin(store: Store, wait_id: str) -> None:
    terms = Terms(Node(signal=f"{wait_id}/never"), timeout=600)
    assert store.waits.enter(wait_id, terms, mail='{"options":{}}').state == "waiting"


def test_a_wait_whose_time_is_over_ends_without_any_worker(shell: Shell, store: Store) -> None:
    begin(store, "late")
    begin(store, "in-time")
    store.client.zincrby(store.keys.deadlines, -A_DAY_MS, "0#late")
    done = shell.run(SUPERVISION, "sweep", "deadlines", "--here")
    assert (done.returncode, done.stdout) == (0, "deadlines: 1 handled here\n"), done
    assert "not_gone_on_with" in done.stderr  # the broker is away: that is left to the workers, or to the next sweep
    assert store.open_waits.get("late").how == "timed_out"
    assert store.open_waits.get("in-time").state == "waiting"
    assert store.client.zcard(store.keys.undelivered) == 1


def test_liveness_is_judged_by_what_is_configured(shell: Shell, store: Store) -> None:
    assert shell("sweep", "liveness", "--here", "-o", "name") == "liveness\n"
    assert store.coordinators.register("bob", kind="process", process="p", host="h").every == 0.1


def test_what_is_removed_is_logged_on_the_error_stream(shell: Shell, store: Store) -> None:
    store.signals.send("old", signal_id="1", payload="1", sender="", ttl_ms=1)
    store.client.zincrby(store.keys.signals, -3 * A_DAY_MS, "old")
    assert "It removes 1; --dry-run lists them" in shell("sweep", "cleared", "--here", status=2)
    done = shell.run(SUPERVISION, "sweep", "cleared", "--here", "--yes", "-o", "json")
    assert json.loads(done.stdout) == {"version": 1, "sweep": "cleared", "ordered": False, "handled": 1}, done
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["event"], line["signals"], line["waits"], line["removed"]) == ("cleared", ["old"], [], 1)


def test_what_only_workers_can_run_is_ordered_and_whether_one_runs_is_said(shell: Shell, store: Store) -> None:
    assert shell("sweep", "due", "--here") == (
        "due: ordered; left to workers: no worker has swept yet, so it is done when one runs\n"
    )
    quick = Quick(shell.folder, **shell.environment)
    assert quick("sweep", "due") == "due: ordered; no worker has swept yet, so it is done when one runs\n"
    assert [entry.subject for entry in store.outbox.unpublished(-60_000)] == ["due", "due"]
    store.client.set(store.keys.swept, f"{store.client.time()[0] * 1000 - 3_600_000}:1000")
    assert "no worker has swept for 1h" in quick("sweep", "due")
    store.actions.overdue()  # as a worker does each second
    assert quick("sweep", "due") == "due: ordered; a worker does it within about two seconds\n"
