"""``supervision pause``: leave a child or a supervisor alone for a while."""

import uuid

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, end, end_options, request_option, say_order, who_options
from supervision.cli.printing import moment, output_option


@click.command("pause", short_help="Leave one of them alone for a while.")
@click.argument("path")
@store_options
@output_option
@end_options
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
    ending = end(f"supervision pause {path}", lasting, until, client(ctx).now)
    request_id = request_id or uuid.uuid4().hex[:12]
    given = f"--for {lasting}" if lasting else f"--until {until}"
    with answered(path, f"supervision pause {path} {given} --request-id {request_id}"):
        ends = client(ctx).pause(path, **ending._asdict(), by=by, reason=reason, request_id=request_id)
    say_order(path, output, f"paused until {moment(ends)}", paused_until=ends)
