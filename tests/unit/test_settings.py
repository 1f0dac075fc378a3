import json
import re
from typing import Any

import pytest
from celery import chain, group, signature
from sources import sources

from supervision.errors import InvalidDeclaration
from supervision.settings import DEFAULT_STORE_URL, OTHER_VARIABLES, Settings, read, unknown, value

CONF = {
    "supervision_store_url": "redis://conf:6379/1",
    "supervision_namespace": "conf",
    "supervision_imports": ("plant.a", "plant.b"),
}
ENVIRONMENT = {
    "SUPERVISION_STORE_URL": "unix:///tmp/store.sock",
    "SUPERVISION_NAMESPACE": " env ",
    "SUPERVISION_IMPORTS": "plant.c, plant.d,",
}


def test_without_configuration_the_defaults_hold() -> None:
    fields = (
        *("store_url", "namespace", "imports", "metrics_per_child", "log_format"),
        *("max_actions", "shutdown_timeout", "heartbeat", "heartbeat_warning", "heartbeat_critical", "heartbeat_dead"),
        "hooks",
    )
    defaults = (DEFAULT_STORE_URL, "supervision", (), False, "json", 1000, 5.0, 5.0, 15.0, 30.0, 60.0, {})
    assert read({}, {}) == Settings(*defaults, origin=dict.fromkeys(fields, "default"))


def test_times_of_liveness_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidDeclaration, match=r"heartbeat=20, warning=15, .* for example 5, 15, 30, 60"):
        read({"supervision_heartbeat": 20}, {})


def test_hooks_are_known_by_their_names_and_call_tasks() -> None:
    page, mourn = {"task": "my.page"}, {"task": "my.mourn"}
    assert read({"supervision_hooks": {"circuit_opened": "my.page"}}, {}).hooks == {"circuit_opened": page}
    environment = {"SUPERVISION_HOOKS": "circuit_opened=my.page, coordinator_died = my.mourn,"}
    assert read({}, environment).hooks == {"circuit_opened": page, "coordinator_died": mourn}


def test_a_hook_may_be_a_signature() -> None:
    whole = {"task": "my.page", "args": ["oncall"], "kwargs": {"loud": True}, "options": {"queue": "ops"}}
    for said in (whole, signature("my.page", args=("oncall",), kwargs={"loud": True}, queue="ops")):
        assert read({"supervision_hooks": {"escalated": said}}, {}).hooks == {"escalated": whole}
    environment = {"SUPERVISION_HOOKS": json.dumps({"escalated": whole, "circuit_opened": "my.open"})}
    assert read({}, environment).hooks == {"escalated": whole, "circuit_opened": {"task": "my.open"}}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"circuit_open": "my.page"}, {"circuit_opened": ""}, {"circuit_opened": 7}, "circuit_opened", 7, "{", "[]"),
        *({"escalated": {"args": []}}, {"escalated": {"task": 7}}, {"escalated": {"task": "a", "args": 7}}),
        {"escalated": {"task": "a", "kwargs": {"not": object()}}},
        {"escalated": group(signature("a"), signature("b"))},
        {"escalated": chain(signature("a"), signature("b"))},
    ],
)
def test_what_no_hook_can_be(wrong: object) -> None:
    with pytest.raises(InvalidDeclaration, match="hooks are blocking_started, signal_received"):
        read({"supervision_hooks": wrong}, {})


def test_a_number_can_be_set_in_the_environment() -> None:
    found = read({}, {"SUPERVISION_MAX_ACTIONS": "150", "SUPERVISION_SHUTDOWN_TIMEOUT": "2.5"})
    assert (found.max_actions, found.shutdown_timeout) == (150, 2.5)


def test_one_field_can_be_read_while_another_is_wrong() -> None:
    conf = {"supervision_store_url": 0, "supervision_shutdown_timeout": 7}
    assert value("shutdown_timeout", conf, {}) == 7
    assert value("shutdown_timeout", conf, {"SUPERVISION_SHUTDOWN_TIMEOUT": "8"}) == 8


@pytest.mark.parametrize(("text", "value"), [("1", True), ("True", True), (" no ", False), ("false", False)])
def test_a_switch_can_be_set_in_the_environment(text: str, value: object) -> None:
    assert read({}, {"SUPERVISION_METRICS_PER_CHILD": text}).metrics_per_child is value


def test_the_configuration_stands_over_the_defaults() -> None:
    found = read(CONF, {})
    assert (found.store_url, found.namespace, found.imports) == ("redis://conf:6379/1", "conf", ("plant.a", "plant.b"))
    assert found.origin["namespace"] == "celeryconfig supervision_namespace"


def test_the_environment_stands_over_the_configuration() -> None:
    found = read(CONF, ENVIRONMENT)
    assert (found.store_url, found.namespace, found.imports) == (
        "unix:///tmp/store.sock",
        "env",
        ("plant.c", "plant.d"),
    )
    assert found.origin["imports"] == "environment SUPERVISION_IMPORTS"


def test_each_value_finds_its_own_place() -> None:
    found = read({"supervision_namespace": "conf"}, {"SUPERVISION_IMPORTS": "plant"})
    assert found.origin == {
        "store_url": "default",
        "namespace": "celeryconfig supervision_namespace",
        "imports": "environment SUPERVISION_IMPORTS",
        "metrics_per_child": "default",
        "log_format": "default",
        "max_actions": "default",
        "shutdown_timeout": "default",
        **dict.fromkeys(("heartbeat", "heartbeat_warning", "heartbeat_critical", "heartbeat_dead"), "default"),
        "hooks": "default",
    }


def test_an_empty_list_of_modules_in_the_environment_is_none_at_all() -> None:
    assert read(CONF, {"SUPERVISION_IMPORTS": ""}).imports == ()


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISION_NAMESPACE", "mine")
    assert read(CONF).namespace == "mine"


@pytest.mark.parametrize(
    ("conf", "environment", "named", "right"),
    [
        ({"supervision_store_url": "localhost"}, {}, "supervision_store_url='localhost'", "redis://127.0.0.1:6379/0"),
        ({"supervision_store_url": 6379}, {}, "supervision_store_url=6379", "a text that is not empty"),
        ({}, {"SUPERVISION_STORE_URL": "host:1"}, "SUPERVISION_STORE_URL='host:1'", "redis://127.0.0.1:6379/0"),
        ({}, {"SUPERVISION_STORE_URL": "  "}, "SUPERVISION_STORE_URL='  '", "a text that is not empty"),
        ({"supervision_namespace": ""}, {}, "supervision_namespace=''", "for example 'supervision'"),
        ({"supervision_namespace": 0}, {}, "supervision_namespace=0", "for example 'supervision'"),
        ({}, {"SUPERVISION_NAMESPACE": ""}, "SUPERVISION_NAMESPACE=''", "for example 'supervision'"),
        ({"supervision_imports": 5}, {}, "supervision_imports=5", "('plant.supervisors',)"),
        ({"supervision_imports": [b"plant"]}, {}, "supervision_imports=[b'plant']", "('plant.supervisors',)"),
        ({"supervision_imports": {"plant"}}, {}, "supervision_imports={'plant'}", "('plant.supervisors',)"),
        ({"supervision_metrics_per_child": 1}, {}, "supervision_metrics_per_child=1", "True or False"),
        ({}, {"SUPERVISION_METRICS_PER_CHILD": "on"}, "SUPERVISION_METRICS_PER_CHILD='on'", "True or False"),
        ({"supervision_log_format": "JSON"}, {}, "supervision_log_format='JSON'", "'json', 'console'"),
        ({"supervision_max_actions": 0}, {}, "supervision_max_actions=0", "from 1 to 1000000, for example 1000"),
        ({"supervision_max_actions": 10.5}, {}, "supervision_max_actions=10.5", "a whole number"),
        ({"supervision_max_actions": True}, {}, "supervision_max_actions=True", "a whole number"),
        ({}, {"SUPERVISION_MAX_ACTIONS": "many"}, "SUPERVISION_MAX_ACTIONS='many'", "a whole number"),
        ({"supervision_shutdown_timeout": 0}, {}, "supervision_shutdown_timeout=0", "above 0, 600 at most"),
        ({"supervision_shutdown_timeout": 601}, {}, "supervision_shutdown_timeout=601", "for example 5"),
        ({}, {"SUPERVISION_SHUTDOWN_TIMEOUT": "nan"}, "SUPERVISION_SHUTDOWN_TIMEOUT='nan'", "for example 5"),
    ],
)
def test_a_bad_value_is_refused_by_the_key_it_was_set_with(
    conf: dict[str, Any], environment: dict[str, str], named: str, right: str
) -> None:
    with pytest.raises(InvalidDeclaration) as refusal:
        read(conf, environment)
    assert named in str(refusal.value)
    assert right in str(refusal.value)


def test_variables_that_nothing_reads_and_what_they_may_have_been_meant_as() -> None:
    slips = {"SUPERVISION_STORE_URI": "x", "SUPERVISION_HEARTBEET": "1", "SUPERVISION_PLANT": "ours"}
    right = dict.fromkeys(("SUPERVISION_STORE_URL", "SUPERVISION_FOLDER", "SUPERVISION_DEMO_X_PORT", "PATH"), "")
    assert unknown(slips | right) == {
        "SUPERVISION_HEARTBEET": "SUPERVISION_HEARTBEAT",
        "SUPERVISION_PLANT": "",
        "SUPERVISION_STORE_URI": "SUPERVISION_STORE_URL",
    }


def test_every_variable_that_is_read_is_known() -> None:
    read_somewhere = {
        name for source in sources() for name in re.findall(r"\bSUPERVISION_[A-Z_]*[A-Z]\b", source.path.read_text())
    }
    assert len(read_somewhere) > len(OTHER_VARIABLES)
    assert unknown(dict.fromkeys(read_somewhere, "")) == {}
