"""Supervisors under supervisors, as plain decisions: reports, escalation to the parent, one call for help, siblings.

Among them FSMv2's scenarios that are decisions; those about actions are elsewhere.
"""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from simulated import Engine, Part, Plant, Seen, Tree, running

from supervision import aggregate
from supervision.actions import Run
from supervision.backoff import Backoff
from supervision.branch import Branch, Response, Summary, escalation_check
from supervision.checks import Fail, Ok, check, fail, ok
from supervision.child import state
from supervision.circuit import PROBE_LEASE_MS, Circuit, State
from supervision.decide import Plan
from supervision.errors import NotFound, NotRetryable
from supervision.helping import help_for
from supervision.model import Do, Go, Move, Phase, Reservation, Siblings, Snapshot, Stay, Unseen, Update
from supervision.orders import Forced, Mode, Orders, Pause, Silence
from supervision.supervisor import Supervisor

FAR = 10**15

CLOSED, OPEN, VERIFYING, ESCALATED = State
STEADY = Backoff(1, 1, 0)
BY_HAND = Reservation("by-hand", "b", "noop", "to see", {}, 1000, 0)


@check("pump", restart="pump", trip_after=1)
def wired(pump: Any) -> Ok | Fail:
    return ok() if pump.observed.connected else fail("no connection")


def cell(name: str = "cell", **options: Any) -> Supervisor:
    return Supervisor(name, [Engine("pump")], checks=[wired], restart=STEADY, max_attempts=2, window=1, **options)


def tree(top: str = "restart", line: str = "restart", *, settled: int = 6, **options: Any) -> Tree:
    """plant / line / cell / pump, all running; ``top`` and ``line`` say what these two do about an escalation."""
    middle = Supervisor("line", [cell()], on_escalation=line, restart=STEADY, max_attempts=2, window=1)
    above = Supervisor("plant", [middle], on_escalation=top, restart=STEADY, max_attempts=2, window=1, **options)
    made = Tree(above)
    made.live(settled)
    assert made["plant"].records["line"].state == "running"
    return made


def broken(*args: Any, **options: Any) -> Tree:
    """The same, with trouble in the cell that no restart heals."""
    made = tree(*args, **options)
    made["plant/line/cell"].disconnect("pump")
    return made


def states(made: Tree) -> dict[str, str]:
    return {path: plant.circuit.state.value for path, plant in made.plants.items()}


# how a parent sees a supervisor


def test_a_tree_takes_its_paths_from_the_top() -> None:
    made = tree()
    assert list(made.plants) == ["plant", "plant/line", "plant/line/cell"]
    assert made["plant/line/cell"].supervisor.children["pump"].path == "plant/line/cell/pump"
    assert isinstance(made["plant"].supervisor.children["line"], Branch)


def test_what_is_below_is_told_after_each_tick_and_never_looked_at() -> None:
    made = tree()
    assert made["plant"].observable() == []
    assert made["plant/line"].observations["cell"].document == Summary("closed", Phase.RUNNING, {"running": 1})


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (Summary("closed", Phase.RUNNING, {"running": 2}), "running"),
        (Summary("closed", Phase.STOPPED, {}), "stopped"),
        (Summary("closed", Phase.STARTING, {"starting": 1}), "starting"),
        (Summary("closed", Phase.STOPPING, {"stopping": 1}), "stopping"),
        (Summary("open", Phase.DEGRADED, {"running": 2}, "x@1", "odd"), "degraded"),
        (Summary("escalated", Phase.DEGRADED, {"running": 2}, "x@1", "odd"), "escalated"),
    ],
)
def test_a_branch_is_as_what_is_below_it(summary: Summary, expected: str) -> None:
    made = tree()
    above = made["plant"]
    above.pass_time()
    above.seq += 10**15
    above.observations["line"] = above.observations["line"].__class__(summary, above.now, above.seq)
    above.tick()
    record = above.records["line"]
    assert record.state == expected
    assert ("odd" in record.reason) == bool(summary.reason)
    assert ("no children" in record.reason) == (not summary.children and not summary.reason)


def test_a_branch_that_reports_no_more_is_unobservable_and_nobody_looks_at_it() -> None:
    made = tree()
    above = made["plant"]
    looks: list[Update] = []
    for _ in range(60):
        above.pass_time()
        looks += [update for update in above.tick().updates if update.look]
    assert looks == []
    assert above.records["line"].unseen is not None
    assert above.records["line"].unseen.incident
    assert above.moves() == []


def test_a_branch_cannot_be_restarted_by_anybody_else() -> None:
    branch = Branch("line")
    run = Run("id", 1, 1, None, {}, None)  # type: ignore[arg-type] # neither is looked at
    with pytest.raises(NotRetryable, match="is restarted by a worker of ours"):
        branch.restart(run)
    ordered: list[str] = []
    branch.restart(Run("id", 1, 1, None, {}, None, lambda: ordered.append("restart")))  # type: ignore[arg-type] # as above
    assert ordered == ["restart"]


# the answers of a parent


def test_an_escalation_below_makes_the_parent_restart_everything_below() -> None:
    made = broken()
    for _ in range(60):
        made.live(1)
        if made["plant/line"].given:
            break
    assert made["plant/line"].acts() == [("cell", "restart_child")]
    assert made["plant/line/cell"].circuit.state is ESCALATED
    made["plant/line/cell"].heal()
    made.live(10)
    assert made["plant/line/cell"].circuit.state is CLOSED
    assert made.told("escalation") == []
    made.live(200)
    assert set(states(made).values()) == {"closed"}
    assert [plant.circuit.incident for plant in made.plants.values()] == ["", "", ""]


def test_an_order_from_above_restarts_all_children_once() -> None:
    made = tree()
    below = made["plant/line/cell"]
    below.orders = Orders(restart="plant~line~1")
    made.second()
    assert below.orders.restart == ""
    assert below.circuit.state is VERIFYING
    made.live(5)
    assert below.acts() == [("pump", "restart_child")]
    assert below.circuit.state is CLOSED


def test_an_order_from_above_stops_in_reverse_and_starts_in_order() -> None:
    plant = running(Engine("a"), Engine("b"), Part("p"), checks=())
    plant.orders = Orders(restart="x")
    for _ in range(20):
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
    assert plant.acts() == [
        *[("b", "stop"), ("a", "stop")],
        *[("a", "start"), ("b", "start"), ("p", "restart_child")],
    ]
    assert plant.circuit.state is CLOSED
    assert plant.circuit.reason == "everything was restarted"


def test_an_order_from_above_finds_nobody_to_restart() -> None:
    plant = Plant()
    plant.orders = Orders(restart="x")
    plant.seconds(4)
    assert plant.circuit.state is CLOSED
    assert plant.given == []
    assert [event.after for event in plant.events if event.kind == "order"] == ["refused"]


NOBODY = Orders(pauses={"": Pause(FAR, "ann", "rewiring")})


@pytest.mark.parametrize(
    ("orders", "told"),
    [
        (Orders(mode=Mode.OFF), "mode off, so nothing below it is restarted; first: supervision mode plant act"),
        (NOBODY, "a is paused, b is paused"),
        (Orders(switched={"": False}), "a is disabled, b is disabled"),
        (Orders(forced=Forced("ann", "winter", "1")), "forced open at the same time"),
    ],
)
def test_an_order_from_above_that_nothing_comes_of_is_told(orders: Orders, told: str) -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.orders = replace(orders, restart="x")
    plant.seconds(1)
    assert plant.orders.restart == ""
    refused = [event for event in plant.events if (event.kind, event.before) == ("order", "restart")]
    assert [event.after for event in refused] == ["refused"]
    assert told in refused[0].reason
    assert not any(given.wish.incident for given in plant.given)
    assert plant.circuit.reason != "everything was restarted"


def test_an_order_from_above_to_one_that_is_forced_open_names_the_reset() -> None:
    plant = running(Engine("a"), checks=())
    plant.orders = Orders(forced=Forced("ann", "winter", "1"))
    plant.seconds(2)
    plant.orders = replace(plant.orders, restart="x")
    plant.seconds(1)
    (told,) = [event.reason for event in plant.events if event.kind == "order"]
    assert told.endswith(f"supervision reset plant --incident {plant.circuit.incident}")


def test_an_order_from_above_restarts_the_failed_one_also_when_it_is_dead() -> None:
    plant = running(Engine("broker"), Engine("flow"), max_attempts=1)
    plant.records["flow"] = replace(plant.records["flow"], state="stopped", phase=Phase.STOPPED)
    plant.truth["flow"] = Seen(alive=False, connected=False)
    for _ in range(10):
        plant.second()
        for child in list(plant.in_flight):
            plant.end(child, "failed")
    assert plant.circuit.state is ESCALATED
    plant.orders = Orders(restart="x")
    sent = len(plant.given)
    plant.seconds(2)
    assert ("flow", "stop") in plant.acts()[sent:]


def test_an_order_from_above_is_withheld_in_observe() -> None:
    plant = running(Engine("a"), checks=())
    plant.orders = Orders(restart="x", mode=Mode.OBSERVE)
    plant.seconds(3)
    assert plant.orders.restart == ""
    assert [event.after for event in plant.events if event.kind == "would"] == ["restart"]
    assert plant.given == []
    assert plant.moves() == []


def test_an_order_from_above_waits_for_a_child_that_is_busy() -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.in_flight["b"] = BY_HAND
    plant.orders = Orders(restart="x")
    plant.seconds(5)
    assert plant.acts() == []
    plant.end("b")
    plant.seconds(2)
    assert plant.acts() == [("b", "stop")]


def test_an_order_from_above_does_not_wait_for_ever() -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.in_flight["b"] = BY_HAND
    plant.orders = Orders(restart="x")
    plant.seconds(PROBE_LEASE_MS // 1000 + 5)
    assert plant.moves()[:2] == [(CLOSED, VERIFYING), (VERIFYING, OPEN)]
    assert plant.circuit.state is CLOSED


def test_an_order_from_above_begins_when_the_probe_of_before_has_ended() -> None:
    plant = running(Engine("broker"), Engine("flow"), max_attempts=1)
    plant.disconnect("flow")
    for _ in range(10):
        if plant.circuit.state is ESCALATED:
            break
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
    plant.pass_time(301)
    plant.look()
    plant.tick()
    assert len(plant.in_flight) == 1  # the slow probe
    plant.orders = Orders(restart="x")
    plant.seconds(40)
    assert len(plant.in_flight) == 1  # nothing beside it
    plant.heal()
    plant.end("flow")
    plant.seconds(2)
    assert plant.acts()[-1] == ("broker", "stop") or plant.acts()[-1] == ("flow", "stop")
    for _ in range(15):
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
        assert len(plant.in_flight) <= 1
    assert plant.circuit.state is CLOSED


# who is called


def test_only_the_highest_that_escalated_calls_once_per_incident() -> None:
    made = broken()
    made.live(300)
    assert set(states(made).values()) == {"escalated"}
    assert made.told("escalation") == ["plant"]
    made["plant/line/cell"].heal()
    made.live(500)
    assert set(states(made).values()) == {"closed"}
    assert made.told("escalation") == ["plant"]


def test_the_parents_budget_is_its_own() -> None:
    made = broken()
    made.live(300)
    assert len(made["plant/line"].probes()) >= 2
    first = [event.attempt for event in made["plant/line"].events if event.after == "verifying"]
    assert first[:2] == [1, 2]
    assert [given.wish.action for given in made["plant"].probes()][:2] == ["restart_child"] * 2


@pytest.mark.parametrize(
    ("top", "line", "caller"),
    [
        ("degrade", "degrade", "plant/line/cell"),
        ("degrade", "restart", "plant/line"),
        ("degrade", "escalate", "plant/line"),
        ("restart", "degrade", "plant/line/cell"),
        ("escalate", "escalate", "plant"),
        ("escalate", "restart", "plant"),
        ("restart", "escalate", "plant"),
        ("restart", "restart", "plant"),
    ],
)
def test_exactly_one_of_three_levels_calls(top: str, line: str, caller: str) -> None:
    made = broken(top, line)
    made.live(400)
    assert made.told("escalation") == [caller]


def test_one_that_escalates_at_once_restarts_nothing() -> None:
    made = broken("degrade", "escalate")
    made.live(60)
    assert made["plant/line"].circuit.state is ESCALATED
    assert made["plant/line"].given == []


@pytest.mark.parametrize("response", Response)
def test_flapping_below_is_one_incident_above(response: str) -> None:
    made = tree("degrade", response)
    cells = made["plant/line/cell"]
    for number in range(200):
        if number % 10 == 0:
            cells.disconnect("pump")
        if number % 10 == 5:
            cells.heal()
        made.live(1)
    made.live(60)
    assert len(made.told("escalation")) <= 1
    assert (
        len({event.after for plant in made.plants.values() for event in plant.events if event.kind == "escalation"})
        <= 1
    )


@pytest.mark.parametrize(
    "orders",
    [
        Orders(mode=Mode.OBSERVE),
        Orders(mode=Mode.OFF),
        Orders(pauses={"": Pause(FAR, "ann", "rewiring")}),
        Orders(switched={"": False}),
    ],
)
@pytest.mark.parametrize("line", ["restart", "escalate"])
def test_a_parent_that_does_not_act_swallows_no_call(orders: Orders, line: str) -> None:
    made = tree("degrade", line)
    made["plant/line"].orders = orders
    made["plant/line/cell"].disconnect("pump")
    made.live(60)
    assert made["plant/line"].given == []
    # One that would only pass the call on does so in a pause, too: nothing is sent for it.
    passed_on = line == "escalate" and orders.pauses
    assert made.told("escalation") == ["plant/line" if passed_on else "plant/line/cell"]


def test_a_silence_delays_the_call_and_stops_nothing_else() -> None:
    made = tree("degrade", "degrade")
    cells = made["plant/line/cell"]
    cells.orders = Orders(silence=Silence(cells.now + 60_000, "ann", "known"))
    cells.disconnect("pump")
    made.live(50)
    assert cells.circuit.state is ESCALATED
    assert made.told("escalation") == []
    made.live(20)
    assert made.told("escalation") == ["plant/line/cell"]
    made.live(20)
    assert made.told("escalation") == ["plant/line/cell"]


def test_the_circuit_above_closes_when_the_incident_below_is_over_and_not_before() -> None:
    made = broken("degrade", "escalate")
    made.live(60)
    made["plant/line/cell"].heal()
    made.live(10)
    assert states(made) == {"plant": "closed", "plant/line": "escalated", "plant/line/cell": "closed"}
    made.live(70)
    assert set(states(made).values()) == {"closed"}


def test_only_the_branch_is_affected_by_its_escalation() -> None:
    beside = Engine("beside")
    made = Tree(Supervisor("line", [cell(), beside], on_escalation="escalate"))
    made.live(5)
    made["line/cell"].disconnect("pump")
    made.live(30)
    assert made["line"].circuit.state is ESCALATED
    made["line"].truth["beside"] = Seen(alive=False)
    made.live(3)
    assert made["line"].acts() == [("beside", "start")]


@pytest.mark.parametrize("response", Response)
def test_the_check_of_an_escalation(response: Response) -> None:
    made = escalation_check("line", response)
    if response is Response.DEGRADE:
        assert made is None
    else:
        assert made is not None
        assert (made.name, made.reads, made.restart) == ("line:escalated", ("line",), "line")
        assert made.affects == {"line"}
        assert made.attempts == (0 if response is Response.ESCALATE else None)


# FSMv2's scenarios


class Second(Engine):
    """Waits for the one beside it."""

    @state(Phase.STOPPED, initial=True)
    def stopped(self, seen: Snapshot) -> Move:
        if seen.observed.alive:
            return Go("running", "alive")
        if seen.siblings.state("first") != "running":
            return Stay("waits for the first")
        return Do("start", "dead")


def test_a_parent_starts_two_children_in_order_and_exactly_once() -> None:
    plant = Plant(Second("second"), Engine("first"))
    plant.truth = {name: Seen(alive=False) for name in plant.truth}
    order = []
    for _ in range(10):
        for child in list(plant.in_flight):
            order.append(child)
            plant.end(child)
        plant.second()
    assert order == ["first", "second"]
    assert plant.acts() == [("first", "start"), ("second", "start")]
    assert {record.state for record in plant.records.values()} == {"running"}


def test_children_that_fail_three_times_over_two_cycles_recover() -> None:
    plant = Plant(Engine("a"), Engine("b"), restart=STEADY)
    plant.seconds(3)
    for _ in range(2):
        plant.truth = {name: Seen(alive=False) for name in plant.truth}
        plant.second()
        for _ in range(3):
            for child in list(plant.in_flight):
                plant.end(child, "failed")
            plant.seconds(3)
        for _ in range(4):
            for child in list(plant.in_flight):
                plant.end(child)
            plant.second()
        assert {record.state for record in plant.records.values()} == {"running"}
    assert Counter(plant.acts()) == {("a", "start"): 8, ("b", "start"): 8}


def test_a_permanent_failure_escalates() -> None:
    made = broken("degrade", "degrade")
    made.live(60)
    assert made["plant/line/cell"].circuit.state is ESCALATED
    assert made.told("escalation") == ["plant/line/cell"]
    assert made["plant/line"].records["cell"].state == "escalated"


def test_a_restart_begins_with_fresh_state() -> None:
    plant = running(Engine("pump"), checks=(wired,))
    plant.disconnect("pump")
    plant.seconds(2)
    incident = plant.circuit.incident
    plant.orders = Orders(reset=incident)
    plant.heal()
    plant.tick()
    assert plant.circuit.attempt == 0
    assert plant.circuit.restarts == ()
    assert plant.circuit.streaks == {}
    for child in list(plant.in_flight):
        plant.end(child)
    plant.seconds(4)
    assert plant.second().circuit is None
    assert (plant.circuit.state, plant.circuit.incident) == (CLOSED, "")


def test_five_supervisors_at_once_do_not_touch_each_other() -> None:
    top = Supervisor("top", [cell(f"cell-{number}") for number in range(5)], on_escalation="degrade")
    made = Tree(top)
    made.live(5)
    made["top/cell-2"].disconnect("pump")
    made.live(30)
    for number in range(5):
        own = made[f"top/cell-{number}"]
        assert bool(own.given) == (number == 2)
        assert own.circuit == Circuit() or number == 2
    assert made.told("escalation") == ["top/cell-2"]


def test_a_raising_child_does_not_touch_its_healthy_siblings() -> None:
    plant = running(Engine("a"), Engine("wild"), Engine("b"), checks=())
    wild = plant.supervisor.children["wild"]
    assert isinstance(wild, Engine)
    wild.observe()
    plant.truth["wild"] = None  # its state functions raise
    plant.truth["b"] = Seen(alive=False)
    plant.seconds(5)
    assert plant.acts() == [("b", "start")]
    assert plant.kinds().count("quarantined") == 1
    assert plant.records["a"].state == "running"


def test_the_same_child_name_under_two_parents_is_two_children() -> None:
    made = Tree(Supervisor("top", [cell("one"), cell("other")], on_escalation="degrade"))
    made.live(5)
    made["top/one"].disconnect("pump")
    made.live(4)
    assert made["top/other"].given == []
    ids = {given.wish.id for given in made["top/one"].given}
    assert ids
    assert all(each.startswith("top~one~pump~") for each in ids)


# siblings


def test_siblings_are_known_by_their_last_state_even_when_stale() -> None:
    plant = running(Engine("first"), Second("second"), checks=())
    plant.truth["second"] = Seen(alive=False)
    plant.pass_time(15)
    plant.look("second")
    plant.tick()
    assert plant.acts() == [("second", "start")]


def test_a_sibling_that_was_never_born_is_in_its_initial_state() -> None:
    plant = Plant(Engine("first"))
    assert Siblings(plant.view().children).state("first") == "stopped"


@pytest.mark.parametrize(("names", "listed"), [(("a", "b"), "there is a, b"), ((), "there is none")])
def test_an_unknown_sibling_is_told_with_those_that_there_are(names: tuple[str, ...], listed: str) -> None:
    plant = Plant(*(Engine(name) for name in names))
    with pytest.raises(NotFound, match=listed):
        Siblings(plant.view().children).state("c")


def test_asking_for_an_unknown_sibling_is_that_childs_own_fault() -> None:
    plant = Plant(Second("second"), Engine("other"))
    plant.truth["second"] = Seen(alive=False)
    plant.seconds(4)
    assert "quarantined" in plant.kinds()
    assert "no child 'first' beside this one; there is second, other" in plant.records["second"].reason
    assert plant.records["other"].state == "running"


def test_who_is_not_born_yet_is_starting_and_who_cannot_be_seen_is_degraded() -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.records["a"] = replace(plant.records["a"], unseen=Unseen(plant.now, incident="plant/a@1"))
    del plant.records["b"], plant.observations["a"]
    nothing = Plan(None, ())
    assert aggregate.after(plant.view(), nothing).children == {"starting": 1, "degraded": 1}


def test_who_is_in_quarantine_or_unreadable_is_degraded() -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.records["a"] = replace(plant.records["a"], quarantined_until=plant.now + 60_000)
    view = plant.view()
    other = replace(view.children["b"], unreadable="was written by other code")
    found = aggregate.after(replace(view, children={**view.children, "b": other}), Plan(None, ()))
    assert (found.phase, found.children) == (Phase.DEGRADED, {"degraded": 2})


def test_what_is_known_to_help_below_is_told_above() -> None:
    made = broken("degrade", "restart")
    made.live(60)
    summary = made["plant"].observations["line"].document
    assert summary.circuit == "escalated"
    assert summary.opened_at == made["plant/line/cell"].circuit.opened_at
    told = help_for(made["plant/line"].view(), made["plant/line"].circuit)
    assert told.fields() == {"runbook_url": "", "manual_steps": []}
