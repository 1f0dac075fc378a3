"""The plant that the demo supervises, written as you would write your own: children, checks, a tree of supervisors.

    plant/line      a data flow  ──messages──>  a broker  ──messages──>  a sink
    plant/office    a panel, which is an HTTP service, and the page that it should serve

What is special about each program is what it says of itself on its status port: `observe` adds that to what the
operating system says. Only what a decision needs is observed; a counter would make every look a change.
"""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from supervision.backoff import Backoff
from supervision.checks import Seen, Verdict, check, fail, ok, unknown
from supervision.demo.wire import HOST, broker_status, dataflow_status, sink_status
from supervision.kinds.http import HttpEndpoint
from supervision.kinds.process import Process, ProcessObserved
from supervision.model import Phase
from supervision.supervisor import Supervisor

ANSWER_S = 1.5
"""Seconds that a program may take to answer, within the 2.2 s that one look may take."""

START_TIMEOUT_S = 15.0
"""Seconds until a program must do its work: it needs half a second, on a busy machine several."""

DEFAULT_PORTS = {"broker": 7001, "dataflow": 7002, "sink": 7003, "panel": 7004}


def port_variable(child: str) -> str:
    """The environment variable that holds the port of ``child``."""
    return f"SUPERVISION_DEMO_{child.upper()}_PORT"


PORTS = {child: int(os.environ.get(port_variable(child), port)) for child, port in DEFAULT_PORTS.items()}
"""Where each program answers on 127.0.0.1; taken from the environment, because the demo chooses free ones."""

PANEL_FILE_VARIABLE = "SUPERVISION_DEMO_PANEL_FILE"
"""The environment variable that holds where the panel's configuration is."""

PANEL_FILE = Path(os.environ.get(PANEL_FILE_VARIABLE, "panel.json"))

PANEL_GOOD = '{"title": "Line 1"}\n'
"""A configuration that the panel can use."""

RUNBOOK = "docs/runbooks.md#the-panel-answers-503"
"""What people read who are called about the panel."""


def program(child: str, *arguments: str) -> list[str]:
    """The command that runs one of the demo's programs."""
    return [sys.executable, "-P", "-m", f"supervision.demo.{child}", "--port", str(PORTS[child]), *arguments]


class BrokerSeen(ProcessObserved, frozen=True):
    """A broker's process, and what it says of itself; no state when it does not listen."""

    state: Literal["idle", "active"] | None = None


class Broker(Process):
    """The message broker."""

    Observed = BrokerSeen

    def observe(self) -> BrokerSeen:
        """The process, and its state; raises when it runs and does not answer, which is no news about it."""
        process, state = super().observe(), None
        with suppress(ConnectionRefusedError):  # it was just started and does not listen yet
            state = broker_status(PORTS["broker"], ANSWER_S).state if process.running else None
        return BrokerSeen(**msgspec.structs.asdict(process), state=state)

    def ready(self) -> bool:
        """Once it answers."""
        with suppress(OSError):
            return bool(broker_status(PORTS["broker"], ANSWER_S).state)
        return False


class DataflowSeen(ProcessObserved, frozen=True):
    """A data flow's process, and how many connections to a broker it has."""

    output_connections: int = 0


class Dataflow(Process):
    """The data flow, which must stay connected to the broker and does not see to that by itself."""

    Observed = DataflowSeen

    def observe(self) -> DataflowSeen:
        """The process, and its connections; raises as the broker's does."""
        process, connections = super().observe(), 0
        with suppress(ConnectionRefusedError):
            connections = dataflow_status(PORTS["dataflow"], ANSWER_S).output_connections if process.running else 0
        return DataflowSeen(**msgspec.structs.asdict(process), output_connections=connections)

    def ready(self) -> bool:
        """Once it is connected."""
        with suppress(OSError):
            return dataflow_status(PORTS["dataflow"], ANSWER_S).output_connections > 0
        return False


class Sink(Process):
    """The receiver; it connects again by itself, so that its process is all there is to observe."""

    def ready(self) -> bool:
        """Once it is connected."""
        with suppress(OSError):
            return sink_status(PORTS["sink"], ANSWER_S).connected
        return False


@check("broker", "dataflow", restart="dataflow")
def dataflow_is_connected(broker: Seen, dataflow: Seen) -> Verdict:
    """A broker that serves and a data flow without a connection contradict each other."""
    if dataflow.phase is not Phase.RUNNING or not dataflow.observed.running:
        return unknown("the data flow is not running, which its own state heals")
    if broker.observed.state is None:
        return unknown("the broker does not serve")
    if dataflow.observed.output_connections == 0:
        return fail(f"the broker is {broker.observed.state}, and the data flow has 0 output connections")
    return ok()


class Panel(Process):
    """The operator's panel."""

    def ready(self) -> bool:
        """Once it listens; what it answers is another question, which starting it again cannot settle."""
        with suppress(OSError), socket.create_connection((HOST, PORTS["panel"]), ANSWER_S):
            return True
        return False


@check("panel", "page", restart="panel")
def page_is_served(panel: Seen, page: Seen) -> Verdict:
    """A panel that runs and a page that is not there contradict each other."""
    if panel.phase is not Phase.RUNNING or not panel.observed.running:
        return unknown("the panel is not running, which its own state heals")
    return fail(f"the page {page.observed.reason}") if page.observed.reason else ok()


_TO_BROKER = ("--broker", str(PORTS["broker"]))

line = Supervisor(
    "line",
    [
        Broker("broker", program("broker"), start_timeout=START_TIMEOUT_S),
        Sink("sink", program("sink", *_TO_BROKER), start_timeout=START_TIMEOUT_S),
        Dataflow("dataflow", program("dataflow", *_TO_BROKER), start_timeout=START_TIMEOUT_S),
    ],
    checks=[dataflow_is_connected],
)

office = Supervisor(
    "office",
    [
        Panel(
            "panel",
            program("panel", "--file", str(PANEL_FILE)),
            start_timeout=START_TIMEOUT_S,
            runbook_url=RUNBOOK,
            manual_steps=(
                f"write a configuration with a title into {PANEL_FILE}",
                "see that the page is served, and which incident that was: supervision describe plant/office",
                "say that it is over: supervision reset plant/office --incident INCIDENT",
            ),
        ),
        HttpEndpoint("page", f"http://{HOST}:{PORTS['panel']}/"),
    ],
    checks=[page_is_served],
    restart=Backoff(base=0.5, cap=1),
    max_attempts=3,
)
"""Impatient, so that a demo can be: three restarts within seconds, and then it is its parent's turn."""

plant = Supervisor("plant", [line, office], max_attempts=1)
"""Restarts all of a supervisor that has escalated, once, and then calls people."""

PROCESSES = tuple(child.path for each in plant.tree() for child in each.children.values() if isinstance(child, Process))
"""The paths of the children that are processes of this machine."""
