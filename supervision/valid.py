"""What a user's code and texts must be to be declared; each refusal says what, the value, and what would be right."""

import inspect
from collections.abc import Callable, Collection, Mapping

from supervision.errors import InvalidDeclaration
from supervision.model import shown


def valid_method(what: str, code: Callable[..., object], argument: str) -> None:
    """Refuse ``code`` that cannot be called as ``method(self, argument)``, or that would have to be awaited."""
    if inspect.iscoroutinefunction(code):
        raise InvalidDeclaration(f"{what} {code.__qualname__}: is async def; only observe() may be, so write def")
    try:
        inspect.signature(code).bind(None, None)
    except TypeError:
        took = f"{code.__qualname__}{inspect.signature(code)}"
        raise InvalidDeclaration(f"{what} {took}: is called as (self, {argument}), so it needs these two") from None


def valid_help(runbook_url: object, manual_steps: object, what: str) -> None:
    """Refuse with `InvalidDeclaration` what people could not read when they are called for help."""
    if not isinstance(runbook_url, str):
        raise InvalidDeclaration(f"{what}: runbook_url={shown(runbook_url)}: needs a text, for example 'https://...'")
    if not isinstance(manual_steps, (list, tuple)) or not all(isinstance(each, str) for each in manual_steps):
        raise InvalidDeclaration(
            f"{what}: manual_steps={shown(manual_steps)}: needs a list of texts, for example ('check the cable',)"
        )


def valid_keywords(given: Mapping[str, object], known: Collection[str], what: str) -> None:
    """Refuse with `InvalidDeclaration` keywords that nobody would read, and a switch that is neither on nor off."""
    for name in given:
        if name not in known:
            raise InvalidDeclaration(f"{what}: no argument {name!r}; there is {', '.join(known)}")
    if not isinstance(given.get("enabled", True), bool):
        raise InvalidDeclaration(f"{what}: enabled={shown(given['enabled'])}: needs True or False")
