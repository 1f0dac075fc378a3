"""celeryconfig.py: addresses come from the environment, somebody reads every name, every line has a reason."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from celery.utils.imports import symbol_by_name

from supervision import settings
from supervision.engine import homing, steps, transport
from supervision.engine.audit import audit
from supervision.engine.requirements import REQUIREMENTS
from supervision.errors import InvalidDeclaration

FILE = Path(__file__).parents[2] / "celeryconfig.py"
VARIABLES = (
    "SUPERVISION_STORE_URL",
    "SUPERVISION_BROKER_URL",
    "SUPERVISION_RESULT_URL",
    "SUPERVISION_SENTINEL_MASTER",
    "SUPERVISION_SHUTDOWN_TIMEOUT",
)
READ_BY_CELERY_WITHOUT_A_DEFAULT = {"redis_backend_health_check_interval"}


@pytest.fixture
def hardened_conf(monkeypatch: pytest.MonkeyPatch) -> Celery:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    app = Celery("ours", set_as_current=False)
    transport.install()
    app.config_from_object("celeryconfig")
    steps.install(app)
    return app


def loaded(monkeypatch: pytest.MonkeyPatch, **environment: str) -> SimpleNamespace:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(f"SUPERVISION_{name}", value)
    return SimpleNamespace(**runpy.run_path(str(FILE)))


@pytest.mark.parametrize(
    ("store", "for_celery"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@db:6380/3", "redis://:secret@db:6380/3"),
        ("rediss://db/0?ssl_cert_reqs=required", "rediss://db/0?ssl_cert_reqs=required"),
        ("rediss://db/0", "rediss://db/0?ssl_cert_reqs=required"),
        ("rediss://db/0?ssl_ca_certs=ca.pem", "rediss://db/0?ssl_ca_certs=ca.pem&ssl_cert_reqs=required"),
        ("unix:///run/store.sock", "redis+socket:///run/store.sock"),
        ("unix:///run/store.sock?db=3", "redis+socket:///run/store.sock?virtual_host=3"),
        ("unix://:secret@/run/store.sock?db=3", "redis+socket://:secret@/run/store.sock?virtual_host=3"),
    ],
)
def test_broker_and_results_follow_the_store(monkeypatch: pytest.MonkeyPatch, store: str, for_celery: str) -> None:
    config = loaded(monkeypatch, STORE_URL=store)
    assert (config.supervision_store_url, config.broker_url, config.result_backend) == (store, for_celery, for_celery)


def test_without_an_address_everything_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch).broker_url == "redis://127.0.0.1:6379/0"


def test_broker_and_results_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(monkeypatch, BROKER_URL="amqp://rabbit", RESULT_URL="redis://results/1")
    assert config.supervision_store_url == "redis://127.0.0.1:6379/0"
    assert (config.broker_url, config.result_backend) == ("amqp://rabbit", "redis://results/1")
    assert config.broker_transport_options == {}, "the options are Redis's"


def test_sentinels_are_told_which_master(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(monkeypatch, BROKER_URL="sentinel://a:26379;sentinel://b:26379", SENTINEL_MASTER="truth")
    assert config.broker_transport_options["master_name"] == "truth"
    assert config.broker_transport_options["socket_timeout"]


def test_a_store_behind_sentinels_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(monkeypatch, STORE_URL="sentinel://a:1;b:2/3?master=truth")
    assert config.broker_url == config.result_backend == "sentinel://a:1/3;sentinel://b:2/3"
    assert config.broker_transport_options["master_name"] == "truth"
    assert config.result_backend_transport_options["master_name"] == "truth"


@pytest.mark.parametrize("store", ["", "http://somewhere", "127.0.0.1:6379"])
def test_a_store_that_is_none_is_refused_with_what_would_be_right(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    with pytest.raises(InvalidDeclaration, match=f"{re.escape(repr(store))}.*redis://"):
        loaded(monkeypatch, STORE_URL=store)


def test_every_setting_is_one_that_celery_or_we_read(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name for name in vars(loaded(monkeypatch)) if name.islower() and not name.startswith("_")}
    imported = {"os", "parse_qsl", "sentinels", "settings", "urlencode", "urlsplit"}
    ours = {name for name in names if name.startswith("supervision_")}
    assert names - imported - ours - set(DEFAULTS) - READ_BY_CELERY_WITHOUT_A_DEFAULT == set()


def test_every_setting_says_why() -> None:
    silent = [
        line for line in FILE.read_text().splitlines() if re.match(r"[a-z]\w+ = [^({]*$", line) and "  # " not in line
    ]
    assert silent == []


def test_a_soft_shutdown_ends_before_messages_become_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(monkeypatch)
    assert config.worker_soft_shutdown_timeout < config.broker_transport_options["visibility_timeout"] / 2


@pytest.mark.parametrize(("environment", "seconds"), [({}, 5), ({"SHUTDOWN_TIMEOUT": "12.5"}, 12.5)], ids=str)
def test_supervision_and_celery_wait_for_running_work_alike(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], seconds: float
) -> None:
    config = loaded(monkeypatch, **environment)
    assert config.worker_soft_shutdown_timeout == settings.read(vars(config)).shutdown_timeout == seconds


def test_the_audit_finds_two_times_for_one_shutdown(hardened_conf: Celery) -> None:
    hardened_conf.conf.worker_soft_shutdown_timeout = 20
    assert [(finding.value, finding.severity) for finding in audit(hardened_conf)] == [((20, 5.0), "warning")]
    hardened_conf.conf.supervision_shutdown_timeout = 20
    assert audit(hardened_conf) == []


def test_every_kind_of_work_has_its_own_direct_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(monkeypatch)
    assert {
        queue.name: (queue.exchange.type, queue.exchange.name, queue.routing_key) for queue in config.task_queues
    } == {
        name: ("direct", name, name)
        for name in (
            *("supervision.ticks", "supervision.sweeps", "supervision.collectors"),
            *("supervision.actions", "supervision.waits"),
        )
    }
    home, ours = config.task_routes
    assert symbol_by_name(home) is homing.route
    assert {name: route["queue"] for name, route in ours.items()} == {
        "supervision.tick": "supervision.ticks",
        "supervision.sweep": "supervision.sweeps",
        "supervision.collect": "supervision.collectors",
        "supervision.look_alone": "supervision.collectors",
        "supervision.act": "supervision.actions",
        "supervision.wait": "supervision.waits",
        "supervision.release": "supervision.waits",
        "supervision.replace": "supervision.waits",
        "supervision.mail": "supervision.waits",
        "supervision.mail_handled": "supervision.waits",
        "supervision.mail_failed": "supervision.waits",
        **dict.fromkeys(
            (f"supervision.{name}" for name in ("gather", "parts", "part", "part_failed")), "supervision.waits"
        ),
    }


def test_the_audit_of_a_stock_app_names_every_requirement_that_its_defaults_break(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REMAP_SIGTERM", raising=False)
    app = Celery("stock", broker="redis://127.0.0.1/0", set_as_current=False)
    found = {finding.name: finding for finding in audit(app)}
    assert {name for name, finding in found.items() if finding.severity == "error"} >= {
        "steps.install(app)",
        "broker_transport_options['socket_timeout']",
        "broker_connection_max_retries",
        "broker_channel_error_retry",
        "result_backend_always_retry",
    }
    assert found["task_publish_retry_policy['max_retries']"].value is None, "it waits for ever"
    assert found["broker_transport_options: unacked_restore_interval * unacked_restore_throttle"].value == 100
    assert all(finding.advice and finding.why for finding in found.values())
    assert [finding.severity for finding in audit(app)] == sorted(finding.severity for finding in audit(app))


BAD = {
    "task_acks_on_timeout": False,
    "task_always_eager": True,
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "worker_deduplicate_successful_tasks": True,
    "worker_pool": "gevent",
    "accept_content": ["json", "pickle"],
    "broker_connection_retry": False,
}


@pytest.mark.parametrize("name", BAD)
def test_the_audit_finds_a_single_bad_setting(hardened_conf: Celery, name: str) -> None:
    hardened_conf.conf[name] = BAD[name]
    assert [(finding.name, finding.value) for finding in audit(hardened_conf)] == [(name, BAD[name])]


def test_the_audit_of_our_own_settings_finds_nothing(hardened_conf: Celery) -> None:
    assert audit(hardened_conf) == []


def test_the_audit_asks_nothing_of_rabbitmq_that_only_redis_needs(hardened_conf: Celery) -> None:
    hardened_conf.conf.broker_url = "amqp://rabbit"
    hardened_conf.conf.broker_transport_options = {}
    assert audit(hardened_conf) == []


def test_no_requirement_stands_twice_in_the_table() -> None:
    names = [row.name for row in REQUIREMENTS]
    assert sorted(names) == sorted(set(names))


def test_the_audit_finds_a_prefix_of_queue_names(hardened_conf: Celery) -> None:
    options = hardened_conf.conf.broker_transport_options  # every app's of this process, so it is not changed
    hardened_conf.conf.broker_transport_options = {**options, "global_keyprefix": "mine:"}
    name = "broker_transport_options['global_keyprefix']"
    assert [(finding.name, finding.value) for finding in audit(hardened_conf)] == [(name, "mine:")]
