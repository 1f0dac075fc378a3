"""What the library warns of while a command runs: on the error stream, without secrets, and written once."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sources import ROOT

from supervision.cli import warning
from supervision.saying import OURS, log

ADDRESS = "redis://:hunter2secret@h/0"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a handler of the app's would write, in a process that has not configured structlog."""
    monkeypatch.setattr("structlog.is_configured", lambda: False)
    found: list[str] = []

    class Own(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Own()
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


def test_it_is_written_once_and_without_secrets(heard: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with warning.on_stderr():
        log.warning("publish_failed", error=ADDRESS)
        log.info("signal_sent")
    assert capsys.readouterr() == ("", "Warning: publish_failed error='redis://:***@h/0'\n")
    assert heard == []
    log.warning("publish_failed", error="later")
    assert heard == ["publish_failed error='later'"]


def test_a_line_of_an_app_that_has_configured_structlog_is_text_too(capsys: pytest.CaptureFixture[str]) -> None:
    with warning.on_stderr():
        logging.getLogger(OURS).error({"event": "entry_refused", "entry": "x", "error": ADDRESS})
    assert capsys.readouterr().err == "Error: entry_refused entry='x' error='redis://:***@h/0'\n"


@pytest.mark.usefixtures("heard")
def test_an_error_stream_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Gone())
    with warning.on_stderr():
        log.warning("heartbeat_not_heard")


def test_a_process_that_has_configured_our_lines_speaks_where_nobody_listens() -> None:
    program = "from supervision.telemetry import logs; from supervision.saying import log; {}log.warning('here')"
    told = [
        subprocess.run(
            [sys.executable, "-c", program.format(configured)], cwd=ROOT, capture_output=True, text=True, check=True
        ).stderr
        for configured in ("", "logs.configure(); ")
    ]
    assert told[0] == ""
    assert "here" in told[1]
