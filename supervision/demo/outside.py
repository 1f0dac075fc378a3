"""What the demo sees with its own eyes: the processes the operating system has, and what the programs answer.

Nothing here comes from our store: these are the effects by which its words are judged.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection

import psutil

from supervision.demo import wire
from supervision.demo.facts import NotSeen

ANSWER_S = 2.0
"""Seconds that a program may take to answer."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The demo's programs, by the ports that they were given."""

    ports: Mapping[str, int]

    def processes(self, child: str) -> list[psutil.Process]:
        """Every process that runs the program ``child`` of this demo; its port tells it from those of other demos."""
        return [process for process in psutil.process_iter() if self._runs(process, child)]

    def process(self, child: str) -> psutil.Process:
        """The only one; `NotSeen` when there is none, or more than one."""
        found = self.processes(child)
        if len(found) != 1:
            raise NotSeen(f"{len(found)} processes of {child}: {', '.join(str(one.pid) for one in found) or 'none'}")
        return found[0]

    def broker(self) -> wire.BrokerStatus:
        """What the broker answers; OSError when it does not."""
        return wire.broker_status(self.ports["broker"], ANSWER_S)

    def dataflow(self) -> wire.DataflowStatus:
        """What the data flow answers; errors as above."""
        return wire.dataflow_status(self.ports["dataflow"], ANSWER_S)

    def sink(self) -> wire.SinkStatus:
        """What the sink answers, which is what really arrived; errors as above."""
        return wire.sink_status(self.ports["sink"], ANSWER_S)

    def page(self) -> tuple[int, str]:
        """What the panel answers over HTTP: the status, and its first line; errors as above."""
        connection = HTTPConnection(wire.HOST, self.ports["panel"], timeout=ANSWER_S)
        with closing(connection):
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, answer.read().decode().partition("\n")[0]

    def cut(self, child: str) -> int:
        """Let the broker close the connections of ``child``; how many there were."""
        return wire.cut(self.ports["broker"], child, ANSWER_S)

    def _runs(self, process: psutil.Process, child: str) -> bool:
        with suppress(psutil.Error):
            command = process.cmdline()
            return f"supervision.demo.{child}" in command and str(self.ports[child]) in command
        return False


class Stopwatch:
    """Seconds since it was made, by this machine's monotonic clock."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s"

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.monotonic() - self._began


def pids(processes: Mapping[str, psutil.Process]) -> str:
    """``broker 12, sink 13``."""
    return ", ".join(_named(processes))


def _named(processes: Mapping[str, psutil.Process]) -> Iterator[str]:
    return (f"{name} {process.pid}" for name, process in processes.items())
