"""Where secrets come from: the one place that decides.

In this order: the environment (``MICROBURST_SECRET_NAME``), the system's keyring (service ``microburst``, where the
``keyring`` library is installed), and a file of lines ``name = "value"`` that nobody else can read. Nowhere else: not
the configuration, not the command line, which every process of the machine can read.
"""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ConfigError
from engine.secret import PLACEHOLDER, Secret

VARIABLE = "MICROBURST_SECRET_"
FILE_VARIABLE = "MICROBURST_SECRETS_FILE"
SERVICE = "microburst"


def secrets_file() -> Path:
    """Return the file of secrets: the one named in the environment, or ``secrets.toml`` beside the user's settings."""
    if named := os.environ.get(FILE_VARIABLE):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming") / "microburst" / "secrets.toml"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "microburst" / "secrets.toml"


def find_secret(name: str) -> Secret:
    """Return the secret of this name.

    Raises:
        ConfigError: there is none, or its file cannot be used.
    """
    value = os.environ.get(f"{VARIABLE}{name.upper()}") or _in_keyring(name) or _in_file().get(name)
    if not value:
        raise ConfigError(
            f"there is no secret '{name}'",
            where="secrets",
            fix=f'set {VARIABLE}{name.upper()}, or write {name} = "..." into {secrets_file()} (mode 0600)',
        )
    return Secret(value)


def secrets_in(text: str) -> dict[str, Secret]:
    """Return the secrets that a setting names, by name.

    Raises:
        ConfigError: one of them is not there.
    """
    return {name: find_secret(name) for name in PLACEHOLDER.findall(text)}


def known_secrets() -> list[Secret]:
    """Return every secret that can be listed, from environment and file: what must not be found in what is sent away.

    Raises:
        ConfigError: the file cannot be used.
    """
    named = [value for name, value in os.environ.items() if name.upper().startswith(VARIABLE) and value]
    return [Secret(value) for value in (*named, *_in_file().values())]


def _in_keyring(name: str) -> str | None:
    try:
        import keyring
    except ImportError:
        return None
    try:
        value: str | None = keyring.get_password(SERVICE, name)
    except Exception:  # each system's keyring has errors of its own; none of them is a reason not to look further
        return None
    return value


def _in_file() -> Mapping[str, str]:
    path = secrets_file()
    try:
        facts = path.stat()
        if hasattr(os, "getuid"):
            if facts.st_uid != os.getuid():
                raise ConfigError("the file of secrets belongs to another user", where=str(path))
            if stat.S_IMODE(facts.st_mode) & 0o077:
                what = f"other users can read the file of secrets (mode {stat.S_IMODE(facts.st_mode):04o})"
                raise ConfigError(what, where=str(path), fix=f"chmod 600 {path}")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read the file of secrets: {error.strerror}", where=str(path)) from None
    except ValueError:  # what is wrong with it is not said: the sentence would quote the line
        raise ConfigError("the file of secrets is not valid TOML", where=str(path)) from None
    if not all(isinstance(value, str) for value in table.values()):
        raise ConfigError("a secret is not a text", where=str(path), fix='write each as name = "value"')
    return table
