"""A second terminal in a demo's folder finds its store, whatever else its surroundings say."""

from pathlib import Path

import pytest

from supervision.cli.address import DEMO_STORE, demo_url
from supervision.server import EmbeddedStore


def test_a_demo_is_found_whatever_namespace_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses its own; one that is no name refuses nothing here."""
    monkeypatch.setenv("SUPERVISION_NAMESPACE", "a b")
    below = tmp_path / "below"
    below.mkdir()
    with EmbeddedStore(tmp_path / DEMO_STORE) as server:
        assert demo_url(below) == server.url
    assert demo_url(below) is None
