"""docs/mailboxes.md: its samples run as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

import supervision
from supervision.server import EmbeddedStore

PAGE = (Path(supervision.__file__).parents[1] / "docs" / "mailboxes.md").read_text()
PUTTING, HANDLING, TAKING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_samples_put_a_message_name_its_handler_and_take_it(
    server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPERVISION_STORE_URL", server.url)
    monkeypatch.setenv("SUPERVISION_NAMESPACE", namespace)
    found: dict[str, Any] = {"__name__": "user"}
    exec(PUTTING, found)  # noqa: S102 # our own page
    box = found["box"]
    assert (box.name, box.view().depth) == ("build-42", 1)
    exec(HANDLING, found)  # noqa: S102 # likewise
    assert box.view().handler == "user.retry_step"
    box.handle(None)
    exec(TAKING, found)  # noqa: S102 # likewise
    assert capsys.readouterr().out.startswith("retry-7 {'retry': 'unit tests'} ")
    assert box.view().depth == 0
