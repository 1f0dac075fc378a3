"""Whether the parent of a supervisor does something about an escalation, so that nobody is called from below."""

import msgspec

from supervision.branch import Response
from supervision.circuit import Circuit
from supervision.orders import Mode, Orders
from supervision.supervisor import Supervisor


def answers(supervisor: Supervisor, above: Orders, circuit: bytes | None, now: int) -> bool:
    """As the parent of ``supervisor`` declares, and while people let it: ``above`` and ``circuit`` are the parent's.

    ``above`` has what the parent inherits. Nothing comes of a restart where it is paused; and of nothing while its
    circuit is forced open, which ends with an order alone.
    """
    response, name = supervisor.above_answers, supervisor.name
    if response is Response.DEGRADE or above.mode is not Mode.ACT or above.forced or _forced(circuit):
        return False
    held = response is Response.RESTART and above.paused_until(name, now)
    return not held and above.enabled(name, declared=True)


def _forced(circuit: bytes | None) -> bool:
    """False for one that cannot be read: another version of the code can, and answers."""
    try:
        return bool(circuit and msgspec.json.decode(circuit, type=Circuit).forced)
    except msgspec.MsgspecError:
        return False
