from pathlib import Path

import pytest

from supervision.errors import InvalidDeclaration
from supervision.kinds.folders import default_folder, store_id
from supervision.kinds.process import Process, ProcessDesired, ProcessObserved
from supervision.model import Go, Snapshot, Stay
from supervision.supervisor import Supervisor


def folder_of(**variables: str) -> Path:
    return default_folder({"XDG_STATE_HOME": "/state", **variables})


def folder_with(store: str, namespace: str = "supervision") -> Path:
    return folder_of(SUPERVISION_STORE_URL=store, SUPERVISION_NAMESPACE=namespace)


# Folders


def test_two_systems_of_one_user_have_two_folders() -> None:
    systems = [
        folder_with("redis://127.0.0.1:6379/0"),
        folder_with("redis://127.0.0.1:6379/1"),
        folder_with("redis://127.0.0.1:6380/0"),
        folder_with("redis://store:6379/0"),
        folder_with("redis://127.0.0.1:6379/0", "trial"),
        folder_with("redis://127.0.0.1:6379/0", "Trial"),
        folder_with("unix:///run/store.sock"),
        folder_with("unix:///run/store.sock?db=1"),
        folder_with("unix:///run/other.sock"),
    ]
    assert len({str(folder).lower() for folder in systems}) == len(systems)


@pytest.mark.parametrize("who", ["", ":secret@", "plant:secret@", "plant:another@"])
def test_who_asks_the_store_is_no_part_of_the_folder(who: str) -> None:
    assert folder_with(f"redis://{who}store:7000/2") == folder_with("redis://store:7000/2")


@pytest.mark.parametrize(
    "same",
    [
        "redis://localhost",
        "redis://LOCALHOST:6379",
        "rediss://127.0.0.1/0",
        "redis://[::1]:6379/",
        "redis://127.0.0.1?db=0",
    ],
)
def test_every_way_to_write_one_store_leads_to_one_folder(same: str) -> None:
    assert store_id(same) == store_id("redis://127.0.0.1:6379/0")


def test_what_is_not_set_is_what_the_settings_say() -> None:
    assert folder_of() == folder_with("redis://127.0.0.1:6379/0", "supervision")
    assert folder_of(SUPERVISION_STORE_URL="", SUPERVISION_NAMESPACE="") == folder_of()


def test_a_folder_lies_below_the_state_folder_and_names_the_namespace() -> None:
    state, product, system, processes = folder_with("redis://store", "trial").parts[1:]
    assert (state, product, processes) == ("state", "supervision", "processes")
    assert system == f"trial-{store_id('redis://store')}"
    assert default_folder({}).is_relative_to(Path("~/.local/state/supervision").expanduser())


def test_a_folder_that_is_named_is_taken_as_it_is() -> None:
    named = folder_of(SUPERVISION_FOLDER="/here", SUPERVISION_STORE_URL="redis://store", SUPERVISION_NAMESPACE="trial")
    assert named == Path("/here/processes")


@pytest.mark.parametrize("url", ["redis://:secret@store:port/0", "redis://:secret@[store/0", "secret@store"])
def test_an_address_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidDeclaration, match="SUPERVISION_STORE_URL") as refusal:
        folder_with(url)
    assert "secret" not in str(refusal.value)


def test_a_process_lives_in_the_folder_of_its_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    monkeypatch.delenv("SUPERVISION_FOLDER", raising=False)
    monkeypatch.setenv("SUPERVISION_NAMESPACE", "trial")
    monkeypatch.setenv("SUPERVISION_STORE_URL", "redis://store")
    assert web().output == folder_with("redis://store", "trial") / "plant~web.log"


# States


def web() -> Process:
    process = Process("web", ["web"])
    Supervisor("plant", [process])
    return process


def seen(observed: ProcessObserved, *, wanted: bool = True) -> Snapshot:
    return Snapshot(web().identity, ProcessDesired(running=wanted), observed, "running", 0, 0)


def test_a_process_of_an_earlier_command_keeps_running_and_says_how_to_apply_the_new_one() -> None:
    assert web().running(seen(ProcessObserved(True, 123, "x", outdated=True))) == Stay(
        "pid 123, started with an earlier command; apply it with: supervision restart plant/web"
    )


def test_a_process_of_the_declared_command_just_runs() -> None:
    assert web().running(seen(ProcessObserved(True, 123, "x"))) == Stay("pid 123")


def test_an_outdated_process_that_is_not_wanted_is_stopped_like_any_other() -> None:
    outdated = ProcessObserved(True, 123, "x", outdated=True)
    assert web().running(seen(outdated, wanted=False)) == Go("stopping", "no longer wanted")


def test_a_process_that_is_gone_is_started_again() -> None:
    assert web().running(seen(ProcessObserved(False))) == Go("starting", "its process is gone")


# Environment


def test_a_process_inherits_nothing_that_is_meant_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPERVISION_STORE_URL", "SUPERVISION_IMPORTS", "CELERY_BROKER_URL", "REMAP_SIGTERM"):
        monkeypatch.setenv(name, "redis://:secret@store")
    monkeypatch.setenv("PUMP_LINE", "1")
    inherited = web()._managed.env
    assert inherited is not None
    assert inherited["PUMP_LINE"] == "1"
    assert "redis://:secret@store" not in inherited.values()


def test_a_process_gets_whatever_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUMP_LINE", "1")
    given = {"SUPERVISION_STORE_URL": "redis://store"}
    assert Process("web", ["web"], env=given)._managed.env == given
