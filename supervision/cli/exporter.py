"""``supervision exporter``: everything that is counted, for Prometheus."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import click

from supervision import settings
from supervision.cli.address import address as store_address
from supervision.cli.address import client, configuration
from supervision.cli.exits import CONDITION_FAILED, Refusal
from supervision.errors import Conflict
from supervision.sentinels import SCHEME, Sentinels

PORT: Final = 9478
"""TCP; needs no special rights."""

LOOPBACK: Final = "127.0.0.1"
"""Nothing of ours listens beyond this machine unless told to."""


@click.command("exporter", short_help="Serve metrics for Prometheus.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    envvar="SUPERVISION_EXPORTER_PORT",
    show_default=True,
    show_envvar=True,
    help="0: any that is free.",
)
@click.option(
    "--address",
    default=LOOPBACK,
    envvar="SUPERVISION_EXPORTER_ADDRESS",
    show_default=True,
    show_envvar=True,
    help="Where to listen; 0.0.0.0 is everywhere.",
)
@click.pass_context
def command(ctx: click.Context, port: int, address: str) -> None:
    """Serve /metrics, /healthz and /readyz until SIGTERM.

    It counts nothing itself: any number of exporters show the same, and a restart loses nothing.
    """
    from supervision.telemetry import logs  # noqa: PLC0415 # loads structlog, which half of the commands do not need
    from supervision.telemetry.exporter import application, export  # noqa: PLC0415 # loads redis and an HTTP server

    client(ctx)  # refuses an address that is none; nothing is asked of the store, which may come later
    found, conf = store_address(ctx), configuration(ctx)
    logs.to_stderr(found.configured.log_format)
    app = application(
        found.url,
        found.namespace,
        per_child=settings.read(conf).metrics_per_child,
        with_queues=broker_is_store(conf, found.url),
    )
    try:
        export(app, address, port, say=click.echo)
    except Conflict as error:
        raise Refusal(str(error), CONDITION_FAILED, f"supervision exporter --port {port + 1}") from error


def broker_is_store(conf: Mapping[str, Any], url: str) -> bool:
    """Whether the queues stand in the store at ``url``: the same server and the same database of it."""
    try:
        return _place(str(conf.get("broker_url"))) == _place(url)
    except ValueError:  # an address that only its own driver can read
        return False


def _place(url: str) -> tuple[str, str]:
    """What tells one database from another, in redis-py's spelling and in Celery's."""
    if url.startswith(SCHEME):
        watched = Sentinels.read(url)
        return ",".join(sorted(f"{host}:{port}" for host, port in watched.hosts)), str(watched.database)
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix", "redis+socket"}:
        raise ValueError(url)
    query = parse_qs(parts.query)
    database = (query.get("db") or query.get("virtual_host") or [""])[0]
    if parts.scheme in {"unix", "redis+socket"}:
        return parts.path, database or "0"
    return f"{parts.hostname}:{parts.port or 6379}", database or parts.path.strip("/") or "0"
