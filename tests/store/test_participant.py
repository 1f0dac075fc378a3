"""How a coordinator of a plain process waits: what it asks the store for, and how often."""

import pytest

from supervision.client import Client
from supervision.server import EmbeddedStore


@pytest.mark.parametrize(("state", "least"), [("received", 29.0), ("dead_letter", 1.0)])
def test_what_is_not_ours_to_go_on_with_is_not_asked_for_all_the_time(
    server: EmbeddedStore, namespace: str, state: str, least: float
) -> None:
    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        client.send("s")
        with ann.waiting("s"):
            (wait_id,) = (each.decode() for each in client._store.client.zrange(client._store.keys.ended, 0, -1))
            client._store.client.hset(client._store.keys.wait(wait_id), "state", state)
            course = ann.course("s", timeout=60, expects="", on_death="fail", wake=lambda: None)
            assert least <= next(course) <= 30
            course.close()
