"""What the demo says while it plays, and the same facts as one JSON document at its end.

With ``--json`` only the document goes to standard output; the lines for people go to standard error.
"""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from supervision.demo.facts import Fact
from supervision.demo.outside import Stopwatch

JSON_VERSION = 1
"""Grows when a key of the document changes its meaning or goes away."""

_NAME_WIDTH = 54


@dataclass
class Report:
    """The facts so far. ``passed`` only when every scene was played and every fact is as it should be."""

    folder: Path
    as_json: bool
    watch: Stopwatch = field(default_factory=Stopwatch)
    processes: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    scenes: list[tuple[str, list[Fact]]] = field(default_factory=list)
    error: str = ""
    complete: bool = False

    def line(self, text: str) -> None:
        """One line for people, at once."""
        print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def scene(self, title: str) -> None:
        """A scene begins."""
        self.scenes.append((title, []))
        self.line(f"\nScene {len(self.scenes)}: {title}")

    def fact(self, fact: Fact) -> None:
        """One fact of the present scene."""
        self.scenes[-1][1].append(fact)
        word = "ok" if fact.passed else "FAILED" if fact.looked else "-"
        self.line(f"  {word:<6}  {fact.name:<{_NAME_WIDTH}}  {fact.measured}")

    def failed(self, error: str) -> None:
        """What kept the demo from going on."""
        self.error = error
        self.line(f"FAILED  {error}")

    @property
    def passed(self) -> bool:
        """Whether everything was as it should be."""
        return self.complete and not self.error and not self._missed()

    def verdict(self) -> None:
        """Say how it ended."""
        facts, missed = self._facts(), self._missed()
        for title, fact in missed:
            if fact.looked:
                self.line(f"\nfailed in the scene '{title}': {fact.name}: {fact.measured}")
        logs = f"; logs in {self.folder / '.supervision'}" if missed else ""
        self.line(f"\n{len(facts) - len(missed)} of {len(facts)} checks passed, after {self.watch}{logs}")

    def document(self) -> None:
        """Write the JSON document to standard output, if it was asked for."""
        if self.as_json:
            print(json.dumps(self._document(), indent=2))  # noqa: T201 # as above

    def _document(self) -> dict[str, Any]:
        return {
            "version": JSON_VERSION,
            "folder": str(self.folder),
            "passed": len(self._facts()) - len(self._missed()),
            "checks": len(self._facts()),
            "ok": self.passed,
            "error": self.error,
            "seconds": round(self.watch.seconds, 1),
            "processes": self.processes,
            "ports": self.ports,
            "scenes": [{"title": title, "checks": [asdict(fact) for fact in facts]} for title, facts in self.scenes],
        }

    def _facts(self) -> list[tuple[str, Fact]]:
        return [(title, fact) for title, facts in self.scenes for fact in facts]

    def _missed(self) -> list[tuple[str, Fact]]:
        return [(title, fact) for title, fact in self._facts() if not fact.passed]
