"""Which run of which server answers: asked by each new connection, and by nothing else."""

import re
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from lamps import Lamp, LampSeen, Post, ask, forget_slot
from waiting import until

from supervision.errors import StoreUnavailable
from supervision.ports import free_ports
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.connection import connect, server_of
from supervision.store.store import Store
from supervision.supervisor import Supervisor


def calls_of(store: Store, command: str) -> int:
    """How often the server was given ``command`` by anybody."""
    return int(ask(store).info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def test_the_server_is_known_before_the_first_command(store: Store) -> None:
    found = server_of(store.client)
    assert re.fullmatch(r"[0-9a-f]{40}", found)
    assert found == ask(store).info("server")["run_id"]


def test_it_is_asked_once_per_connection_and_never_again(make_store: Callable[..., EmbeddedStore]) -> None:
    with closing(Store(make_store().url)) as store:
        before = calls_of(store, "info")
        for _ in range(20):
            assert server_of(store.client)
        assert calls_of(store, "info") == before + 1, "only this test has asked"


def test_a_server_that_was_restarted_is_another_one_for_the_very_next_command(
    make_store: Callable[..., EmbeddedStore],
) -> None:
    server = make_store()
    with closing(connect(server.url)) as client:
        found = [server_of(client)]
        for _ in range(2):
            server.stop()
            server.start()
            found.append(server_of(client))
            assert found[-1] == dict(client.info("server"))["run_id"]  # type: ignore[call-overload]  # the sync client answers the mapping itself
        assert len(set(found)) == 3


class Dark(Lamp):
    """Is always off, so that every tick that may wants to switch it on."""

    def observe(self) -> LampSeen:
        return LampSeen(on=False)


def sent_by_a_tick(runtime: Runtime, post: Post) -> list[str]:
    post.taken.clear()
    forget_slot(runtime.store, runtime.supervisors["plant"])
    assert runtime.tick("plant") in {"done", "again"}
    return [entry.kind for entry in post.taken if entry.kind != "tick"]


def test_after_the_server_was_restarted_the_first_ticks_only_look(make_store: Callable[..., EmbeddedStore]) -> None:
    server, post = make_store(), Post()
    with closing(Store(server.url)) as store:
        runtime = Runtime(store, post, {"plant": Supervisor("plant", [Dark("lamp-0")])})
        runtime.collect("plant")
        assert sent_by_a_tick(runtime, post) == [], "it is declared"
        server.stop()
        server.start()
        assert ask(store).hget(store.keys.of("plant", "records"), "lamp-0"), "nothing was lost"
        assert [sent_by_a_tick(runtime, post) for _ in range(3)] == [[], [], []]
        until(lambda: runtime.collect("plant"))
        assert sent_by_a_tick(runtime, post) == ["act"]


def test_no_server_is_said_so() -> None:
    url = f"redis://127.0.0.1:{next(free_ports())}/0"
    with closing(connect(url)) as client, pytest.raises(StoreUnavailable, match="did not answer"):
        server_of(client)


def test_a_server_that_does_not_tell_is_used_all_the_same(make_store: Callable[..., EmbeddedStore]) -> None:
    server = make_store()
    with closing(Store(server.url)) as store:
        ask(store).execute_command("ACL", "SETUSER", "blind", "on", ">secret", "~*", "&*", "+@all", "-info")
    with closing(connect(f"redis://blind:secret@127.0.0.1:{urlsplit(server.url).port}/0")) as blind:
        assert server_of(blind) == ""
        assert blind.set("{n}:key", "1")
