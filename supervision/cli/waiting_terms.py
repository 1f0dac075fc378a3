"""What the commands about signals and waits share: payloads as JSON, and what to try next when one is refused."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from supervision.cli.exits import CONDITION_FAILED, NOT_FOUND, UNREACHABLE, USAGE, Refusal
from supervision.errors import InvalidDocument, InvalidWait, NotFound, SignalAlreadySent, StoreUnavailable

LONGEST_SHOWN: Final = 80
"""Characters of what was given that a refusal quotes."""


def payload(text: str, command: str) -> Any:
    """What ``text`` says as JSON, - for the standard input; ``command`` is shown with one that would do."""
    text = sys.stdin.read() if text == "-" else text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        plain = text.replace(" ", "").isalnum() and len(text) <= LONGEST_SHOWN  # which is JSON in quotes
        example = f'"{text}"' if plain else '{"ok": true}'
        said = f"{text[:LONGEST_SHOWN]!r} is not JSON: {error}"
        raise Refusal(said, USAGE, f"{command} '{example}'") from error


@contextmanager
def known() -> Iterator[None]:
    """Whoever asks about a wait that is not there is told which there are."""
    try:
        yield
    except NotFound as error:
        raise Refusal(str(error), NOT_FOUND, "supervision waits") from error


@contextmanager
def ended(wait: str, again: str) -> Iterator[None]:
    """What can become of an order about ``wait``; ``again`` gives it once more, which does it once."""
    try:
        yield
    except NotFound as error:
        over = "has ended" in str(error) or "is no dead letter" in str(error)
        other = "supervision dead-letters" if "dead letter" in str(error) else "supervision waits"
        next_command = f"supervision explain '{wait}'" if over else other
        raise Refusal(str(error), CONDITION_FAILED if over else NOT_FOUND, next_command) from error
    except (InvalidWait, InvalidDocument) as error:
        raise Refusal(str(error), USAGE, f"supervision explain '{wait}'") from error
    except StoreUnavailable as error:
        raise Refusal(f"{error}; it may have been done or not", UNREACHABLE, again) from error


@contextmanager
def sent(signal: str, again: str) -> Iterator[None]:
    """What can become of a signal; ``again`` sends the same one, which happens once."""
    try:
        yield
    except SignalAlreadySent as error:
        raise Refusal(str(error), CONDITION_FAILED, f"supervision receipts {signal}") from error
    except StoreUnavailable as error:
        raise Refusal(f"{error}; it may have been sent or not", UNREACHABLE, again) from error
