"""What docker-compose.yml says, read line by line: the default tests must run where there is no YAML parser.

The tests marked `servers` hold this reading against the one of docker-compose itself.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
UNITS = ROOT / "deploy" / "systemd"


def celery_commands() -> dict[str, str]:
    """Service name to command, for the services that name a command of Celery or of ours themselves."""
    found, service = {}, ""
    for line in COMPOSE.read_text().splitlines():
        if match := re.fullmatch(r"  (\w[\w-]*):.*", line):
            service = match[1]
        elif match := re.fullmatch(r"    command: ((?:celery|supervision) .+)", line):
            found[service] = match[1]
    return found


def health_checks() -> dict[str, str]:
    """Service name to health check as a shell gets it (compose writes one dollar as two)."""
    found, service = {}, ""
    for line in COMPOSE.read_text().splitlines():
        if match := re.fullmatch(r"  (\w[\w-]*):.*", line):
            service = match[1]
        elif match := re.fullmatch(r"      test: (.+)", line):
            found[service] = match[1].replace("$$", "$")
    return found


def designed_commands() -> dict[str, str]:
    """Process to command, as the table in docs/design.md has them."""
    table = (ROOT / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| (\w+)[^|]* \| `(celery [^`]+)` \|", table, flags=re.MULTILINE)
    return dict(rows)


def unit_commands() -> dict[str, str]:
    """Unit file name to its command, without the virtual environment's folder and systemd's double percent signs."""
    starts = {
        unit.name: re.search(r"^ExecStart=\S*/((?:celery|supervision) .+)$", unit.read_text(), re.MULTILINE)
        for unit in units()
    }
    return {name: match[1].replace("%%", "%") for name, match in starts.items() if match}


def units() -> list[Path]:
    """Every unit file of a process; what a timer runs is none."""
    return sorted(unit for unit in UNITS.glob("*.service") if not unit.with_suffix(".timer").exists())


def timed_commands(unit: str) -> list[list[str]]:
    """What the unit that a timer runs calls, without the virtual environment's folder."""
    text = (UNITS / f"{unit}.service").read_text()
    return [line.split() for line in re.findall(r"^ExecStart=-\S*/(supervision .+)$", text, re.MULTILINE)]
