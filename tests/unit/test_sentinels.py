"""Addresses of sentinels: as Celery spells them, and with the master's name."""

import pytest

from supervision.errors import InvalidDeclaration
from supervision.sentinels import MASTER_VARIABLE, Sentinels, transport_options
from supervision.settings import for_celery

A, B = ("a", 26379), ("b", 26380)


@pytest.fixture(autouse=True)
def _nobody_names_a_master(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MASTER_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("url", "hosts", "master", "database", "for_celery_"),
    [
        ("sentinel://a", (A,), "mymaster", 0, "sentinel://a:26379/0"),
        ("sentinel://a:26379;b:26380/0?master=truth", (A, B), "truth", 0, "sentinel://a:26379/0;sentinel://b:26380/0"),
        ("sentinel://a/3;sentinel://b:26380/3", (A, B), "mymaster", 3, "sentinel://a:26379/3;sentinel://b:26380/3"),
        ("sentinel://a;sentinel://b:26380/3;", (A, B), "mymaster", 3, "sentinel://a:26379/3;sentinel://b:26380/3"),
        ("sentinel://a?db=2", (A,), "mymaster", 2, "sentinel://a:26379/2"),
        ("sentinel://u:p%40@a", (A,), "mymaster", 0, "sentinel://u:p%40@a:26379/0"),
        ("sentinel://[::1]:1/0", (("::1", 1),), "mymaster", 0, "sentinel://[::1]:1/0"),
    ],
)
def test_one_address_is_read_by_us_and_by_celery(
    url: str, hosts: tuple[tuple[str, int], ...], master: str, database: int, for_celery_: str
) -> None:
    found = Sentinels.read(url)
    assert (found.hosts, found.master, found.database) == (hosts, master, database)
    assert for_celery(url) == for_celery_
    assert for_celery(for_celery_) == for_celery_
    assert transport_options(url)["master_name"] == master


def test_an_address_that_names_no_master_means_the_one_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASTER_VARIABLE, "other")
    assert Sentinels.read("sentinel://a").master == "other"
    assert Sentinels.read("sentinel://a?master=truth").master == "truth"


def test_the_servers_are_logged_in_at_as_any_host_says_and_the_sentinels_as_the_options_say() -> None:
    url = "sentinel://a;sentinel://u:p%2F@b/1?sentinel_username=s&sentinel_password=%23"
    assert Sentinels.read(url).servers == {"username": "u", "password": "p/", "db": 1}
    asked = transport_options(url)["sentinel_kwargs"]
    assert (asked["username"], asked["password"], asked["retry"]) == ("s", "#", None)
    assert Sentinels.read("sentinel://:p@a").servers == {"username": None, "password": "p", "db": 0}


@pytest.mark.parametrize(
    "url",
    [
        *("sentinel://", "sentinel://;", "sentinel://:secret@", "sentinel://a:secret", "sentinel://a/secret"),
        *("sentinel://a?secret", "sentinel://a?secret=1", "sentinel://a?db=secret", "sentinel://:secret?@a:1/0"),
    ],
)
def test_what_cannot_be_read_is_refused_without_what_may_be_secret(url: str) -> None:
    with pytest.raises(InvalidDeclaration, match=r"sentinel://host:26379.*master=") as refused:
        Sentinels.read(url)
    assert "secret" not in str(refused.value)


def test_other_addresses_have_nothing_to_say_beside_them() -> None:
    assert transport_options("redis://a?master=b") == {}
