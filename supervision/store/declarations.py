"""All children that there are, for those without the code: what is declared, and the members that come and go."""

import msgspec

from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.registry import DeclaredChild, DeclaredSupervisor, Registry
from supervision.store.scripts import Scripts
from supervision.store.views import UNREADABLE


class StoredMember(msgspec.Struct, frozen=True):
    """A child that the desired document has made; ``leaving`` is since when it leaves, 0 while it is wanted."""

    declared: DeclaredChild
    leaving: int = 0


class Declarations:
    """Reads who is there."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._client = scripts.client
        self._keys = keys
        self._registry = Registry(scripts, keys)

    def all(self) -> dict[str, DeclaredSupervisor]:
        """Every supervisor by path, in alphabetical order, with its members after its declared children."""
        declared = self._registry.all()
        dynamic = [path for path, found in declared.items() if found.dynamic]
        pipeline = self._client.pipeline(transaction=False)
        for path in dynamic:
            pipeline.hgetall(self._keys.of(path, "members"))
        with translated("members"):
            stored = pipeline.execute(raise_on_error=False) if dynamic else []
        for path, members in zip(dynamic, stored, strict=True):
            if isinstance(members, dict):  # else no hash: what else is there says so
                declared[path] = _with(declared[path], members)
        return declared


def _with(declared: DeclaredSupervisor, members: dict[bytes, bytes]) -> DeclaredSupervisor:
    found = {name.decode(errors="backslashreplace"): _member(text) for name, text in sorted(members.items())}
    made = {name: child for name, child in found.items() if name not in declared.children}
    return msgspec.structs.replace(declared, children={**declared.children, **made})


def _member(text: bytes) -> DeclaredChild:
    """A member as declared; of one that cannot be read only that it is there."""
    try:
        return msgspec.json.decode(text, type=StoredMember).declared
    except msgspec.MsgspecError:
        return DeclaredChild(UNREADABLE, {}, {})
