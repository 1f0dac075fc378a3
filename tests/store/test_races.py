"""Several processes at once against one server: what they did adds up, claim by claim, in the history."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lamps import REFUSED, ask, control, counter, now
from racing import KIND, Racer
from sources import ROOT
from waiting import until

from supervision.server import EmbeddedStore
from supervision.store.history import Past
from supervision.store.store import Store
from supervision.store.ticks import LEASE_MS
from supervision.view import Claim

RACERS, STEPS = 4, 250


def race(server: EmbeddedStore, namespace: str, *, deaths: bool) -> None:
    """All of them, to the end."""
    program = Path(__file__).with_name("racing.py")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    running = [
        subprocess.Popen(
            [sys.executable, program, server.url, namespace, str(seed), str(STEPS), str(int(deaths))], env=environment
        )
        for seed in range(RACERS)
    ]
    assert [process.wait(timeout=100) for process in running] == [0] * RACERS


def ticks(store: Store) -> list[Past]:
    """Those that took effect, in the order in which they did."""
    return [past for past in store.history.since(most=100_000) if past.kind == KIND]


def settled(store: Store) -> bool:
    return control(store)[b"dirty"] == control(store)[b"clean"]


@pytest.mark.parametrize("deaths", [False, True], ids=["slow ones", "slow ones and deaths"])
def test_every_slot_and_every_version_takes_effect_once_and_none_from_an_old_epoch(
    server: EmbeddedStore, namespace: str, store: Store, *, deaths: bool
) -> None:
    race(server, namespace, deaths=deaths)
    found = ticks(store)
    told = [past.reason.split(":") for past in found]
    epochs, versions = [past.epoch for past in found], [int(version) for _, _, version, _ in told]
    slots = [slot for mode, slot, *_ in told if mode == "slot"]
    assert len(found) > RACERS * 5
    assert len(slots) > RACERS
    assert epochs == sorted(set(epochs)), "an effect of an old epoch would stand after a newer one"
    assert versions == sorted(set(versions))
    assert len(slots) == len(set(slots))
    claims = counter(store, "supervisor_ticks_total|supervisor=plant|outcome=claimed")
    refused, died = counter(store, REFUSED.decode()), int(ask(store).get(f"{namespace}:died") or 0)
    assert claims == len(found) + refused + died
    assert refused > 0
    assert (died > 0) == deaths


def test_messages_alone_bring_every_change_to_a_tick(server: EmbeddedStore, namespace: str, store: Store) -> None:
    race(server, namespace, deaths=False)
    last = Racer(store, "last", deaths=False)
    while ask(store).llen(last.post):
        last.take()
    assert settled(store)
    heats = [int(past.reason.split(":")[-1]) for past in ticks(store)]
    assert heats[-1] == last.heat(Claim(1, now(store), 0))


def test_whatever_died_is_made_up_for_by_the_sweep(server: EmbeddedStore, namespace: str, store: Store) -> None:
    race(server, namespace, deaths=True)
    last = Racer(store, "last", deaths=False)
    last.change()

    def swept() -> bool:
        last.send(store.outbox.rewake(["plant"], LEASE_MS))
        while ask(store).llen(last.post):
            last.take()
        return settled(store)

    began = now(store)
    until(swept)
    assert now(store) - began < 20_000
    heats = [int(past.reason.split(":")[-1]) for past in ticks(store)]
    assert heats[-1] == last.heat(Claim(1, now(store), 0))
