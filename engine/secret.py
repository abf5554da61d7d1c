"""Values that are never shown: tokens, keys and passwords as a type of their own, and text without them.

A ``Secret`` prints as ``***`` wherever something prints it: in text, formats, tracebacks, logs and JSON that writes
what it does not know as text. Who needs the value asks for it by name, ``reveal()``, where it leaves the process.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import NoReturn

HIDDEN = "***"

WORDS = ("secret", "password", "passphrase", "token", "key", "signature", "credential")
"""What is named like one of these is taken for a secret."""

SHORTEST = 6
"""Values below this are not looked for in text: they would be found in half of all words."""

_values: dict[str, None] = {}  # of all secrets of this process, so that text can be freed of them


class Secret:
    """One value that is never shown. Equal ones are equal, in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= SHORTEST:
            _values[value] = None

    def reveal(self) -> str:
        """Return the value; never keep it, print it or put it into an error."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied into anything that is stored")


NO_SECRET = Secret("")

PLACEHOLDER = re.compile(r"\{secret:(\w+)\}")
"""How a setting names a secret in place of its value, such as ``wss://venue.example/stream?key={secret:venue_key}``."""


def filled(text: str, secrets: Mapping[str, Secret]) -> str:
    """Return a text with the values of the secrets that it names: for the moment at which it is used."""
    return PLACEHOLDER.sub(lambda found: secrets[found[1]].reveal(), text)


_NAME = rf"[\w.-]*(?:{'|'.join(WORDS)})[\w.-]*"
_USER_INFO = re.compile(r"(\w+://)[^/\s\"'@]*@")
_QUERY = re.compile(r"([?&][^=&\s\"']+=)(?!\{secret:)[^&\s\"'\\]+")
_PAIR = re.compile(
    rf"""((?<![{{\w.-]){_NAME}["']?\s*[=:]\s*["']?)(?!\*\*\*|\{{secret:)[^\s"',;&}}\\]+""", re.IGNORECASE
)


def sounds_secret(name: str) -> bool:
    """Whether something of this name is taken for a secret."""
    return any(word in name.lower() for word in WORDS)


def masked(text: str) -> str:
    """Return a text without the values of this process's secrets, whoever wrote them into it."""
    for value in sorted(_values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def redacted(text: str) -> str:
    """Return a text without what looks like a secret, too: users of addresses, their queries, ``password=...``."""
    text = _USER_INFO.sub(rf"\1{HIDDEN}@", masked(text))
    return _PAIR.sub(rf"\1{HIDDEN}", _QUERY.sub(rf"\1{HIDDEN}", text))
