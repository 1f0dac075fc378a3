"""The supervision guide: its samples are run and ticked, its tables and its numbers are those of the code.

What is not in one of the lists below is a mistake of the page: a number that nobody compares, a table that nobody asks.
"""

import inspect
import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import guide_plant
import msgspec
import psutil
import pytest
from guide_plant import CONDITIONS, ORDERED, Pump
from waiting import until

import celeryconfig
from supervision import (
    Client,
    Conflict,
    Supervisor,
    actions,
    aggregate,
    branch,
    circuit,
    circuit_step,
    derive,
    freshness,
    looking,
    members,
    model,
    order_terms,
    settings,
    supervisor,
)
from supervision import escalation as bound
from supervision.backoff import DEFAULT_BASE_S, DEFAULT_CAP_S, DEFAULT_JITTER, Backoff
from supervision.checks import DEFAULT_TRIP_AFTER, Seen, Verdict, check, fail
from supervision.child import Child
from supervision.decide import Plan, decide
from supervision.documents import MAX_DOCUMENT_BYTES
from supervision.runtime import SWEEPS, Runtime
from supervision.store.actions import GRACE_MS, PROBE_LEASE_MS
from supervision.store.outbox import Entry
from supervision.store.registry import FORGET_MS
from supervision.store.store import Store
from supervision.store.ticks import TOMBSTONE_MS
from supervision.strategy import Strategy, errands, group
from supervision.telemetry import lines
from supervision.view import ChildView, Claim, View
from tasks import celery as celery_app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "supervision.md").read_text()
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PAUSES_S = [Backoff(jitter=0).delay_ms(n, "") // 1000 for n in range(1, supervisor.DEFAULT_MAX_ATTEMPTS)]
LIMIT_EXTRA_S = actions.HARD_LIMIT_EXTRA_S
UNOBSERVABLE_S = (
    supervisor.DEAD_AFTER_STALE * supervisor.DEFAULT_STALE_AFTER_S
    + len(freshness.PAUSES_MS) * supervisor.DEFAULT_OBSERVE_TIMEOUT_S
    + sum(freshness.PAUSES_MS) / 1000
)
RETRY_PAUSES_S = PAUSES_S[: actions.DEFAULT_RETRIES]


class Post:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[Entry] = []

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        offered = list(entries)
        self.taken += offered
        return offered

    def acts(self) -> list[str]:
        return [entry.subject for entry in self.taken if entry.kind == "act"]


class Driven:
    """A tree of supervisors over a real store, looked at and ticked as its processes would."""

    def __init__(self, store: Store, root: Supervisor) -> None:
        self.post = Post()
        self.runtime = Runtime(store, self.post, {each.path: each for each in root.tree()})
        self.runtime.declare()

    def round(self) -> set[str]:
        """Everybody is looked at once and ticked once; answers what became of the ticks."""
        outcomes = set()
        for path in self.runtime.supervisors:
            control = self.runtime.store.keys.of(path, "control")
            self.runtime.store.client.hdel(control, "look_slot", "slot")
            self.runtime.collect(path)
            outcomes.add(self.runtime.tick(path))
        return outcomes

    def act(self, name: str) -> list[str]:
        """Run what was sent; ``name`` is in its child's path."""
        return [self.runtime.run_action(each) for each in self.post.acts() if name in each]

    def state(self, path: str) -> str:
        above, _, name = path.rpartition("/")
        found = self.runtime.store.ticks.load(self.runtime.supervisors[above], Claim(1, 0, 0)).children[name].record
        return found.state if found else ""


@pytest.fixture
def store(store_url: str, namespace: str) -> Iterator[Store]:
    with closing(Store(store_url, namespace)) as store:
        yield store


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(text: str) -> dict[str, list[str]]:
    """The rows of the first table in ``text``, by their first cell; the head and the line below it are left out."""
    first = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[0]
    rows = [line.strip("| ").split(" | ") for line in first.splitlines()]
    return {row[0]: row[1:] for row in rows[2:]}


def roots(scope: Mapping[str, object]) -> dict[str, Supervisor]:
    return {value.path: value for value in scope.values() if isinstance(value, Supervisor) and not value.parent}


@pytest.fixture
def guided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Store, store_url: str, namespace: str
) -> dict[str, object]:
    """What the page's samples define, run one after the other; every supervisor was driven where it is declared."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPERVISION_FOLDER", str(tmp_path / "state"))
    printed: list[str] = []
    scope: dict[str, object] = {
        "__name__": "guide",
        "printed": printed,
        "print": lambda said: printed.append(str(said)),
    }
    for sample in SAMPLES:
        before = roots(scope)
        here = sample.replace("Client()", f"Client({store_url!r}, namespace={namespace!r})")
        exec(compile(here, "supervision.md", "exec"), scope)  # noqa: S102 - the page's own code
        for path in roots(scope).keys() - before:
            driven = Driven(store, roots(scope)[path])
            assert [driven.round() <= {"done", "again"} for _ in range(2)] == [True, True]
            scope[f"driven {path}"] = driven
    return scope


def test_every_sample_runs_and_every_supervisor_ticks(guided: dict[str, object], store: Store) -> None:
    assert set(roots(guided)) == {"host", "speed", "line", "plant", "yard", "reserve"}
    told = [(event.kind, event.subject, event.reason) for event in store.history.since(most=10_000)]
    assert [each for each in told if each[0] in {"fault", "quarantined", "check_broken", "unobservable"}] == []
    seen = {subject for kind, subject, _ in told if kind == "state"}
    children = [
        child.path for root in roots(guided).values() for each in root.tree() for child in each.children.values()
    ]
    assert seen >= {*children, "yard/saw-0"}, "each was looked at, and has a state"
    assert "plant/hall/press/pump" in children
    line = guided["line"]
    assert isinstance(line, Supervisor)
    assert f"# {line.worst_case_ms / 1000}\n" in section("How long until people are called")
    assert guided["printed"] == [str(line.worst_case_ms / 1000)], "and no Conflict"


def test_the_first_child_does_what_the_page_says(guided: dict[str, object], tmp_path: Path) -> None:
    driven = guided["driven speed"]
    assert isinstance(driven, Driven)
    assert (tmp_path / "limit.txt").exists() is False
    assert (driven.state("speed/limit"), driven.act("limit")) == ("differs", ["succeeded"])
    until(lambda: driven.round() and driven.state("speed/limit") == "applied", timeout=20)
    assert (tmp_path / "limit.txt").read_text() == "80", "as the sample about desired state says"


def test_of_two_who_set_the_same_revision_one_gets_conflict(
    guided: dict[str, object], store_url: str, namespace: str
) -> None:
    with Client(store_url, namespace=namespace) as client:
        assert client.describe("speed/limit").desired_revision == 1
        with pytest.raises(Conflict):
            client.set_desired("speed/limit", {"text": "90"}, revision=0, by="bob", reason="a wet road")
        assert client.describe("speed/limit").desired == {"text": "80"}
        assert client.get("reserve/spare").enabled is False
    assert guided


@pytest.mark.parametrize("row", CONDITIONS)
def test_the_table_of_orders_is_what_the_core_decides(row: str) -> None:
    condition = CONDITIONS[row]
    _, checks, derived, restarted, leaves, _ = table(section("Orders"))[row]
    assert checks == guide_plant.checked(condition)
    assert derived == guide_plant.derived(condition)
    assert restarted == guide_plant.restarted(condition)
    assert leaves == guide_plant.stopped_when_it_leaves(condition)


@pytest.mark.parametrize("row", CONDITIONS)
def test_under_every_order_a_child_is_looked_at_and_people_may_restart_it(
    row: str, store: Store, store_url: str, namespace: str
) -> None:
    looked_at, *_, by_people = table(section("Orders"))[row]
    plant = Supervisor("plant", [Pump("pump")])
    driven, why = Driven(store, plant), {"by": "ann", "reason": "to see"}
    claim = store.ticks.claim(plant, "slot")
    assert isinstance(claim, Claim)
    view = store.ticks.load(plant, claim)
    store.ticks.commit(view, guide_plant.plan(CONDITIONS[row]), claim)
    with Client(store_url, namespace=namespace) as client:
        if row in ORDERED:
            ORDERED[row](client, why)
        if row == "an action in flight":
            client.restart("plant/pump", **why)
        assert {1: "yes", 0: "no"}[driven.runtime.collect("plant") or 0] == looked_at
        try:
            answer = {"queued": "yes"}[client.restart("plant/pump", **why).state]
        except Conflict:
            answer = "refused"
        assert answer == by_people


@pytest.mark.parametrize(
    ("row", "gone"), [("paused", False), ("mode `observe`", False), ("mode `off`", False), ("quarantined", False)]
)
def test_the_time_to_come_to_rest_does_not_begin_while_people_have_a_child_left_alone(row: str, *, gone: bool) -> None:
    condition = CONDITIONS[row]
    assert guide_plant.removed(condition, leaving_for_ms=members.LEAVE_MS + 1_000) is gone
    assert guide_plant.removed(condition, leaving_for_ms=members.LEAVE_MS - 1_000) is False


def test_the_table_of_orders_has_no_other_rows() -> None:
    assert list(table(section("Orders"))) == list(CONDITIONS)


@pytest.mark.parametrize("strategy", Strategy)
def test_each_strategy_restarts_in_the_order_that_the_page_says(strategy: Strategy) -> None:
    class Half(Child):
        """Offers restart alone."""

        running, restart = Pump.running, Pump.restart

    children: dict[str, Child] = {"db": Pump("db"), "api": Pump("api"), "site": Half("site")}
    done = [
        f"`{errand.action} {errand.child}`"
        for errand in errands([children[name] for name in group(strategy, "api", tuple(children))])
    ]
    assert table(section("Strategies"))[f"`{strategy}`"] == [", ".join(done)]


def test_the_other_tables_say_all_that_there_is() -> None:
    assert [name.strip("`") for name in table(section("The circuit"))] == list(circuit.State)
    phases = section("States and phases").split("| phase |")[1]
    assert [name.strip("`") for name in table(f"| phase |{phases}")] == list(model.Phase)
    responses = table(section("Supervisors under supervisors"))
    assert {name.strip("`") for name in responses} == set(branch.Response)
    told = re.findall(r"with the state (.*?), and what the tick", " ".join(PAGE.split()))[0]
    assert set(re.findall(r"`(\w+)`", told)) == set(branch.Branch.states)
    fields = set(re.findall(r"`(\w+)`", " ".join(table(section("Documents")))))
    assert fields == set(model.Snapshot.__struct_fields__)


def _defaults() -> Mapping[str, str]:
    """What each row of the table of defaults must say."""
    s, count = "{:g} s".format, str
    return {
        "time between two ticks": s(supervisor.DEFAULT_INTERVAL_S),
        "time between two looks": s(supervisor.DEFAULT_INTERVAL_S),
        "longest interval of a child": f"{freshness.MAX_INTERVAL_S} s",
        "time for one look": s(supervisor.DEFAULT_OBSERVE_TIMEOUT_S),
        "stale": s(supervisor.DEFAULT_STALE_AFTER_S),
        "looked at alone": s(supervisor.DEAD_AFTER_STALE * supervisor.DEFAULT_STALE_AFTER_S),
        "looks alone": count(len(freshness.PAUSES_MS)),
        "failures that open the circuit": count(DEFAULT_TRIP_AFTER),
        "good looks that close it": count(circuit_step.VERIFY_OBSERVATIONS),
        "pause after the first restart": s(DEFAULT_BASE_S),
        "longest pause": s(DEFAULT_CAP_S),
        "taken off a pause at most": f"{DEFAULT_JITTER:.0%}".replace("%", " %"),
        "restarts before it escalates": count(supervisor.DEFAULT_MAX_ATTEMPTS),
        "window of restarts": s(supervisor.DEFAULT_WINDOW_S),
        "calm that ends an incident": s(circuit.MIN_STABLE_MS / 1000),
        "time for a restart to be started": s(PROBE_LEASE_MS / 1000),
        "slow restart while escalated": s(circuit.SLOW_PROBE_MS / 1000),
        "longest time until it escalates": f"{bound.LONGEST_MS // 3_600_000} h",
        "time for one run of an action": s(actions.DEFAULT_TIMEOUT_S),
        "from the soft to the hard limit": s(LIMIT_EXTRA_S),
        "runs after the first one": count(actions.DEFAULT_RETRIES),
        "largest result": f"{actions.MAX_RESULT_BYTES // 1024} KiB",
        "largest document": f"{MAX_DOCUMENT_BYTES // 1024} KiB",
        "exceptions that quarantine": count(derive.QUARANTINE_FAULTS),
        "quarantine, and its window": s(derive.QUARANTINE_WINDOW_MS / 1000),
        "time to come to rest when leaving": s(members.LEAVE_MS / 1000),
        "tombstone": f"{TOMBSTONE_MS // 3_600_000} h",
        "longest pause or silence": f"{order_terms.LONGEST_PAUSE_S // 86_400} d",
        "actions in flight": count(settings.DEFAULT_MAX_ACTIONS),
    }


def test_the_table_of_defaults_is_what_the_code_says() -> None:
    assert {row: cells[0] for row, cells in table(section("All defaults")).items()} == _defaults()
    assert circuit.PROBE_LEASE_MS == PROBE_LEASE_MS, "the store's own copy is the same"
    declared = {"Supervisor": Supervisor, "Backoff": Backoff, "check": check, "action": actions.action}
    places = " ".join(cells[1] for cells in table(section("All defaults")).values())
    named = re.findall(r"(\w+)\((\w+)=\)", places)
    assert {what for what, _ in named} == set(declared)
    for what, keyword in named:
        assert keyword in inspect.signature(declared[what]).parameters


def _said() -> Iterator[str]:
    """Every quantity in the page's text, with what it says, made from its constant; in tables too, but for the last."""
    minutes = "{:g} min".format
    quarantine = minutes(derive.QUARANTINE_WINDOW_MS / 60_000)
    slow = minutes(circuit.SLOW_PROBE_MS / 60_000)
    lease = f"{PROBE_LEASE_MS // 1000} s"
    stale = f"{supervisor.DEFAULT_STALE_AFTER_S:g} s"
    dead = f"{supervisor.DEAD_AFTER_STALE * supervisor.DEFAULT_STALE_AFTER_S:g} s"
    times = f"{len(freshness.PAUSES_MS)} times"
    yield f"At most {MAX_DOCUMENT_BYTES // 1024} KiB".replace("At", "has at")
    yield f"After {derive.QUARANTINE_FAULTS} exceptions within {quarantine} the child"
    yield f"its states are not asked for {quarantine}."
    yield f"is repeated {actions.DEFAULT_RETRIES} times, after {_listed(RETRY_PAUSES_S)} s."
    yield f"`timeout` is {actions.DEFAULT_TIMEOUT_S:g} s unless given"
    yield f"killed {LIMIT_EXTRA_S:g} s later"
    yield f"given up after {GRACE_MS / 1000 - LIMIT_EXTRA_S:g} s more"
    yield f"{actions.MAX_RESULT_BYTES // 1024} KiB of JSON at most"
    yield f"given again: {DEFAULT_BASE_S:g} s, then twice as long each time, {DEFAULT_CAP_S:g} s at most"
    yield f"a check failed {DEFAULT_TRIP_AFTER} times in a row"
    yield f"{supervisor.DEFAULT_MAX_ATTEMPTS} restarts did not help (`max_attempts`)"
    yield f"one slow restart every {slow} |"
    yield f"| 2 | {PAUSES_S[0]} s after the one before it did not help |"
    yield f"| 3 | {PAUSES_S[1]} s |"
    yield f"| {supervisor.DEFAULT_MAX_ATTEMPTS - 1} | {PAUSES_S[2]} s, with the warning `escalation_near` |"
    yield f"| {supervisor.DEFAULT_MAX_ATTEMPTS} | {PAUSES_S[3]} s |"
    yield f"`restart=Backoff(base={DEFAULT_BASE_S:g}, cap={DEFAULT_CAP_S:g}, jitter={DEFAULT_JITTER:g})` sets"
    yield f"up to {DEFAULT_JITTER:.0%}".replace("%", " % is taken off")
    yield f"nobody starts within {lease} is a failed one"
    yield f"was ok in {circuit_step.VERIFY_OBSERVATIONS} looks since"
    yield f"only after calm: {circuit.MIN_STABLE_MS // 1000} s, or"
    yield f"within the last {supervisor.DEFAULT_WINDOW_S:g} s (`window`)"
    yield f"cannot take its action within {lease} ends"
    yield f"not seen at rest within {members.LEAVE_MS // 1000} s is removed"
    yield f"These {members.LEAVE_MS // 1000} s do not begin while it is paused"
    yield "`interval = 30` in the class"
    yield f"declared for {FORGET_MS // 86_400_000} days is forgotten"
    yield f"For {TOMBSTONE_MS // 3_600_000} h a tombstone"
    yield f"{order_terms.LONGEST_PAUSE_S // 86_400} days ahead at most"
    yield f"fresh ── {stale} ──> stale ── {dead} ──> looked at alone, {times} ──>"
    yield f"A look may take {supervisor.DEFAULT_OBSERVE_TIMEOUT_S:g} s (`observe_timeout`)"
    yield f"(`stale_after`, {stale})"
    yield f"It does so {times}; {_listed(ms // 1000 for ms in freshness.PAUSES_MS)} s after a look has had its time"
    yield f"{freshness.ROOM} children of a supervisor at a time"
    yield f"after some {UNOBSERVABLE_S:.0f} s of silence"
    yield f"at least {freshness.MANY}, fall silent"
    yield f"stale for {minutes(freshness.LONG_SILENCE_MS / 60_000)}, or is unobservable"
    yield f"would take longer than {bound.LONGEST_MS // 3_600_000} h is refused"
    yield f"While {settings.DEFAULT_MAX_ACTIONS} actions are in flight"
    yield f"{looking.MAX_THREADS} at a time per process"


def _listed(numbers: Iterable[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}"


def test_no_number_stands_in_the_text_that_is_not_compared_with_the_code() -> None:
    text = PAGE.split("\n## All defaults\n")[0]
    text = " ".join(re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL).split())
    for said in _said():
        assert said in text
        text = text.replace(said, "")
    for harmless in (r"0 until one is set", r"step [34]\b", r"(?<= )[1-5]\. (?=[A-Z`])", r"\| 1 \| at once"):
        text = re.sub(harmless, "", text)
    assert re.findall(r".{0,40}(?<![\w/-])\d+(?:\.\d+)?(?![\w-]).{0,20}", text) == []


def test_every_link_leads_somewhere() -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGE):
        page = (ROOT / "docs" / target).resolve() if target else ROOT / "docs" / "supervision.md"
        assert page.is_file(), target
        headings = [
            line.lstrip("# ").lower().replace(" ", "-") for line in page.read_text().splitlines() if line[:1] == "#"
        ]
        assert not anchor or anchor in headings, f"{target}#{anchor}"


def test_what_a_parent_says_when_it_calls_is_what_the_page_says() -> None:
    @check("pump", restart="pump", runbook_url="https://wiki.example/pump", manual_steps=("turn it on",))
    def it_pumps(_pump: Seen) -> Verdict:
        return fail("dry")

    hall = Supervisor("hall", [Supervisor("press", [Pump("pump")], checks=[it_pumps])], on_escalation="escalate")
    now = guide_plant.NOW
    press = hall.below["press"]
    escalated = circuit.Circuit(
        circuit.State.ESCALATED,
        "hall/press@1",
        "it_pumps",
        "pump",
        "5 restarts did not help: dry",
        opened_at=now - 9_000,
    )
    below = ChildView(press.children["pump"], model.ChildRecord("off", model.Phase.STARTING, "dry", now - 100), {})
    summary = aggregate.after(View(press, now, 7, escalated, {"pump": below}), Plan(None, ()))
    seen = ChildView(
        hall.children["press"],
        model.ChildRecord("escalated", model.Phase.DEGRADED, "dry", now - 100),
        {},
        observation=model.Observation(summary, now - 50, 5),
    )
    view, told = View(hall, now, 7, circuit.Circuit(), {"press": seen}), list[lines.Line]()
    for _ in range(3):
        made = decide(view, now)
        told += lines.lines(view, made)
        view = msgspec.structs.replace(view, circuit=made.circuit or view.circuit)
    (call,) = [line.fields for line in told if line.event == "ESCALATION REQUIRED"]
    assert "5 restarts did not help: dry" in call["reason"]
    assert (call["runbook_url"], call["manual_steps"]) == ("https://wiki.example/pump", ["turn it on"])
    assert call["total_downtime"] == 9.0, "since it began below"


def test_whoever_adopts_it_as_the_page_says_sees_what_would_be_done_and_nothing_is_sent(
    store: Store, store_url: str, namespace: str
) -> None:
    driven = Driven(store, Supervisor("plant", [Pump("pump")]))
    driven.runtime.collect("plant")
    with Client(store_url, namespace=namespace) as client:
        assert (client.get("plant/pump").state, client.get("plant").mode) == (None, "act")
        client.set_mode("plant", "observe", by="ann", reason="to see what it would do")
        for _ in range(3):
            driven.round()
        assert driven.post.acts() == []
        assert [event.after for event in client.events(subject="plant") if event.kind == "would"] == ["start"]
        client.set_mode("plant", "act", by="ann", reason="it is what we want")
        assert client.get("plant").mode == "act"


def test_a_person_restarts_everything_below_a_supervisor(store: Store, store_url: str, namespace: str) -> None:
    driven = Driven(store, Supervisor("hall", [Supervisor("press", [Pump("pump"), Pump("belt")])]))
    for _ in range(2):
        driven.round()
    with Client(store_url, namespace=namespace) as client:
        record = client.restart("hall/press", by="ann", reason="new oil")
    driven.act("pump"), driven.act("belt")
    assert driven.runtime.run_action(record.id) == "succeeded"
    driven.round()
    assert store.ticks.load(driven.runtime.supervisors["hall/press"], Claim(1, 0, 0)).circuit.state == "verifying"


DESIGN = (ROOT / "docs" / "design.md").read_text()


def test_the_design_names_every_task_with_its_queue_and_every_sweep_with_its_time() -> None:
    processes, rest = DESIGN.split("| task | queue |")
    tasks = {name.strip("`"): cells[0] for name, cells in table(f"| task | queue |{rest}").items()}
    assert tasks == {name: route["queue"] for name, route in celeryconfig.task_routes[1].items()}
    assert all(queue in processes for queue in tasks.values())
    sweeps = {name.strip("`"): cells[0] for name, cells in table(f"| sweep |{rest.split('| sweep |')[1]}").items()}
    own = {"liveness": celeryconfig.supervision_heartbeat}  # judged as often as hearts beat
    seconds = {name: own.get(name) or getattr(celery_app, f"{name.upper()}_EVERY_S") for name in SWEEPS}
    assert sweeps == {name: f"{every:g} s" for name, every in seconds.items()}
    assert f"for {FORGET_MS // 86_400_000} days" in DESIGN


def test_the_glossary_has_the_words_of_this_guide() -> None:
    words = set(table(DESIGN.split("\n## Words\n")[1]))
    assert words >= {
        "errand",
        "branch",
        "member",
        "roster",
        "resting",
        "suspected",
        "unobservable",
        "called",
        "derived",
    }


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Store) -> Iterator[Driven]:
    """The tree of the examples, all of it running."""
    monkeypatch.setenv("SUPERVISION_FOLDER", str(tmp_path / "state"))
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    driven = Driven(store, runpy.run_path(str(ROOT / "examples" / "tree.py"))["shop"])
    try:
        until(lambda: lively(driven) >= {"shop/front/pages", "shop/front/site", "shop/crawler-0"}, what="all to run")
        yield driven
    finally:
        for process in processes(tmp_path):
            process.kill()


def lively(driven: Driven) -> set[str]:
    """Who runs after one more round, in which everything that was sent is done."""
    driven.round()
    driven.act("shop")
    return {
        child.path
        for above in driven.runtime.supervisors.values()
        for child in driven.runtime.store.ticks.loading.children(above).values()
        if driven.state(child.path) == "running"
    }


def processes(folder: Path) -> list[psutil.Process]:
    """What the examples have started."""
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if any(str(folder) in part for part in each.info["cmdline"] or [])]


def test_the_example_of_a_tree_heals_and_grows(shop: Driven, store_url: str, namespace: str, tmp_path: Path) -> None:
    pages, site = tmp_path / "shop-pages", tmp_path / "shop-site"
    before = pages.read_text()
    assert site.read_text() == before
    psutil.Process(int(before)).kill()
    until(lambda: lively(shop) and site.read_text() == pages.read_text() != before, what="a site with new pages")
    with Client(store_url, namespace=namespace) as client:
        until(lambda: lively(shop) and client.get("shop/front").circuit == "closed", what="a closed circuit")
        client.set_desired("shop", {"crawlers": 2}, by="ann", reason="more to crawl")
        until(lambda: "shop/crawler-1" in lively(shop), what="another crawler")
        client.set_desired("shop", {"crawlers": 0}, by="ann", reason="enough")
        until(lambda: not any("crawler" in path for path in lively(shop)), what="the crawlers to be gone")


def test_the_shortest_example_ticks(store: Store) -> None:
    driven = Driven(store, runpy.run_path(str(ROOT / "examples" / "watched.py"))["host"])
    assert [driven.round() <= {"done", "again"} for _ in range(2)] == [True, True]
    assert {driven.state("host/disk"), driven.state("host/load")} <= {"healthy", "degraded"}
