"""What a herd has been through, judged by the store's own history, its keys, and what each member has noted.

Nothing here believes the herd's programs where the store can be asked: each wait has to begin and end in turn, each
death that was to be declared is declared once and no other one is, and whatever key is left has to stand in the
registry by which it will be forgotten.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.herd import WITHIN_S, Herd
from benchmarks.plants.member import done
from benchmarks.stage import Stage, until
from supervision.coordination.waits import Node, Terms
from supervision.errors import Superseded
from supervision.store.coordinators import Beat
from supervision.store.history import Past

HOWS = ("signalled", "died", "timed_out", "cancelled", "released")

REGISTRIES = {"signal": "signals", "receipt": "signals", "wait": "ended", "coordinator": "coordinators"}
"""Kinds of keys that are kept for a day, and where each of them is listed until then."""

FOR_GOOD = {
    *("events", "counters", "every", "swept", "sweeps", "hooked", "trimmed", "fence", "supervisors", "declared"),
    *REGISTRIES.values(),
}
"""Keys of which there is one per namespace, whatever happens in it."""

DAY_MS = 86_400_000


def judged(herd: Herd) -> dict[str, Any]:
    """Counts of what happened, and under ``broken`` one sentence for each promise that was not kept."""
    calm(herd.stage)
    past = list(history(herd.stage))
    names = {member.name for member in herd.members}
    coordinators = [each for each in past if each.kind == "coordinator" and each.subject in names]
    waits = [each for each in past if each.kind == "wait"]
    accepted = zombie_writes(herd)
    left = unlisted(herd.stage)
    ends = Counter(each.after for each in waits if each.after in HOWS)
    told = {
        "rounds": min(member.round for member in herd.members),
        "kills": herd.done["kills"],
        "stops": herd.done["stops"],
        "restarts": herd.done["restarts"],
        "signals": sum(each.kind == "signal" for each in past),
        "waits": sum(ends.values()),
        **{how: ends[how] for how in HOWS if ends[how]},
        "deaths": sum(each.after == "dead" for each in coordinators),
        "slowest_death": round(max(herd.told, default=0), 1),
        "zombies": herd.zombies,
        "keys_kept": sum(1 for _ in found(herd.stage)),
    }
    broken = [
        *not_in_turn(waits),
        *badly_declared(herd, coordinators),
        *badly_noted(herd),
        *_tasks(herd, waits),
        *(f"a write of a zombie was accepted: {each}" for each in accepted),
        *(f"orphan key {key}" for key in left),
    ]
    if herd.zombies != herd.done["stops"]:
        broken.append(f"{herd.done['stops']} were stopped, {herd.zombies} learnt that they are superseded")
    broken += [f"key left after a day: {key}" for key in after_a_day(herd.stage)]
    return {**told, "broken": broken}


def calm(stage: Stage) -> None:
    """Wait until nothing is to be delivered or published any more."""
    keys, ask = stage.store.keys, stage.ask()
    moving = (keys.open, keys.undelivered, keys.releasing, keys.outbox, keys.mourning)

    def under_way() -> dict[str, Any]:
        listed = {key: ask.zrange(key, 0, -1, withscores=True) for key in moving}
        return {key: members for key, members in listed.items() if members}

    try:
        until(lambda: not under_way(), "nothing to be under way", within=WITHIN_S, every=0.1)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {under_way()}") from error


def history(stage: Stage) -> Iterator[Past]:
    """All of it, the oldest first."""
    last = "-"
    while page := list(stage.store.history.since(last)):
        yield from page
        last = page[-1].id


def not_in_turn(waits: Iterable[Past]) -> list[str]:
    """Waits that did not begin, end, and be gone on with once each, in that order, perhaps several times over."""
    steps: dict[str, str] = defaultdict(str)
    for each in waits:
        steps[each.subject] += "B" if each.after == "waiting" else "E" if each.before == "waiting" else "P"
    return [f"wait {subject}: {how}" for subject, how in steps.items() if not re.fullmatch("(BEP)+", how)]


def badly_declared(herd: Herd, coordinators: Sequence[Past]) -> list[str]:
    """Names that were declared dead more or less often than they should, twice in a row, or ended otherwise."""
    broken = []
    for member in herd.members:
        least, most = (sum(start.deaths[i] for start in herd.starts if start.name == member.name) for i in (0, 1))
        ends = [
            each.after
            for each in coordinators
            if each.subject == member.name and each.after in {"registered", "dead", "complete", "failed"}
        ]
        if not least <= ends.count("dead") <= most:
            broken.append(f"{member.name}: declared dead {ends.count('dead')} times, not {least} to {most}")
        if not re.fullmatch("(R+D)*R+C", "".join(end[0].upper() for end in ends)):
            broken.append(f"{member.name}: {' '.join(ends)}")
    return broken


def badly_noted(herd: Herd) -> list[str]:
    """Members that have not got each round's signal once, in order, with what was sent."""
    names = [member.name for member in herd.members]
    rounds = max(member.round for member in herd.members)
    wanted = {name: [[str(i), names[j - 1], str(i)] for i in range(1, rounds + 1)] for j, name in enumerate(names)}
    got = {name: done(herd.folder, name) for name in names}
    return [f"{name}: got {got[name]}" for name in names if got[name] != wanted[name]]


def _tasks(herd: Herd, waits: Iterable[Past]) -> list[str]:
    """Tasks of those who waited beside the herd that did not end once, or not as they may."""
    ends: Mapping[str, list[str]] = defaultdict(list)
    for each in waits:
        if each.before == "waiting":
            ends[each.subject].append(each.after)
    may = [({"signalled", "died"} if i % 2 == 0 else {"signalled"}, task) for i, task in enumerate(herd.tasks)]
    return [f"task {task}: {ends[task]}" for how, task in may if len(ends[task]) != 1 or ends[task][0] not in how]


def zombie_writes(herd: Herd) -> list[str]:
    """Whatever somebody who once had a name still writes: what of it was taken."""
    coordinators, accepted = herd.stage.store.coordinators, []
    last = {start.name: start.incarnation for start in herd.starts}
    before = {name: coordinators.get(name).state for name in last}
    for start in (start for start in herd.starts if start.incarnation != last[start.name]):
        if start.name not in coordinators.beat([Beat(start.name, start.incarnation)]):
            accepted.append(f"a heartbeat of {start}")
        if coordinators.leave(start.name, start.incarnation, failed=True, why="a zombie"):
            accepted.append(f"the end of {start}")
        try:
            terms = Terms(Node(signal="herd/zombie"), timeout=60, owner=start.name)
            herd.stage.store.waits.enter(
                f"{start.name}>zombie", terms, channel="nowhere", incarnation=start.incarnation
            )
            accepted.append(f"a wait of {start}")
        except Superseded:
            pass
    return accepted + [f"{name} changed" for name, state in before.items() if coordinators.get(name).state != state]


def found(stage: Stage) -> Iterator[tuple[str, str]]:
    """All keys of the namespace, as their kind and whatever they are named after."""
    prefix = stage.store.keys.events.removesuffix("events")
    for key in stage.ask().scan_iter(match=f"{prefix}*", count=1000):
        kind, _, name = key.decode().removeprefix(prefix).partition(":")
        yield kind, name


def unlisted(stage: Stage) -> list[str]:
    """Keys that nobody will ever forget: neither for good, nor listed where what has ended is."""
    ask, keys = stage.ask(), stage.store.keys
    return [
        f"{kind}:{name}"
        for kind, name in found(stage)
        if not (kind in FOR_GOOD and not name)
        and (kind not in REGISTRIES or ask.zscore(getattr(keys, REGISTRIES[kind]), name) is None)
        and (kind != "state" or not all(ask.zmscore(keys.coordinators, list(ask.smembers(keys.state(name))))))
    ]


def after_a_day(stage: Stage) -> list[str]:
    """Keys that are left when what has ended is as old as it has to be, and was forgotten."""
    ask, keys = stage.ask(), stage.store.keys
    for name in ask.zrange(keys.signals, 0, -1):
        ask.hset(keys.signal(name.decode()), "until", 1)
    for registry in (keys.signals, keys.ended, keys.coordinators):
        for member in ask.zrange(registry, 0, -1):
            ask.zadd(registry, {member: 1})
    until(lambda: not any(stage.store.waits.clear(200, DAY_MS)), "all to be forgotten", within=WITHIN_S)
    return [f"{kind}:{name}" for kind, name in found(stage) if name or kind not in FOR_GOOD]
