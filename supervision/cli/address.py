"""Where the store is: ``--store``, or ``SUPERVISION_STORE_URL``, or a demo that runs here, or the Celery configuration.

A second terminal in the folder of a running demo, or below it, needs no settings. Only a folder that belongs to this
user and is closed to others is believed: anybody can put an address into /tmp.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from supervision import settings
from supervision.cli.masking import masked, remember
from supervision.errors import InvalidDeclaration, StoreUnavailable

if TYPE_CHECKING:
    from supervision.client import Client

DEFAULT_NAMESPACE: Final = "supervision"
"""What a demo uses."""

DEMO_STORE: Final = Path(".supervision") / "store"
"""Below the folder in which ``supervision demo`` was started."""

FROM_DEMO: Final = "demo running here"
"""What is said of an address that a demo's folder told."""

VARIABLE: Final = "SUPERVISION_STORE_URL"

_GIVEN: Final = "supervision.given"
_FOUND: Final = "supervision.found"
_Command = TypeVar("_Command", bound=Callable[..., Any])


class Address(NamedTuple):
    """A store, a namespace in it, where each of them was found, and all that is configured."""

    url: str
    namespace: str
    url_origin: str
    namespace_origin: str
    configured: settings.Settings

    @property
    def assumed(self) -> bool:
        """Whether nobody has said where the store is, in which case it is taken to be on this machine."""
        said = self.url_origin in {"--store", f"environment {VARIABLE}", FROM_DEMO}
        return not said and self.url == settings.DEFAULT_STORE_URL

    def __str__(self) -> str:
        origin = f"the default, as nothing names one: set {VARIABLE}" if self.assumed else self.url_origin
        return f"{masked(self.url)} ({origin})"


def store_options(command: _Command) -> _Command:
    """``--store`` and ``--namespace``, before or after the name of the command."""
    for option, text in (
        ("--namespace", "First part of every key, as the workers have it."),
        ("--store", "Address of the store; visible to others in `ps`, so prefer SUPERVISION_STORE_URL."),
    ):
        command = click.option(option, expose_value=False, callback=_given, help=text)(command)
    return command


def _given(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        remember(value)
        ctx.meta.setdefault(_GIVEN, {})[param.name] = value


def client(ctx: click.Context) -> "Client":
    """A client for the store that `address` finds; it is closed when the command ends."""
    from supervision.client import Client  # noqa: PLC0415 # loads redis, which half of the commands do not need

    found = address(ctx)
    return ctx.with_resource(Client(found.url, namespace=found.namespace))


def address(ctx: click.Context) -> Address:
    """Where the store is; looked for once per call of the program."""
    if _FOUND not in ctx.meta:
        ctx.meta[_FOUND] = _found(ctx)
    found: Address = ctx.meta[_FOUND]
    return found


def sought(ctx: click.Context) -> str:
    """Where the store was looked for, without secrets; empty when that was not asked yet."""
    found: Address | None = ctx.meta.get(_FOUND)
    return f"it was looked for at {found}" if found else ""


def _found(ctx: click.Context) -> Address:
    given: Mapping[str, str] = ctx.meta.get(_GIVEN, {})
    store, origin = given.get("store"), "--store"
    if store is None and VARIABLE not in os.environ:
        store, origin = demo_url(Path.cwd()), FROM_DEMO
    if store is not None:
        # For the Celery configuration, too, which is read below: it makes broker and results of this address.
        os.environ[VARIABLE] = store
    try:
        read = settings.read(configuration(ctx), conf_name=conf_name(ctx))
    except InvalidDeclaration as error:
        if "store" in given and str(error).startswith(VARIABLE):  # which has it from there, see above
            raise InvalidDeclaration(str(error).replace(VARIABLE, "--store", 1)) from error
        raise
    remember(read.store_url)
    # A demo's processes ignore what their surroundings say about the namespace.
    default = (DEFAULT_NAMESPACE, origin) if origin == FROM_DEMO and store else None
    namespace, namespace_origin = default or (read.namespace, read.origin["namespace"])
    return Address(
        url=read.store_url,
        namespace=given.get("namespace", namespace),
        url_origin=origin if store is not None else read.origin["store_url"],
        configured=read,
        namespace_origin="--namespace" if "namespace" in given else namespace_origin,
    )


def configuration(ctx: click.Context) -> Mapping[str, Any]:
    """The Celery configuration: of the app that ``celery -A`` has loaded, else of the module ``celeryconfig``."""
    remember(os.environ.get(VARIABLE))
    if loaded := app(ctx):
        conf: Mapping[str, Any] = loaded.conf
        return conf
    try:
        with searched_here():
            return vars(import_module("celeryconfig"))
    except ModuleNotFoundError as error:
        if error.name != "celeryconfig":
            raise InvalidDeclaration(f"celeryconfig cannot be loaded: {error}") from error
        return {}
    except InvalidDeclaration:
        raise
    except Exception as error:  # the user's code may raise anything
        raise InvalidDeclaration(f"celeryconfig cannot be loaded: {type(error).__name__}: {error}") from error


def conf_name(ctx: click.Context) -> str:
    """What `configuration` is called where it is an origin: `celery -A` has loaded an app, from wherever it has it."""
    loaded = app(ctx)
    return f"app {loaded.main or 'of celery -A'}" if loaded else "celeryconfig"


@contextmanager
def searched_here() -> Iterator[None]:
    """Modules of this folder come first inside, as for `celery -A`; not longer, or a file here could hide a package."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def app(ctx: click.Context) -> Any:
    """The Celery app when we are its plugin, else None."""
    return getattr(ctx.find_root().obj, "app", None)


def demo_url(folder: Path) -> str | None:
    """The address of the embedded store that runs in ``folder`` or above; None when none does."""
    from supervision.client import Client  # noqa: PLC0415 # as in `client`
    from supervision.server import saved_url  # noqa: PLC0415 # as above

    for place in (folder, *folder.parents):
        url = saved_url(place / DEMO_STORE) if _private(place / DEMO_STORE) else None
        if url is None:
            continue
        remember(url)
        try:
            with Client(url, namespace=DEFAULT_NAMESPACE) as running:
                running.now()
        except StoreUnavailable:
            continue
        return url
    return None


def _private(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077
