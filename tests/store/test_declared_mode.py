"""The mode of the declaration holds until people order another one, and that one until they order again."""

from lamps import Post, ask, forget_slot, plant, ticked

from supervision.client import Client
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.store import Store


def given(store: Store) -> list[str]:
    return [event.kind for event in store.history.since() if event.kind in {"would", "action"}]


def test_a_supervisor_declared_to_observe_sends_nothing_until_people_let_it_act(
    store: Store, server: EmbeddedStore
) -> None:
    supervisor = plant(1, mode="observe")
    post = Post()
    runtime = Runtime(store, post, {"plant": supervisor})
    runtime.declare()
    dark = '{"on":false,"heat":0}'
    ask(store).hset(store.keys.of("plant", "observed"), "lamp-0", dark)
    with Client(server.url, namespace=store.keys.namespace) as client:
        assert client.get("plant").mode == "observe"
        ticked(store, supervisor)
        for mode, kinds in (("act", {"would", "action"}), ("observe", {"would", "action"})):
            now = client.now()
            ask(store).hset(store.keys.of("plant", "seen"), "lamp-0", f"{now}:{now}")
            forget_slot(store, supervisor)
            runtime.tick("plant")
            if mode == "act":
                assert given(store) == ["would"]
            client.set_mode("plant", mode, by="ann", reason="what it would do looks right")
            assert client.get("plant").mode == mode
            ask(store).hset(
                store.keys.of("plant", "records"), "lamp-0", '{"state":"off","phase":"stopped","reason":"x","since":1}'
            )
            forget_slot(store, supervisor)
            runtime.tick("plant")
            assert set(given(store)) == kinds
        client.set_mode("plant", "act", by="ann", reason="and back")
        assert client.get("plant").mode == "act"
