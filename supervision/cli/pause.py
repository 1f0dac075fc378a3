"""``supervision pause``: leave a child or a supervisor alone for a while."""

import uuid
from datetime import UTC, datetime

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, duration_ms, request_option, say_order, who_options
from supervision.cli.exits import USAGE, Refusal
from supervision.cli.printing import moment, output_option


@click.command("pause", short_help="Leave one of them alone for a while.")
@click.argument("path")
@store_options
@output_option
@click.option("--for", "lasting", default=None, help="How long: 30s, 10m, 2h, 7d.")
@click.option("--until", default=None, help="Until when, in UTC: 2026-05-01T18:00:00Z.")
@who_options
@request_option
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context,
    path: str,
    *,
    output: str,
    lasting: str | None,
    until: str | None,
    by: str,
    reason: str,
    request_id: str | None,
) -> None:
    """Leave the child at PATH, or the supervisor with all of its children, alone; it needs an end.

    Checks and circuit go on, restarts by hand too.
    """
    if (lasting is None) == (until is None):
        raise Refusal("a pause needs one end: --for or --until", USAGE, f"supervision pause {path} --for 10m")
    request_id = request_id or uuid.uuid4().hex[:12]
    end = f"--for {lasting}" if lasting else f"--until {until}"
    with answered(path, f"supervision pause {path} {end} --request-id {request_id}"):
        ends = client(ctx).pause(
            path,
            for_s=_seconds(path, lasting) if lasting is not None else None,
            until=_moment(path, until) if until is not None else None,
            by=by,
            reason=reason,
            request_id=request_id,
        )
    say_order(path, output, f"paused until {moment(ends)}", paused_until=ends)


def _seconds(path: str, text: str) -> float:
    if (lasting := duration_ms(text)) is None:
        what = f"--for {text}: needs a number and one of s, m, h, d"
        raise Refusal(what, USAGE, f"supervision pause {path} --for 10m")
    return lasting / 1000


def _moment(path: str, text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        what = f"--until {text}: needs a moment in UTC, as 2026-05-01T18:00:00Z"
        raise Refusal(what, USAGE, f"supervision pause {path} --for 10m") from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
