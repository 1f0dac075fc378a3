"""The scripts: all of them used, reloaded when the server forgot them, each whole or not at all."""

import re
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import redis
from lamps import ask, claimed, everything, plant, reserved, seen, settled, sight, started, update, wish, written

import supervision.store
from supervision.server import EmbeddedStore
from supervision.store import scripts
from supervision.store.store import Store
from supervision.view import Claim

FOLDER = Path(supervision.store.__file__).parent


def test_every_file_is_a_script_that_a_module_runs() -> None:
    files = {path.stem for path in (FOLDER / "lua").iterdir() if not path.stem.startswith("prelude")}
    assert set(scripts.NAMES) == files
    code = "\n".join(path.read_text() for path in FOLDER.glob("*.py"))
    assert set(re.findall(r'\.run\(\s*"(\w+)"', code)) == files


def test_every_script_is_whole(store: Store) -> None:
    for name in scripts.NAMES:
        source = scripts.source(name)
        assert source.startswith("-- prelude:")
        assert re.search(rf"^-- {name}\(", source, re.MULTILINE)
        assert re.fullmatch(r"[0-9a-f]{40}", str(ask(store).script_load(source)))


def test_scripts_know_no_key_that_they_were_not_given() -> None:
    """What a cluster needs; nothing but KEYS may name what a command works on."""
    commands = re.compile(r"redis\.call\('(\w+)', *([^,)]+)")
    literal = [
        (path.name, found[0])
        for path in (FOLDER / "lua").iterdir()
        for found in commands.finditer(path.read_text())
        if found[2].startswith("'")
    ]
    assert literal == []


def test_no_script_looks_at_a_clock_of_its_caller() -> None:
    calls = re.compile(r"^(import|from) (time|datetime)\b", re.MULTILINE)
    assert [path.name for path in FOLDER.glob("*.py") if calls.search(path.read_text())] == []


def test_a_server_that_forgot_the_scripts_gets_them_again(store: Store) -> None:
    supervisor = plant()
    reserved(store, "a")
    for _ in range(2):
        ask(store).script_flush()
        seen(store, supervisor, sight("lamp-0"))
    ask(store).script_flush()
    claim = claimed(store, supervisor)
    ask(store).script_flush()
    assert settled(store, supervisor, claim).outcome == "done"
    ask(store).script_flush()
    run = started(store)
    ask(store).script_flush()
    assert store.actions.finish(run, outcome="succeeded").outcome == "succeeded"


def test_an_error_of_a_script_is_told_and_not_taken_for_an_outage(store: Store) -> None:
    with pytest.raises(redis.ResponseError):
        store.scripts.run("claim", [], [])


def test_what_cannot_be_packed_is_refused_before_anything_is_written(store: Store) -> None:
    claim = claimed(store, plant())
    before = everything(store)
    unwritable = msgspec.structs.replace(wish("lamp-1", "a"), params={"fuse": object()})
    with pytest.raises(TypeError):
        written(store, plant(), claim, update("lamp-0"), update("lamp-1", wish=unwritable))
    assert everything(store) == before


def test_namespaces_do_not_see_each_other(server: EmbeddedStore, store: Store) -> None:
    with closing(Store(server.url, f"{store.keys.namespace}0")) as other:
        reserved(store)
        assert everything(other) == {other.keys.counters: {}}
        assert other.actions.get("a") is None
        assert isinstance(other.ticks.claim(plant(), "slot"), Claim)
