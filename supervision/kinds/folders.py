"""Where the processes of one system are kept on this machine.

Two systems of one user (a trial beside the real one) share neither store nor processes, so each has a folder of its
own: with a shared one, the second would adopt, restart and stop the processes of the first.
"""

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from supervision import settings
from supervision.errors import InvalidDeclaration
from supervision.kinds.files import file_name

ID_LENGTH = 12
"""Hexadecimal digits of a store's id; enough to tell apart all the stores that one machine will ever talk to."""

_OWN_HOST = frozenset({"", "localhost", "::1", "127.0.0.1"})


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``$SUPERVISION_FOLDER/processes``, or when that is not set ``<state>/supervision/<namespace>-<id>/processes``.

    ``<state>`` is the user's state folder (``$XDG_STATE_HOME``, else ``~/.local/state``); ``<namespace>`` is
    ``$SUPERVISION_NAMESPACE``; ``<id>`` derives from host, port and database of ``$SUPERVISION_STORE_URL``, with their
    defaults, and never from its user or password. An address that is set elsewhere, in a Celery configuration, is not
    known here, and neither is that two addresses lead to one store: set ``SUPERVISION_FOLDER`` then.

    Raises:
        InvalidDeclaration: `SUPERVISION_STORE_URL` or `SUPERVISION_NAMESPACE` cannot be used.
    """
    if own := environ.get("SUPERVISION_FOLDER"):
        return Path(own).expanduser() / "processes"
    state_home = Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    named = ("SUPERVISION_STORE_URL", "SUPERVISION_NAMESPACE")
    found = settings.read({}, {name: environ[name] for name in named if environ.get(name)})
    return state_home / "supervision" / f"{file_name(found.namespace)}-{store_id(found.store_url)}" / "processes"


def store_id(url: str) -> str:
    """A short id of the store at ``url``: the same for every way to write its host, port and database."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 6379
    except ValueError:  # its own message quotes what it could not read, which may be a part of the password
        raise InvalidDeclaration(
            f"SUPERVISION_STORE_URL={settings.masked(url)!r}: cannot be read as an address; "
            f"needs a URL, for example {settings.DEFAULT_STORE_URL}"
        ) from None
    asked = parse_qs(parts.query)
    databases = asked.get("db") or asked.get("virtual_host")
    if parts.scheme in {"unix", "redis+socket"}:
        where, database = parts.path, (databases or ["0"])[0]
    else:
        where = f"{'127.0.0.1' if host in _OWN_HOST else host}:{port}"
        database = (databases or [parts.path.strip("/")])[0] or "0"
    return sha256(f"{where}/{database}".encode()).hexdigest()[:ID_LENGTH]
