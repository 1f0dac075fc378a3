"""Secrets do not leave: passwords in addresses are replaced wherever they would be printed.

By shape, in whatever we print; and by value, for addresses that were given to us: a mistyped one may have no shape.
"""

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

_STORES = r"rediss?|valkeys?|unix|sentinel|redis\+socket|amqps?"

_SHAPES: Final = (
    # The password of one of our servers may hold an unescaped slash; elsewhere a slash begins the path.
    (re.compile(rf"\b((?:{_STORES})://[^\s:/@\"']*:)[^\s\"']+(?=@)"), rf"\g<1>{MASK}"),
    (re.compile(r"(://[^\s:/@\"']*:)[^\s/\"']+(?=@)"), rf"\g<1>{MASK}"),
    (re.compile(r"([?&;](?:\w*password|passwd|secret|token)=)[^\s&;\"']+", re.IGNORECASE), rf"\g<1>{MASK}"),
)

_SHORTEST: Final = 8
"""A password that is shorter may be a word of everyday use: it is masked only where it stands between : and @."""

_known: dict[str, str] = {}


def remember(address: object) -> None:
    """From now on mask the password in ``address``, too, wherever it appears by itself."""
    if not isinstance(address, str) or "@" not in address:
        return
    _, _, rest = address.rpartition("://")
    _, _, password = rest.rpartition("@")[0].partition(":")
    for secret in filter(None, (password, unquote(password))):
        _known[f":{secret}@"] = f":{MASK}@"
        if len(secret) >= _SHORTEST:
            _known[secret] = MASK


def masked(text: str) -> str:
    """``text`` without secrets."""
    for secret, replacement in _known.items():
        text = text.replace(secret, replacement)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text
