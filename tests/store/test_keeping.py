"""Which claims a process holds anew, from whatever thread it goes on with them."""

from lamps import ask

from supervision.coordination.waits import Node, Terms
from supervision.engine.keeping import Keeper
from supervision.store.store import Store


def test_a_claim_is_let_go_of_by_who_has_it_and_by_no_other_run_of_the_same_wait(store: Store) -> None:
    store.waits.enter("w", Terms(Node(signal="s"), timeout=60), mail='{"options":{}}')
    store.signals.send("s", signal_id="1", payload="1", sender="", ttl_ms=60_000)
    first = store.waits.enter("w", None, resumed=True)
    copy = store.waits.enter("w", None, resumed=True)  # its message, which came once more
    keeper = Keeper()
    keeper.keep(first, store.waits)
    keeper.let_go(copy)
    ask(store).hset(store.keys.wait("w"), "lease", "1")
    assert [claim.id for claim in store.waits.hold(list(keeper._kept.values()))] == ["w"]
    keeper.let_go(first)
    keeper.let_go(first)
    assert keeper._kept == {}
