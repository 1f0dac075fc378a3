"""Settings: lower-case ``supervision_*`` keys of the Celery configuration, overridden by ``SUPERVISION_*`` variables.

Read once, validated, frozen; every value knows where it came from. Broker and result backend are Celery's own settings
and stay there.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from supervision import sentinels
from supervision.coordination.liveness import CRITICAL_S, DEAD_S, HEARTBEAT_S, WARNING_S, Patience
from supervision.errors import InvalidDeclaration
from supervision.hooks import HOOKS
from supervision.model import MAX_COUNT

PREFIX = "SUPERVISION_"
"""How each variable begins that is ours."""

OTHER_VARIABLES = (
    "SUPERVISION_BROKER_URL",
    "SUPERVISION_RESULT_URL",
    "SUPERVISION_SENTINEL_MASTER",
    "SUPERVISION_FOLDER",
    "SUPERVISION_REDIS_SERVER",
    "SUPERVISION_EXPORTER_ADDRESS",
    "SUPERVISION_EXPORTER_PORT",
)
"""No fields of `Settings`: celeryconfig, the process kind, the embedded store and the exporter read them."""

DEFAULT_STORE_URL = "redis://127.0.0.1:6379/0"

LOG_FORMATS = ("json", "console")
"""For machines, which is the default, and for people."""

DEFAULT_MAX_ACTIONS = 1000
"""Actions in flight in one namespace at which ticks give no new ones: some minutes of work for a few workers."""

DEFAULT_SHUTDOWN_S = 5.0
"""Seconds that a worker which is told to stop gives its running actions before it hands them back."""

MAX_SHUTDOWN_S = 600.0
"""Whoever stops a worker does not wait longer than ten minutes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What this library is configured with; ``origin`` tells, per field, where the value came from."""

    store_url: str
    namespace: str
    imports: tuple[str, ...]
    metrics_per_child: bool
    log_format: str
    max_actions: int
    shutdown_timeout: float
    heartbeat: float
    heartbeat_warning: float
    heartbeat_critical: float
    heartbeat_dead: float
    hooks: Mapping[str, Mapping[str, Any]]
    origin: Mapping[str, str]

    @property
    def patience(self) -> Patience:
        """The four of liveness together; raises `InvalidDeclaration` where they contradict each other."""
        return Patience(self.heartbeat, self.heartbeat_warning, self.heartbeat_critical, self.heartbeat_dead)


def read(
    conf: Mapping[str, Any], environ: Mapping[str, str] = os.environ, *, conf_name: str = "celeryconfig"
) -> Settings:
    """The settings in ``conf``, called ``conf_name`` where it is an origin, and ``environ``; the environment wins.

    Raises `InvalidDeclaration`.
    """
    found = {field: _found(field, conf, environ, conf_name) for field in _FIELDS}
    values = {field: _FIELDS[field][0](key, value) for field, (key, value, _) in found.items()}
    configured = Settings(**values, origin={field: origin for field, (_, _, origin) in found.items()})
    _ = configured.patience  # refuses what contradicts itself now, not when the first one falls silent
    return configured


def value(field: str, conf: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Any:
    """One field of `Settings` alone, for those who need it before all others can be read."""
    key, found, _ = _found(field, conf, environ, "")
    return _FIELDS[field][0](key, found)


def _found(field: str, conf: Mapping[str, Any], environ: Mapping[str, str], conf_name: str) -> tuple[str, object, str]:
    """The key to name in a refusal, the raw value, and where it came from."""
    variable, setting = f"{PREFIX}{field.upper()}", f"supervision_{field}"
    if variable in environ:
        return variable, environ[variable], f"environment {variable}"
    if conf.get(setting) is not None:
        return setting, conf[setting], f"{conf_name} {setting}"
    return setting, _FIELDS[field][1], "default"


def unknown(environ: Mapping[str, str]) -> dict[str, str]:
    """The ``SUPERVISION_*`` variables that nothing here reads, and which one each may have been meant as, or ''."""
    known = {f"{PREFIX}{field.upper()}" for field in _FIELDS} | {*OTHER_VARIABLES}
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return {
        name: next(iter(get_close_matches(name, known, n=1, cutoff=0.8)), "")
        for name in names
        if not name.startswith(f"{PREFIX}DEMO_")
    }


def for_celery(url: str) -> str:
    """``url`` as Celery spells it: ``unix://``, which only redis-py knows, and what ``rediss://`` has to say.

    Celery refuses ``rediss://`` without ``ssl_cert_reqs``; redis-py demands a certificate by default, and so do we.
    Of ``sentinel://`` it is told the master's name beside the address; see `supervision.sentinels`.
    """
    if url.startswith(sentinels.SCHEME):
        return sentinels.Sentinels.read(url).for_celery()
    parts = urlsplit(url)
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in dict(parse_qsl(parts.query)):
        return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required"
    if parts.scheme != "unix":
        return url
    query = urlencode([("virtual_host" if key == "db" else key, value) for key, value in parse_qsl(parts.query)])
    # Not urlunsplit: for an empty host it writes the two slashes for schemes that it knows only.
    return f"redis+socket://{parts.netloc}{parts.path}{'?' if query else ''}{query}"


def masked(url: str) -> str:
    """``url`` for a message: whatever stands before an @ may hold a password, in a text that is no URL too."""
    scheme = url.split("://", maxsplit=1)[0] + "://" if "://" in url else ""
    return f"{scheme}***@{url.rsplit('@', 1)[1]}" if "@" in url else url


def _text(key: str, value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise InvalidDeclaration(f"{key}={value!r}: needs a text that is not empty, for example 'supervision'")


def _url(key: str, value: object) -> str:
    text = _text(key, value)
    if "://" not in text:
        raise InvalidDeclaration(f"{key}={masked(text)!r}: needs a URL, for example {DEFAULT_STORE_URL}")
    return text


def _modules(key: str, value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return tuple(name.strip() for name in names if name.strip())
    raise InvalidDeclaration(f"{key}={value!r}: needs module names, for example ('plant.supervisors',)")


def _hooks(key: str, value: object) -> Mapping[str, Mapping[str, Any]]:
    """Which task each hook calls; in the environment ``hook=task,hook=task``, or all of it as JSON."""
    try:
        found = {name.strip(): _signature(said) for name, said in dict(_by_hook(value)).items()}
    except (AttributeError, TypeError, ValueError, msgspec.MsgspecError):
        found = {"": {}}
    if set(found) <= set(HOOKS):
        return found
    raise InvalidDeclaration(
        f"{key}={value!r}: needs by hook a task's name, or the signature of one task that JSON can hold, for example "
        f"{{'coordinator_died': 'myapp.tasks.page'}} or {{'escalated': page.s('oncall').set(queue='ops')}}; hooks are "
        f"{', '.join(HOOKS)}"
    )


def _by_hook(value: object) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return msgspec.json.decode(value)
    return [pair.split("=", 1) for pair in value.split(",") if pair.strip()]


def _signature(said: Any) -> Mapping[str, Any]:
    """``said`` as a plain mapping of what is set of it; ValueError where it is no task, or several."""
    if isinstance(said, str):
        said = {"task": said.strip()}
    plain = msgspec.json.decode(msgspec.json.encode({name: said[name] for name in said}))
    if not isinstance(plain.get("task"), str) or not plain["task"] or plain.get("subtask_type"):
        raise ValueError(said)
    kinds = {"args": list, "kwargs": dict, "options": dict, "immutable": bool}
    if not all(isinstance(plain[name], kind) for name, kind in kinds.items() if name in plain):
        raise ValueError(said)
    return {name: plain[name] for name in ("task", *kinds) if plain.get(name)}


def _switch(key: str, value: object) -> bool:
    found = _SWITCHES.get(value.strip().lower()) if isinstance(value, str) else value
    if isinstance(found, bool):
        return found
    raise InvalidDeclaration(f"{key}={value!r}: needs True or False (in the environment also 1 or 0)")


def _log_format(key: str, value: object) -> str:
    if value in LOG_FORMATS:
        return str(value)
    raise InvalidDeclaration(f"{key}={value!r}: needs one of {', '.join(map(repr, LOG_FORMATS))}")


def _count(key: str, value: object) -> int:
    found = _number(value, int)
    if isinstance(found, int) and 1 <= found <= MAX_COUNT:
        return found
    raise InvalidDeclaration(f"{key}={value!r}: needs a whole number from 1 to {MAX_COUNT}, for example 1000")


def _seconds(key: str, value: object) -> float:
    found = _number(value, float)
    if found is not None and 0 < found <= MAX_SHUTDOWN_S:
        return found
    raise InvalidDeclaration(
        f"{key}={value!r}: needs a number of seconds above 0, {MAX_SHUTDOWN_S:g} at most, for example 5"
    )


def _number(value: object, kind: type[int] | type[float]) -> int | float | None:
    """``value`` as a number: an environment has texts only; None when it is none, and a switch is none."""
    if isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

_FIELDS: Mapping[str, tuple[Callable[[str, object], Any], object]] = {
    "store_url": (_url, DEFAULT_STORE_URL),
    "namespace": (_text, "supervision"),
    "imports": (_modules, ()),
    "metrics_per_child": (_switch, False),
    "log_format": (_log_format, LOG_FORMATS[0]),
    "max_actions": (_count, DEFAULT_MAX_ACTIONS),
    "shutdown_timeout": (_seconds, DEFAULT_SHUTDOWN_S),
    "heartbeat": (_seconds, HEARTBEAT_S),
    "heartbeat_warning": (_seconds, WARNING_S),
    "heartbeat_critical": (_seconds, CRITICAL_S),
    "heartbeat_dead": (_seconds, DEAD_S),
    "hooks": (_hooks, {}),
}
