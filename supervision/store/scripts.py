"""The scripts: one operation per file in ``lua/``, each preceded by ``prelude.lua`` when it is sent.

A script whose second line is ``-- with waits``, ``-- with mail`` or ``-- with pauses`` is preceded by the preludes of
these, too.

`NAMES` is the list of everything that changes state in one step; the kill tests take their steps from it.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import redis

from supervision.store.connection import translated

_FOLDER = files("supervision.store") / "lua"
_PRELUDE = "prelude"
_MORE = {
    "-- with waits": (
        *("prelude_waits", "prelude_damage", "prelude_gathers", "prelude_slices", "prelude_leaves", "prelude_release"),
        *("prelude_circles", "prelude_claims", "prelude_mail", "prelude_begin", "prelude_deaths"),
    ),  # with mail, as a death may be told to a mailbox
    "-- with mail": ("prelude_waits", "prelude_mail", "prelude_batches", "prelude_failures"),
    "-- with pauses": ("prelude_pauses",),
}
"""Preludes of a script by its second line, in the order in which they need each other."""

NAMES: tuple[str, ...] = tuple(
    sorted(
        entry.name.removesuffix(".lua")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".lua") and not entry.name.startswith(_PRELUDE)
    )
)


@cache  # a process makes several stores, and a client one per program that asks
def source(name: str) -> str:
    """The whole text of one script, as the server gets it."""
    own = _text(name)
    return "\n".join([*map(_text, (_PRELUDE, *_MORE.get(own.splitlines()[1], ()))), own])


def _text(file: str) -> str:
    return (_FOLDER / f"{file}.lua").read_text()


class Scripts:
    """All scripts of one connection; loads a script when the server does not have it (yet, or any more)."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._scripts = {name: client.register_script(source(name)) for name in NAMES}

    def run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run one script; `StoreUnavailable` if it is unknown whether it ran."""
        script = self._scripts[name]
        execute: Any = self.client.execute_command  # redis-py has no types for it
        with translated(name):
            try:
                # Not by redis-py's `Script`, which takes 7 µs more of each: an eighth of what an empty script costs.
                return execute("EVALSHA", script.sha, len(keys), *keys, *args)
            except redis.exceptions.NoScriptError:
                return script(keys=keys, args=args)  # which loads it
