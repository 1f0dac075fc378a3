"""``supervision silence``: call nobody about a supervisor for a while."""

import uuid

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, end, end_options, request_option, say_order, who_options
from supervision.cli.exits import USAGE, Refusal
from supervision.cli.printing import moment, output_option


@click.command("silence", short_help="Call nobody about a supervisor for a while.")
@click.argument("path")
@store_options
@output_option
@end_options
@click.option("--end", "over", is_flag=True, help="Call people again.")
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
    over: bool,
    by: str,
    reason: str,
    request_id: str | None,
) -> None:
    """Call nobody when the supervisor at PATH escalates; it needs an end, and stops nothing else."""
    again = f"supervision silence {path}"
    if over:
        if lasting or until:
            raise Refusal("--end ends a silence, and takes no other end", USAGE, f"{again} --end")
        with answered(path, f"{again} --end"):
            was_silenced = client(ctx).end_silence(path, by=by, reason=reason)
        say_order(path, output, "no longer silenced" if was_silenced else "was not silenced", silenced_until=0)
        return
    ending = end(again, lasting, until, client(ctx).now)
    request_id = request_id or uuid.uuid4().hex[:12]
    given = f"--for {lasting}" if lasting else f"--until {until}"
    with answered(path, f"{again} {given} --request-id {request_id}"):
        ends = client(ctx).silence(path, **ending._asdict(), by=by, reason=reason, request_id=request_id)
    say_order(path, output, f"silenced until {moment(ends)}", silenced_until=ends)
