"""Children that come and go, on the real store: enrolled, removed with their documents, and never brought back."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, ClassVar

import msgspec
import pytest
from lamps import Lamp, LampSeen, Post, ask, claimed, everything, forget_slot, now, past, plant, sight
from waiting import until

from supervision.actions import Run, action
from supervision.backoff import Backoff
from supervision.child import state
from supervision.client import Client, SupervisorDescription
from supervision.decide import decide
from supervision.errors import InvalidDocument
from supervision.model import Do, Go, Move, Phase, Reservation, Snapshot, Stay
from supervision.orders import WHOLE, Pause
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.observations import Look
from supervision.store.orders import Asked
from supervision.store.store import Store
from supervision.supervisor import Supervisor

ASKED = Asked("ann", "to see")


class Guest(Lamp):
    """A lamp that comes and goes; ``real`` is what is true, by name."""

    real: ClassVar[dict[str, LampSeen]] = {}

    def observe(self) -> LampSeen:
        return self.real.get(self.name, LampSeen(on=False))

    def rest(self, desired: dict[str, Any]) -> dict[str, Any]:
        return {**desired, "on": False}

    @state(Phase.STOPPED, initial=True)
    def off(self, seen: Snapshot) -> Move:
        if seen.observed.on:
            return Go("lit", "it is on")
        return Do("switch_on", "it is off") if seen.desired.get("on", True) else Stay("not wanted")

    @state(Phase.RUNNING)
    def lit(self, seen: Snapshot) -> Move:
        if not seen.observed.on:
            return Go("off", "it went out")
        return Stay("it is on") if seen.desired.get("on", True) else Do("switch_off", "not wanted")

    @action(timeout=5)
    def switch_on(self, _run: Run) -> None:
        self.real[self.name] = LampSeen(on=True)

    @action(timeout=5)
    def switch_off(self, _run: Run) -> None:
        self.real[self.name] = LampSeen(on=False)


def made(desired: dict[str, Any]) -> list[Guest] | None:
    names = desired.get("names")
    return None if names is None else [Guest(name) for name in names]


def house_of(dynamic: Any) -> Supervisor:
    quick = Backoff(base=0.001, cap=0.001)
    return Supervisor("plant", [Lamp("fixed")], dynamic=dynamic, desired={"names": []}, restart=quick)


class House:
    """One supervisor with guests, its runtime, and a worker that runs what is sent at once."""

    def __init__(self, store: Store) -> None:
        self.store, self.post = store, Post()
        self.supervisor = house_of(made)
        self.runtime = Runtime(store, self.post, {"plant": self.supervisor})
        self.ran = self.asked = 0

    def want(self, *names: str) -> None:
        self.asked += 1
        text = msgspec.json.encode({"names": names}).decode()
        asked = Asked("ann", "to see", f"r{self.asked}")
        self.store.orders.desire("plant", WHOLE, text, expected=None, asked=asked)

    def look(self) -> None:
        began = now(self.store)
        until(lambda: now(self.store) > began)  # what ended in this millisecond is seen in the next
        ask(self.store).hdel(self.key("control"), "look_slot")
        self.runtime.collect("plant")

    def tick(self) -> str:
        forget_slot(self.store, self.supervisor)
        return self.runtime.tick("plant")

    def work(self) -> None:
        sent = [entry.subject for entry in self.post.taken if entry.kind == "act"]
        for action_id in sent[self.ran :]:
            self.runtime.run_action(action_id)
        self.ran = len(sent)

    def rounds(self, count: int = 1) -> None:
        for _ in range(count):
            self.look()
            self.tick()
            self.work()

    def key(self, what: str) -> str:
        return self.store.keys.of("plant", what)

    def fields(self, what: str) -> set[str]:
        return {field.decode() for field in ask(self.store).hkeys(self.key(what))}

    def where(self, child: str) -> set[str]:
        """All hashes of the supervisor, and others, that still have a field of that child."""
        found: set[str] = set()
        for key, value in everything(self.store).items():
            fields = {field.decode() for field in value} if isinstance(value, dict) else set()
            if key.startswith(f"{{{self.store.keys.namespace}}}:action:") or key.endswith((":entries", ":counters")):
                continue
            if any(child in field for field in fields):
                found.add(key.rsplit(":", 1)[-1])
        return found


@pytest.fixture
def house(store: Store) -> House:
    Guest.real = {}
    house = House(store)
    house.rounds(2)
    return house


def moves(house: House) -> list[tuple[str, str, str]]:
    return past(house.store, "member")


def test_who_is_wanted_joins_and_runs(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    assert moves(house) == [("plant/guest", "", "joined")]
    assert Guest.real["guest"].on
    assert house.fields("members") == {"guest"}
    assert house.fields("records") == {"fixed", "guest"}


def test_who_leaves_is_stopped_and_removed_with_all_that_was_stored(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    far = 10**15
    house.store.orders.pause("plant", "guest", Pause(far, "ann", "to see", "r1"))
    house.store.orders.resume("plant", "guest", ASKED)
    house.store.orders.switch("plant", "guest", on=True, declared=False, asked=ASKED)
    house.store.orders.desire("plant", "guest", '{"on":true}', expected=None, asked=ASKED)
    house.want()
    house.rounds(6)
    assert [after for _, _, after in moves(house)] == ["joined", "leaving", "removed"]
    assert not Guest.real["guest"].on
    assert house.where("guest") == {"gone"}
    assert house.fields("sources") == set()
    assert house.fields("records") == {"fixed"}


def test_a_late_look_changes_nothing_after_the_removal(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    early = house.store.observations.look(house.supervisor, periodic=False)
    assert early is not None
    house.want()
    house.rounds(6)
    late = Look(early.sequence + 10**9, early.at, frozenset())
    for look in (early, late):
        house.store.observations.seen(house.supervisor, look, [sight("guest")], ("guest",))
    assert house.where("guest") == {"gone"}


def test_a_look_that_fails_late_changes_nothing_either(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    house.want()
    house.rounds(6)
    look = house.store.observations.look(house.supervisor, periodic=False)
    assert look is not None
    failed = type(sight("guest"))("guest", error="it hangs")
    house.store.observations.seen(house.supervisor, look, [failed])
    assert house.where("guest") == {"gone"}


def test_a_declared_child_may_have_the_name_of_one_that_is_gone(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    house.want()
    house.rounds(6)
    house.supervisor = Supervisor("plant", [Lamp("fixed"), Lamp("guest")], dynamic=made, desired={"names": []})
    house.runtime = Runtime(house.store, house.post, {"plant": house.supervisor})
    house.rounds(3)
    assert "guest" in house.fields("observed")
    assert ("plant/guest", "off", "lit") in past(house.store, "state")[-2:]


def test_a_late_end_changes_nothing_after_the_removal(house: House) -> None:
    house.want("guest")
    house.look()
    house.tick()
    house.look()
    house.tick()
    action_id = next(entry.subject for entry in house.post.taken if entry.kind == "act")
    lost = house.store.actions.start(action_id)
    assert not isinstance(lost, str)
    ended = house.store.actions.finish(lost, outcome="failed", retry=False)
    assert ended.outcome == "failed"
    house.ran = 1
    house.want()
    house.rounds(6)
    assert house.where("guest") == {"gone"}
    before = everything(house.store)
    assert house.store.actions.finish(lost, outcome="succeeded").outcome == "late"
    assert house.where("guest") == {"gone"}
    assert everything(house.store).keys() == before.keys()


def test_an_action_that_a_person_gives_meanwhile_is_waited_for(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    house.want()
    house.rounds(2)  # it is stopped
    house.look()
    forget_slot(house.store, house.supervisor)
    claim = claimed(house.store, house.supervisor)
    view = house.store.ticks.load(house.supervisor, claim)
    plan = decide(view, claim.now)
    assert plan.members.members == {"guest": None}
    by_hand = Reservation("by-hand", "guest", "noop", "to see", {}, 1000, 0)
    assert house.store.actions.reserve("plant", "ann", by_hand)[0] == "reserved"
    house.store.ticks.commit(view, plan, claim)
    assert "guest" in house.fields("records")
    assert moves(house)[-1] == ("plant/guest", "", "leaving")
    house.runtime.run_action("by-hand")
    house.rounds(3)
    assert moves(house)[-1] == ("plant/guest", "leaving", "removed")
    assert house.where("guest") == {"gone"}


def test_who_comes_back_is_looked_at_and_runs_again(house: House) -> None:
    for _ in range(2):
        house.want("guest")
        house.rounds(5)
        assert house.fields("gone") == set()
        assert Guest.real["guest"].on
        assert "guest" in house.fields("observed")
        house.want()
        house.rounds(6)
        assert house.fields("gone") == {"guest"}
    assert [after for _, _, after in moves(house)] == ["joined", "leaving", "removed"] * 2


def test_who_is_wanted_again_before_the_end_stays(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    house.want()
    house.rounds(1)
    house.want("guest")
    house.rounds(4)
    assert [after for _, _, after in moves(house)] == ["joined", "leaving", "stays"]
    assert Guest.real["guest"].on


def test_a_tombstone_goes_away_with_time(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    house.want()
    house.rounds(6)
    ask(house.store).hset(house.key("gone"), "guest", "1")
    house.want("other")
    house.rounds(1)
    assert house.fields("gone") == set()


def test_a_crash_between_enrol_and_commit_heals(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_args: Any, **_options: Any) -> Any:
        raise SystemExit("killed")

    for names in (("guest",), ()):
        house.want(*names)
        for _ in range(4):
            with monkeypatch.context() as patched:
                patched.setattr(type(house.store.ticks), "_commit_slice", dies)
                house.look()
                with pytest.raises(SystemExit):
                    house.tick()
            ask(house.store).hset(house.key("control"), "lease_until", "1")
        house.rounds(6)
        assert (house.fields("records") == {"fixed", "guest"}) == bool(names)
    assert [after for _, _, after in moves(house)] == ["joined", "leaving", "removed"]
    assert house.where("guest") == {"gone"}


def test_an_old_epoch_enrols_nobody(house: House) -> None:
    house.want("guest")
    forget_slot(house.store, house.supervisor)
    claim = claimed(house.store, house.supervisor)
    view = house.store.ticks.load(house.supervisor, claim)
    plan = decide(view, claim.now)
    ask(house.store).hset(house.key("control"), "lease_until", "1")
    forget_slot(house.store, house.supervisor)
    claimed(house.store, house.supervisor)
    assert house.store.ticks.commit(view, plan, claim).outcome == "superseded"
    assert house.fields("members") == set()
    assert moves(house) == []


def test_the_same_document_is_stored_once_and_forgotten_with_the_last_that_is_from_it(house: House) -> None:
    house.want("a", "b")
    house.rounds(4)
    assert len(house.fields("sources")) == 1
    house.want("b")
    house.rounds(1)
    assert len(house.fields("sources")) == 2  # what makes the one that leaves
    house.rounds(6)
    assert len(house.fields("sources")) == 1


def test_code_that_no_longer_makes_a_member_does_not_stop_the_ticks(house: House, connect: Callable[[], Store]) -> None:
    house.want("guest")
    house.rounds(4)
    house.store = house.runtime.store = connect()  # a new process, with new code
    house.supervisor = house_of(lambda _document: [])
    house.runtime = Runtime(house.store, house.post, {"plant": house.supervisor})
    house.rounds(3)
    assert moves(house)[-1] == ("plant/guest", "", "joined")
    assert house.where("guest") >= {"members", "records"}  # left alone: another version may still make it
    assert house.tick() in {"done", "again"}


def test_only_those_that_are_enrolled_are_looked_at(house: House) -> None:
    house.want("guest")
    house.look()
    assert house.where("guest") == {"desired"} or house.where("guest") == set()
    assert set(house.store.ticks.loading.children(house.supervisor)) == {"fixed"}
    house.tick()
    assert set(house.store.ticks.loading.children(house.supervisor)) == {"fixed", "guest"}


def test_a_supervisor_without_members_has_its_declared_children(store: Store) -> None:
    fixed = plant()
    assert store.ticks.loading.children(fixed) == fixed.children


def test_nobody_gives_an_action_to_a_child_that_was_removed(house: House) -> None:
    house.want("guest")
    house.rounds(4)
    house.want()
    house.rounds(6)
    assert house.where("guest") == {"gone"}
    late = Reservation("by-hand", "guest", "noop", "to see", {}, 1000, 0)
    assert house.store.actions.reserve("plant", "ann", late) == ("gone", ())
    assert house.where("guest") == {"gone"}


# --- two versions of the code


@pytest.fixture
def before_it(house: House, connect: Callable[[], Store]) -> Runtime:
    """The version before, in a process of its own, whose function never makes the one that is named `new`."""
    supervisor = house_of(lambda desired: [guest for guest in made(desired) or [] if guest.name != "new"])
    return Runtime(connect(), house.post, {"plant": supervisor})


def test_a_member_that_only_the_newer_version_makes_is_left_alone_by_the_older_one(
    house: House, before_it: Runtime
) -> None:
    house.want("old", "new")
    house.rounds(4)
    house.store.orders.switch("plant", "new", on=False, declared=True, asked=ASKED)
    house.rounds(4)
    assert not Guest.real["new"].on
    before = (house.fields("orders"), house.fields("records"), house.fields("members"))
    for _ in range(3):
        forget_slot(house.store, house.supervisor)
        assert before_it.tick("plant") in {"done", "again"}
    assert (house.fields("orders"), house.fields("records"), house.fields("members")) == before
    house.rounds(4)
    assert not Guest.real["new"].on, "it is still switched off"
    assert [after for subject, _, after in past(house.store, "member") if subject == "plant/new"] == ["joined"]


def test_it_is_kept_while_its_document_is_in_force_and_forgotten_when_nobody_made_it_for_long(
    house: House, before_it: Runtime
) -> None:
    house.want("old", "new")
    house.rounds(3)
    for _ in range(2):
        assert before_it.sweep_forgotten() == 0
    assert house.fields("orphans") == set(), "its document is the one in force"
    house.want("old")
    before_it.sweep_forgotten()
    assert house.fields("orphans") == {"new"}
    house.runtime.sweep_forgotten()
    assert house.fields("orphans") == set(), "somebody makes it"
    before_it.sweep_forgotten()
    ask(house.store).hset(house.key("orphans"), "new", "1")
    ask(house.store).hset(house.key("slow"), "/new", "1")
    assert before_it.sweep_forgotten() == 1
    for what in ("members", "records", "observed", "orphans", "slow"):
        assert not house.fields(what) & {"new", "/new"}, what
    forget_slot(house.store, house.supervisor)
    before_it.tick("plant")
    assert len(house.fields("sources")) == 1


def test_nothing_is_left_of_a_look_alone_at_one_that_is_removed(house: House) -> None:
    house.want("new")
    house.rounds(4)
    ask(house.store).hset(house.key("slow"), "/new", "1")  # it never came back from there
    house.want()
    house.rounds(6)
    assert house.fields("members") == set()
    assert house.fields("slow") == set()


class Lantern(Guest):
    """Something else, which may have the same name."""


def test_one_of_another_kind_joins_when_the_one_of_that_name_has_left(store: Store) -> None:
    Guest.real = {}
    house = House(store)
    kinds = {"guest": Guest, "lantern": Lantern}
    house.supervisor = house_of(lambda desired: [kinds[kind]("one") for kind in desired["names"]])
    house.runtime = Runtime(store, house.post, {"plant": house.supervisor})
    house.want("guest")
    house.rounds(4)
    assert Guest.real["one"].on
    house.want("lantern")
    house.rounds(1)
    assert store.ticks.loading.children(house.supervisor)["one"].kind == "guest"
    house.rounds(3)
    assert not Guest.real["one"].on, "it was stopped by what had started it"
    house.rounds(4)
    assert store.ticks.loading.children(house.supervisor)["one"].kind == "lantern"
    assert Guest.real["one"].on
    assert [after for _, _, after in moves(house)] == ["joined", "leaving", "removed", "joined"]


class Guests(msgspec.Struct, frozen=True):
    """The house's document, of a class: with fields of its own."""

    names: tuple[str, ...] = ("ann",)


def test_a_document_that_the_code_cannot_read_is_told_once_per_revision_and_moves_nobody(
    store: Store, server: EmbeddedStore
) -> None:
    house = House(store)
    house.supervisor = Supervisor(
        "plant",
        dynamic=lambda wanted: [Guest(name) for name in wanted.names],
        Desired=Guests,
        desired=Guests(),
        stale_after=600,
    )
    house.runtime = Runtime(store, house.post, {"plant": house.supervisor})
    house.runtime.declare()
    house.rounds(2)
    assert house.fields("members") == {"ann"}
    with closing(Client(server.url, namespace=store.keys.namespace)) as client:
        with pytest.raises(InvalidDocument, match="plant: desired: has no field 'nmaes'; it has names"):
            client.set_desired("plant", {"nmaes": ["bob"]}, by="ann", reason="a typo")
        with pytest.raises(InvalidDocument, match="field 'names' is a text; it needs a list"):
            client.set_desired("plant", {"names": "bob"}, by="ann", reason="a typo")
        for revision, text in enumerate(('{"nmaes": ["bob"]}', '{"names": "bob"}'), start=1):
            store.orders.desire("plant", WHOLE, text, expected=None, asked=Asked("ann", "old code", f"r{revision}"))
            house.rounds(3)
            assert house.fields("members") == {"ann"}
            refused = [event for event in client.events() if event.kind == "desired" and event.after == "refused"]
            assert [event.before for event in refused] == [str(number + 1) for number in range(revision)]
            found = client.describe("plant")
            assert isinstance(found, SupervisorDescription)
            assert (found.desired_revision, found.desired_refused) == (revision, True)
        assert past(store, "check_broken") == []
        client.set_desired("plant", {"names": ["ann", "bob"]}, by="ann", reason="spelt well")
        house.rounds(2)
        assert house.fields("members") == {"ann", "bob"}
        found = client.describe("plant")
        assert isinstance(found, SupervisorDescription)
        assert found.desired_refused is False
