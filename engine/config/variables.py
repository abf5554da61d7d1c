"""Environment variables and the ``.env`` file: which names are ours, and what cannot be meant.

A variable whose name begins like one of ours and is none is a misspelt one. It is refused with the nearest valid name,
never ignored: a setting that silently does not apply is worse than none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from engine.errors import ConfigError, nearest

ENV_FILE = Path(".env")
ENV_PREFIX = "MICROBURST__"
SECRET_PREFIX = "MICROBURST_SECRET_"  # noqa: S105 - the beginning of a name
OTHER_NAMES = frozenset(
    f"MICROBURST_{name}"
    for name in ("RUNTIME_DIR", "SECRETS_FILE", "SHARED", "ONLY", "ANNOTATE", "COVERAGE", "PORTABLE_INT128", "SANITIZE")
)
"""Variables that are no settings: the runtime directory, the file of secrets, the tests' market data, and the switches
of the build."""


def check_variables(settings: Iterable[tuple[str, str]]) -> None:
    """Refuse misspelt variables in the environment and in ``.env``, and a ``.env`` that cannot be read.

    Args:
        settings: section and key of every setting.

    Raises:
        ConfigError: with the variable, or with file and line.
    """
    valid = {f"{ENV_PREFIX}{section}__{key}".upper() for section, key in settings} | OTHER_NAMES
    _check_names({name: f"environment {name}" for name in os.environ}, valid)
    _check_names(dict(_names_in_file()), valid)


def _check_names(origins: Mapping[str, str], valid: Iterable[str]) -> None:
    for name, origin in sorted(origins.items()):
        known = name.upper()
        if known.startswith(SECRET_PREFIX):
            if not origin.startswith("environment"):
                fix = "set it in the environment, or write it into the file of secrets"
                raise ConfigError("a secret is not read from this file", where=origin, fix=fix)
            continue
        if known.startswith("MICROBURST_") and not known.startswith(ENV_PREFIX) and known not in OTHER_NAMES:
            raise ConfigError(f"there is no variable {name}", where=origin, fix=nearest(known, valid))


def _names_in_file() -> Iterator[tuple[str, str]]:
    """Yield each name in ``.env`` with its ``file:line``."""
    try:
        with ENV_FILE.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text", where=str(ENV_FILE)) from None
    except OSError as error:
        raise ConfigError(f"cannot read the variables: {error.strerror}", where=str(ENV_FILE)) from None
    for line in lines:
        # A statement begins after the blank lines that the parser counts to it.
        blank = len(line.original.string) - len(line.original.string.lstrip("\r\n"))
        where = f"{ENV_FILE}:{line.original.line + line.original.string[:blank].count(chr(10))}"
        bare = line.key is not None and line.key.upper().startswith(ENV_PREFIX) and line.value is None
        if line.error or bare:
            raise ConfigError("not a line of the form NAME=value", where=where, fix="correct the line or remove it")
        if line.key is not None:
            yield line.key, where
