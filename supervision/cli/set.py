"""``supervision set``: what a child should be."""

import sys
import uuid
from typing import Any

import click
import msgspec

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, request_option, say_order, who_options
from supervision.cli.exits import USAGE, Refusal
from supervision.cli.printing import output_option


@click.command("set", short_help="What one child should be.")
@click.argument("path")
@click.argument("document")
@store_options
@output_option
@click.option("--revision", type=click.IntRange(0), default=None, help="Only if this is still its revision.")
@who_options
@request_option
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context,
    path: str,
    document: str,
    *,
    output: str,
    revision: int | None,
    by: str,
    reason: str,
    request_id: str | None,
) -> None:
    """Set what the child at PATH should be: DOCUMENT is a JSON object, or - for the standard input.

    With --revision it is refused when somebody else has set another one since; `describe` shows it.
    """
    read = _read(path, document)
    request_id = request_id or uuid.uuid4().hex[:12]
    with answered(path, f"supervision set {path} ... --request-id {request_id}"):
        now_at = client(ctx).set_desired(path, read, revision=revision, by=by, reason=reason, request_id=request_id)
    say_order(path, output, f"desired document set, revision {now_at}", revision=now_at)


def _read(path: str, document: str) -> Any:
    text = sys.stdin.read() if document == "-" else document
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        what = f"{text[:80]!r} is not JSON: {error}"
        raise Refusal(what, USAGE, f"supervision set {path} '{{\"running\": true}}'") from error
