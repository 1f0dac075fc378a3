"""Children that come and go, as a supervisor's document says: joined, leaving, removed, and wanted again."""

from typing import Any

import msgspec
import pytest
from simulated import Engine, Part, Plant, Seen, Wanted

from supervision.checks import Fail, Ok, check, fail, ok
from supervision.child import Child
from supervision.circuit import State
from supervision.declared import refuse_clashes, together
from supervision.derive import RESTING
from supervision.errors import InvalidDeclaration
from supervision.evaluate import refused_document
from supervision.members import LEAVE_MS, MOST_CHANGES, Maker, changed, of_their_kind, source
from supervision.model import LastAction
from supervision.orders import Mode, Orders, Pause
from supervision.supervisor import Supervisor
from supervision.view import Member

FAR = 10**15
LEAVE_S = LEAVE_MS // 1000

answers: dict[str, Any] = {}
"""What the function of dynamic children answers instead of what the document says."""


def made(desired: dict[str, Any]) -> Any:
    answer = answers.get("answer")
    if answer is None:
        names = desired.get("names")
        return None if names is None else [Engine(name) for name in names]
    if isinstance(answer, BaseException):
        raise answer
    return answer()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    answers.clear()


def dynamic(*names: str, children: tuple[Child, ...] = (), **options: Any) -> Plant:
    """A plant whose members are ``names``, and run."""
    plant = Plant(*children, dynamic=made, desired={"names": list(names)}, **options)
    plant.seconds(4)
    assert set(plant.members) == set(names)
    assert {record.state for record in plant.records.values()} <= {"running"}
    plant.events.clear()
    return plant


def live(plant: Plant, seconds: int, outcome: str = "succeeded") -> None:
    for _ in range(seconds):
        for child in list(plant.in_flight):
            plant.end(child, outcome)
        plant.second()


def told(plant: Plant, kind: str = "member") -> list[tuple[str, str]]:
    return [(event.subject.removeprefix("plant/"), event.after) for event in plant.events if event.kind == kind]


def remains(plant: Plant, name: str) -> list[str]:
    kept: dict[str, dict[str, Any]]
    kept = {"member": plant.members, "record": plant.records, "observed": plant.observations, "last": plant.last}
    return [what for what, documents in kept.items() if name in documents]


# what the function may answer


def test_those_that_are_wanted_join_and_run() -> None:
    plant = Plant(dynamic=made, desired={"names": ["a", "b"]})
    plant.seconds(4)
    assert told(plant) == [("a", "joined"), ("b", "joined")]
    assert {name: record.state for name, record in plant.records.items()} == {"a": "running", "b": "running"}


def test_no_opinion_changes_nothing() -> None:
    plant = dynamic("a", "b")
    plant.want(names=None)
    plant.seconds(5)
    assert told(plant) == []
    assert set(plant.members) == {"a", "b"}
    plant.truth["a"] = Seen(alive=False)
    plant.seconds(2)
    assert plant.acts() == [("a", "start")]  # they go on


def test_no_opinion_from_the_start_is_nobody() -> None:
    plant = Plant(dynamic=made, desired={"names": None})
    plant.seconds(3)
    assert (plant.members, plant.records, plant.events) == ({}, {}, [])


def test_an_empty_list_lets_all_leave() -> None:
    plant = dynamic("a", "b")
    plant.want(names=[])
    live(plant, 10)
    assert plant.acts() == [("a", "stop"), ("b", "stop")]
    assert remains(plant, "a") == remains(plant, "b") == []
    assert plant.sources == {}


NONSENSE = {
    "a number": lambda: 7,
    "a text": lambda: "ab",
    "no children": lambda: [object()],
    "a name twice": lambda: [Engine("a"), Engine("a")],
    "a declared name": lambda: [Engine("fixed")],
    "a supervisor": lambda: [Supervisor("below", [Engine("x")])],
    "a child that has a place": lambda: list(Supervisor("other", [Engine("x")]).children.values()),
    "too long a path": lambda: [Engine("a" * 199)],
    "a raising generator": lambda: (Engine("x") for _ in [1 / 0]),
}


@pytest.mark.parametrize("what", [*NONSENSE, "raises", "exits"])
def test_what_is_no_list_of_free_children_is_no_opinion_and_told_once(what: str) -> None:
    plant = dynamic("a", children=(Engine("fixed"),))
    answers["answer"] = {"raises": ValueError("bug"), "exits": SystemExit("bug")}.get(what) or NONSENSE[what]
    plant.want(names=[], odd=what)
    plant.seconds(5)
    assert told(plant) == []
    assert set(plant.members) == {"a"}
    wrong = [event for event in plant.events if event.kind == "check_broken"]
    assert len(wrong) == 1
    assert wrong[0].reason.startswith("the function of dynamic children: ")
    answers.clear()
    plant.want(names=["a", "b"])
    plant.seconds(3)
    assert told(plant) == [("b", "joined")]


def test_a_supervisor_among_dynamic_children_leaves_no_trace() -> None:
    above = Supervisor("plant", [Engine("fixed")], dynamic=made)
    below = Supervisor("below", [Engine("x")])
    with pytest.raises(InvalidDeclaration, match="is a supervisor; declare it as a child"):
        above.adopted([below])  # type: ignore[list-item] # what is tested
    assert list(above.tree()) == [above]
    assert Supervisor("other", [below]).below == {"below": below}


class Names(msgspec.Struct):
    names: list[str]


def named(**desired: Any) -> Plant:
    """A plant whose document has one field, and no other: ``a`` is wanted by it."""
    plant = Plant(Desired=Names, desired=Names(["a"]), dynamic=lambda d: [Engine(name) for name in d.names])
    plant.seconds(4)
    plant.events.clear()
    plant.want(**desired)
    plant.seconds(3)
    return plant


MISFITS = {
    "another type": ({"names": 7}, "Expected `array`, got `int` - at `$.names`"),
    "a field too many, which may be misspelt": ({"names": ["b"], "nmaes": []}, "has no field 'nmaes'; it has names"),
    "a field too few": ({}, "missing required field `names`"),
}


@pytest.mark.parametrize(("document", "why"), MISFITS.values(), ids=MISFITS)
def test_a_document_that_does_not_fit_is_no_opinion_and_refused_by_its_revision(
    document: dict[str, Any], why: str
) -> None:
    plant = named(**document)
    assert set(plant.members) == {"a"}
    assert [(event.kind, event.before, event.after) for event in plant.events] == [("desired", "1", "refused")]
    assert why in plant.events[0].reason
    assert plant.circuit.broken == (refused_document(1),)


def test_each_document_that_does_not_fit_is_told_and_one_that_fits_ends_it() -> None:
    plant = named(names=7)
    plant.want(names=8)
    plant.seconds(3)
    assert [event.before for event in plant.events] == ["1", "2"]
    assert plant.circuit.broken == (refused_document(2),)
    plant.want(names=["a", "b"])
    plant.seconds(3)
    assert plant.circuit.broken == ()
    assert told(plant) == [("b", "joined")]


def test_whether_a_document_fits_is_asked_anew_for_each() -> None:
    maker = Maker(Supervisor("plant", Desired=Names, desired=Names([]), dynamic=lambda _: []))
    fits, odd = '{"names": []}', '{"names": [], "more": 1}'
    found = [maker.misfit(each) for each in (fits, odd, odd, fits, odd)]
    wrong = "plant: desired: has no field 'more'; it has names"
    assert found == ["", wrong, wrong, "", wrong]


def test_a_document_in_force_that_does_not_fit_keeps_those_whom_an_older_one_with_such_a_field_has_made() -> None:
    """The code has lost a field since: what was made of it goes on, and only what is set from now on has to fit."""
    maker = Maker(Supervisor("plant", Desired=Names, desired=Names([]), dynamic=lambda d: map(Engine, d.names)))
    wanted, wrong = maker.made('{"names": ["a"], "lost": 1}')
    assert (list(wanted or ()), wrong) == (["a"], "")


def test_each_child_exists_once_per_document_and_old_documents_are_forgotten() -> None:
    maker = Maker(Supervisor("plant", dynamic=made))
    texts = [msgspec.json.encode({"names": [f"n{number}"]}).decode() for number in range(20)]
    first = maker.made(texts[0])[0]
    assert first is maker.made(texts[0])[0]
    for text in texts:
        maker.made(text)
    again = maker.made(texts[0])[0]
    assert again is not first
    assert again
    assert list(again) == ["n0"]
    assert source(texts[0]) != source(texts[1])


def test_a_supervisor_without_such_a_function_makes_nobody() -> None:
    assert Maker(Supervisor("plant", [Engine("a")])).made("{}") == ({}, "")


def test_the_same_members_from_another_document_are_the_same() -> None:
    plant = dynamic("a")
    plant.want(names=["a"], note="new")
    plant.seconds(3)
    assert told(plant) == []
    assert plant.members["a"].source == source(plant.document)
    assert len(plant.sources) == 1


# names that change hands


@pytest.mark.parametrize(
    ("wanted", "members", "expected"),
    [
        (None, {"a": Part("a")}, None),
        ({}, {"a": Part("a")}, []),
        ({"a": Engine("a"), "b": Engine("b")}, {}, ["a", "b"]),
        ({"a": Engine("a"), "b": Engine("b")}, {"a": Part("a"), "b": Engine("b")}, ["b"]),
    ],
)
def test_a_name_is_free_for_its_own_kind_only(wanted: Any, members: Any, expected: list[str] | None) -> None:
    found = of_their_kind(wanted, members)
    assert (found if found is None else list(found)) == expected


def test_who_is_wanted_as_another_kind_comes_when_the_member_of_that_name_has_stopped_and_left() -> None:
    kinds = {"engine": Engine, "part": Part}
    plant = Plant(dynamic=lambda d: [kinds[d["kind"]]("a")], desired={"kind": "engine"})
    plant.seconds(4)
    plant.events.clear()
    plant.want(kind="part")
    live(plant, 10)
    assert told(plant) == [("a", "leaving"), ("a", "removed"), ("a", "joined")]
    assert plant.acts()[0] == ("a", "stop")  # by the old one, which knows how
    assert plant.members["a"].source == source(plant.document)


def test_a_member_that_other_code_wrote_is_not_enrolled_over_it() -> None:
    plant = dynamic("a", "b")
    view, now = plant.view(), plant.now
    rest = {name: member for name, member in view.roster.members.items() if name != "a"}
    odd = msgspec.structs.replace(view.roster, members=rest, unreadable={"a": "a field is missing"})
    found = changed(msgspec.structs.replace(view, roster=odd), now)
    assert (found.members, found.events) == ({}, ())
    gone = msgspec.structs.replace(view, roster=msgspec.structs.replace(odd, unreadable={}))
    assert [event.after for event in changed(gone, now).events] == ["joined"]  # were it not there at all


# leaving


def test_who_leaves_is_stopped_looked_at_once_more_and_removed_with_its_documents() -> None:
    plant = dynamic("a", "b")
    plant.want(names=["b"])
    plant.second()
    assert told(plant) == [("a", "leaving")]
    assert plant.acts() == [("a", "stop")]
    plant.end("a")
    plant.tick()  # not looked at since
    assert remains(plant, "a") == ["member", "record", "observed", "last"]
    live(plant, 3)
    assert told(plant) == [("a", "leaving"), ("a", "removed")]
    assert remains(plant, "a") == []
    assert plant.records["b"].state == "running"


def test_who_offers_no_rest_is_only_left_alone_and_removed() -> None:
    plant = Plant(dynamic=lambda d: [Part(name) for name in d["names"]], desired={"names": ["a"]})
    plant.seconds(4)
    plant.want(names=[])
    plant.second()
    assert plant.records["a"].state == RESTING
    plant.second()
    assert remains(plant, "a") == []
    assert plant.acts() == []


def test_who_has_an_action_under_way_is_stopped_after_its_end() -> None:
    plant = dynamic("a")
    plant.truth["a"] = Seen(alive=False)
    plant.second()
    plant.want(names=[])
    plant.seconds(LEAVE_S + 10)
    assert plant.acts() == [("a", "start")]
    assert "a" in plant.members
    plant.end("a")
    plant.want(names=[])
    live(plant, 5)
    assert remains(plant, "a") == []


def test_who_was_stopped_late_is_looked_at_before_it_is_removed() -> None:
    plant = dynamic("a")
    plant.want(names=[])
    plant.second()
    plant.pass_time(LEAVE_S + 20)
    plant.end("a")
    plant.pass_time(0.5)
    plant.tick()
    assert "a" in plant.members  # the stop has ended, and nobody has looked since
    live(plant, 3)
    assert remains(plant, "a") == []


def test_who_cannot_be_seen_is_stopped_by_what_was_last_seen_and_removed_in_the_end() -> None:
    plant = dynamic("a", "b")
    plant.want(names=["b"])
    for second in range(LEAVE_S + 30):
        for child in list(plant.in_flight):
            plant.end(child)
        plant.pass_time()
        plant.look("b")
        if second == 0:
            plant.pass_time(15)  # stale
        plant.tick()
    assert ("a", "stop") in plant.acts()
    assert remains(plant, "a") == []
    assert plant.records["b"].state == "running"


def test_who_does_not_come_to_rest_is_removed_as_it_is() -> None:
    plant = dynamic("a")
    plant.want(names=[])
    live(plant, LEAVE_S, "failed")
    assert "a" in plant.members
    live(plant, 150, "failed")
    assert remains(plant, "a") == []
    assert told(plant)[-1] == ("a", "removed")


@pytest.mark.parametrize("state", [State.OPEN, State.VERIFYING, State.ESCALATED])
def test_who_leaves_below_an_open_circuit_is_stopped_and_removed(state: State) -> None:
    @check("b", restart="b", trip_after=1)
    def wired(b: Any) -> Ok | Fail:
        return ok() if b.observed.connected else fail("no connection")

    plant = dynamic("a", "b", checks=(wired,), max_attempts=1)
    plant.disconnect("b")
    for _ in range(10):
        if state is plant.circuit.state:
            break
        live(plant, 1)
    assert plant.circuit.state is state
    plant.given.clear()
    plant.want(names=["b"])
    live(plant, 6)
    assert ("a", "stop") in plant.acts()
    assert remains(plant, "a") == []
    assert plant.circuit.state is not State.CLOSED


@pytest.mark.parametrize(
    "orders",
    [
        Orders(pauses={"a": Pause(FAR, "ann", "rewiring")}),
        Orders(pauses={"": Pause(FAR, "ann", "rewiring")}),
        Orders(mode=Mode.OBSERVE),
        Orders(mode=Mode.OFF),
    ],
)
def test_who_leaves_while_nothing_may_be_sent_to_it_is_stopped_afterwards(orders: Orders) -> None:
    plant = dynamic("a")
    plant.orders = orders
    plant.want(names=[])
    plant.seconds(3 * LEAVE_S)
    assert plant.acts() == []
    assert "a" in plant.members
    plant.orders = Orders()
    live(plant, 70)  # what would have been tried has its pauses
    assert plant.acts() == [("a", "stop")]
    assert remains(plant, "a") == []


def test_who_leaves_while_nobody_ticks_is_stopped_afterwards() -> None:
    plant = dynamic("a")
    plant.want(names=[])
    plant.second()
    plant.in_flight.clear()  # it never ran
    plant.given.clear()
    plant.pass_time(10 * LEAVE_S)
    plant.resumed = plant.now
    plant.tick()
    assert "a" in plant.members
    plant.records["a"] = msgspec.structs.replace(plant.records["a"], tries={})
    live(plant, 6)
    assert plant.acts() == [("a", "stop")]
    assert remains(plant, "a") == []


def test_a_clock_set_back_a_little_removes_nobody() -> None:
    plant = dynamic("a")
    plant.want(names=[])
    plant.second()
    plant.now -= 500
    plant.tick()
    assert "a" in plant.members


def test_who_was_never_born_leaves_at_once() -> None:
    plant = dynamic()
    plant.want(names=["a"])
    plant.members["a"] = Member(source(plant.document))
    plant.sources[source(plant.document)] = plant.document
    plant.want(names=[])
    plant.tick()
    plant.tick()
    assert remains(plant, "a") == []
    assert "a" not in plant.records


def test_whom_the_code_no_longer_makes_is_left_as_it_is_and_the_tick_goes_on() -> None:
    """Another version of the code may be at work that makes it; what no version makes is forgotten by a sweep."""
    plant = dynamic("a", "b")
    answers["answer"] = lambda: [Engine("b")]
    plant.maker = Maker(plant.supervisor)  # a new process, with new code
    plant.seconds(3)
    assert told(plant) == []
    assert (set(plant.members), plant.records["a"].state) == ({"a", "b"}, "running")
    assert plant.records["b"].state == "running"


def test_code_that_raises_now_removes_nobody() -> None:
    plant = dynamic("a", "b")
    plant.want(names=["b"])
    plant.second()
    answers["answer"] = ValueError("bug")
    plant.maker = Maker(plant.supervisor)
    plant.seconds(5)
    assert set(plant.members) == {"a", "b"}
    answers.clear()
    plant.maker = Maker(plant.supervisor)
    live(plant, 5)
    assert remains(plant, "a") == []
    assert set(plant.members) == {"b"}


def test_who_is_wanted_again_before_the_end_stays() -> None:
    plant = dynamic("a")
    plant.want(names=[])
    plant.second()
    plant.want(names=["a"])
    live(plant, 5)
    assert told(plant) == [("a", "leaving"), ("a", "stays")]
    assert plant.records["a"].state == "running"
    assert plant.acts() == [("a", "stop"), ("a", "start")]


def test_who_has_no_opinion_while_one_leaves_lets_it_leave() -> None:
    plant = dynamic("a", "b")
    plant.want(names=["b"])
    plant.second()
    plant.want(names=None)
    live(plant, 5)
    assert set(plant.members) == {"b"}


def test_who_comes_back_after_its_removal_begins_anew() -> None:
    plant = dynamic("a")
    plant.want(names=[])
    live(plant, 5)
    plant.want(names=["a"])
    plant.tick()
    assert plant.records["a"].reason == "declared"
    live(plant, 5)
    assert plant.records["a"].state == "running"


def test_only_so_many_come_or_go_in_one_tick_and_nobody_is_written_who_is_not_enrolled() -> None:
    names = [f"n{number}" for number in range(2 * MOST_CHANGES + 1)]
    plant = Plant(dynamic=made, desired={"names": names})
    plan = plant.tick()
    assert len(plan.members.members) == len(plan.updates) == MOST_CHANGES
    assert plan.again
    assert set(plant.records) == set(plant.members) == set(names[:MOST_CHANGES])
    plant.want(names=names[:MOST_CHANGES])  # the others never came
    assert plant.tick().members.more is False
    plant.want(names=names)
    assert [plant.tick().again for _ in range(3)] == [True, True, False]
    assert set(plant.members) == set(names)
    plant.want(names=[])
    for _ in range(6):
        live(plant, 1)
    live(plant, 4)
    assert (plant.members, plant.records, plant.observations) == ({}, {}, {})


# checks


def test_a_check_over_members_that_are_not_there_says_nothing() -> None:
    @check("a", "b", restart="c", affects=("d",), trip_after=1)
    def wired(_a: Any, _b: Any) -> Fail:
        return fail("no connection")

    plant = dynamic("a", "b", checks=(wired,))
    plant.seconds(5)
    assert plant.circuit.state is State.CLOSED  # c, which it would restart, is not there,
    assert plant.circuit.broken == ()  # which is no mistake
    plant.want(names=["a", "c"])
    live(plant, 5)
    assert plant.circuit.state is State.CLOSED  # b, which it reads, is not
    plant.want(names=["a", "b", "c"])
    live(plant, 5)
    assert plant.circuit.state is not State.CLOSED


def test_a_check_that_would_restart_a_member_that_cannot_be_restarted_is_broken() -> None:
    class Fixed(Part):
        restart = None  # type: ignore[assignment] # what its base offers is taken away

    @check("a", restart="a", trip_after=1)
    def wired(_a: Any) -> Fail:
        return fail("no connection")

    plant = Plant(dynamic=lambda d: [Fixed(name) for name in d["names"]], desired={"names": ["a"]}, checks=(wired,))
    plant.seconds(5)
    assert plant.circuit.state is State.CLOSED
    assert plant.kinds().count("check_broken") == 1


def test_a_restart_whose_child_leaves_meanwhile_is_a_failed_attempt() -> None:
    @check("b", restart="a", trip_after=1)
    def wired(b: Any) -> Ok | Fail:
        return ok() if b.observed.connected else fail("no connection")

    plant = dynamic("a", "b", checks=(wired,))
    plant.disconnect("b")
    plant.seconds(2)
    assert plant.circuit.state is State.VERIFYING
    plant.want(names=["b"])
    live(plant, 10)
    assert remains(plant, "a") == []
    assert plant.moves()[-1] == (State.VERIFYING, State.OPEN)


# switched on and off


@pytest.mark.parametrize("whom", ["a", ""])
def test_who_is_switched_off_rests_in_stopped_and_goes_on_when_switched_on(whom: str) -> None:
    plant = Plant(Engine("a"))
    plant.seconds(3)
    plant.orders = Orders(switched={whom: False})
    live(plant, 5)
    assert plant.records["a"].state == "stopped"
    assert plant.acts() == [("a", "stop")]
    plant.orders = Orders(switched={whom: True})
    live(plant, 5)
    assert plant.acts() == [("a", "stop"), ("a", "start")]
    assert plant.records["a"].state == "running"


def test_who_is_declared_off_rests_until_people_switch_it_on() -> None:
    plant = Plant(Engine("a", enabled=False), Part("p", enabled=False))
    plant.truth["a"] = Seen(alive=False)
    live(plant, 5)
    assert plant.acts() == []
    assert {name: record.state for name, record in plant.records.items()} == {"a": "stopped", "p": RESTING}
    plant.orders = Orders(switched={"a": True, "p": True})
    live(plant, 5)
    assert {record.state for record in plant.records.values()} == {"running"}
    plant.orders = Orders(switched={"a": True, "p": True, "": False})
    live(plant, 5)
    assert plant.records["p"].state == RESTING


def test_who_offers_no_rest_is_only_left_alone_while_it_is_off() -> None:
    plant = Plant(Part("p"))
    plant.seconds(3)
    plant.orders = Orders(switched={"p": False})
    plant.truth["p"] = Seen(alive=False)
    plant.seconds(5)
    assert plant.acts() == []
    assert plant.records["p"].state == RESTING
    assert [event.after for event in plant.events if event.kind == "state"][-1] == RESTING
    plant.orders = Orders()
    plant.seconds(2)
    assert plant.acts() == [("p", "start")]


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit("bug")], ids=repr)
def test_a_rest_that_raises_is_a_fault_of_that_child(error: BaseException) -> None:
    class Wild(Engine):
        def rest(self, desired: Wanted) -> Wanted:  # noqa: ARG002 # the signature of what it overrides
            raise type(error)(*error.args)

    plant = Plant(Wild("a"), Engine("b"))
    plant.seconds(3)
    plant.orders = Orders(switched={"": False})
    live(plant, 6)
    assert "quarantined" in plant.kinds()
    assert plant.records["b"].state == "stopped"


def test_who_is_off_below_an_open_circuit_is_brought_to_rest() -> None:
    plant = Plant(Engine("broker"), Engine("flow"), Engine("c"), checks=(_connected(),))
    plant.seconds(3)
    plant.disconnect("flow")
    plant.seconds(2)
    assert plant.circuit.state is not State.CLOSED
    plant.orders = Orders(switched={"c": False})
    plant.second()
    assert ("c", "stop") in plant.acts()


def _connected() -> Any:
    @check("broker", "flow", restart="flow", trip_after=1)
    def wired(_broker: Any, flow: Any) -> Ok | Fail:
        return ok() if flow.observed.connected else fail("no connection")

    return wired


def test_a_check_over_a_child_that_is_off_says_nothing() -> None:
    plant = Plant(Engine("broker"), Engine("flow"), checks=(_connected(),))
    plant.seconds(3)
    plant.orders = Orders(switched={"broker": False})
    plant.disconnect("flow")
    plant.seconds(5)
    assert plant.circuit.state is State.CLOSED


# names that clash


def test_a_child_and_a_supervisor_of_one_path_are_refused() -> None:
    plain = Supervisor("plant", [Engine("line")])
    other = Supervisor("plant/line", [Engine("a")])
    with pytest.raises(InvalidDeclaration, match="plant/line is both a child of plant and a supervisor"):
        refuse_clashes({each.path: each for each in (plain, other)})
    tree = Supervisor("top", [Supervisor("line", [Engine("a")])])
    refuse_clashes({each.path: each for each in tree.tree()})


def test_what_modules_declare_fits_together_or_says_what_does_not() -> None:
    tree = Supervisor("top", [Supervisor("line", [Engine("a")])])
    assert list(together([("one", [tree]), ("two", list(tree.below.values()))])) == ["top", "top/line"]
    with pytest.raises(InvalidDeclaration, match="two: a second supervisor is at 'top'; paths are unique"):
        together([("one", [tree]), ("two", [Supervisor("top", [Engine("a")])])])
    with pytest.raises(InvalidDeclaration, match="is below 'top', which is no global of a module"):
        together([("one", list(tree.below.values()))])


def test_a_last_action_from_the_future_does_not_keep_a_member() -> None:
    plant = dynamic("a")
    plant.last["a"] = LastAction("x", "start", "succeeded", plant.now + FAR)
    plant.want(names=[])
    live(plant, 2 * LEAVE_S)
    assert remains(plant, "a") == []


class Wild(Engine):
    """Its code raises while it is wanted to rest."""

    def rest(self, desired: Wanted) -> Wanted:  # noqa: ARG002 # the signature of what it overrides
        raise ValueError("bug")


def test_who_cannot_be_stopped_by_its_own_code_is_removed_in_the_end() -> None:
    plant = Plant(dynamic=lambda d: [Wild(name) for name in d["names"]], desired={"names": ["a"]})
    plant.seconds(4)
    plant.want(names=[])
    plant.seconds(2 * LEAVE_S)
    assert remains(plant, "a") == []


def test_who_leaves_in_a_quarantine_is_stopped_when_it_is_over() -> None:
    plant = dynamic("a")
    plant.records["a"] = msgspec.structs.replace(plant.records["a"], quarantined_until=plant.now + 200_000)
    plant.want(names=[])
    plant.seconds(150)
    assert "a" in plant.members
    live(plant, 60)
    assert plant.acts() == [("a", "stop")]
    assert remains(plant, "a") == []


def test_children_that_are_made_once_may_be_wanted_by_several_documents() -> None:
    pool = [Part("a"), Part("b")]
    house = Supervisor("house", dynamic=lambda wanted: pool[: wanted["count"]], desired={"count": 1})
    maker = Maker(house)
    for count in (1, 2, 1):
        made, error = maker.made(f'{{"count": {count}}}')
        assert (list(made or ()), error) == (["a", "b"][:count], "")
