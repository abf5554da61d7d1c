"""``microburst bug-report``: one archive with what somebody needs who was not there."""

from __future__ import annotations

import os
import platform
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from engine.commands.shared import ConfigFlag, ForceFlag, JsonFlag, check_new, load_config, write_json
from engine.errors import ConfigError, DataError, UserError
from engine.quantities import parse_duration_ns
from engine.secret import HIDDEN, Secret, masked, redacted, sounds_secret

if TYPE_CHECKING:
    from engine.config.settings import Config

SCHEMA = "microburst.bug-report/1"


def bug_report(
    last: Annotated[str, typer.Option("--last", metavar="TIME", help="How far back, such as 5m or 2h.")] = "5m",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE.zip", help="Where to. [microburst-report-TIME.zip]")
    ] = None,
    force: ForceFlag = False,
    config_file: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Collect settings, versions, checks, log and recordings into one archive.

    The recordings are those that were written to in that time, whole, because a replay begins at the beginning: unpack
    the archive and run 'microburst replay journal/SESSION'. Look through it before you send it.
    """
    from feeds.base import SystemTiming

    _, now_ns = SystemTiming().receive_stamp()
    since_s = (now_ns - parse_duration_ns(last, where="flag --last")) / 1e9
    path = output or Path(time.strftime("microburst-report-%Y%m%d-%H%M%S.zip", time.gmtime()))
    check_new(path, force=force)
    try:
        path.unlink(missing_ok=True)  # and not written into: its mode would stay
        private = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise ConfigError(what, where=str(path), fix="name another with --output") from None
    try:
        with os.fdopen(private, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents(config_file, since_s):
                archive.writestr(name, content)
            names = archive.namelist()
    except BaseException as error:
        path.unlink(missing_ok=True)  # half an archive helps nobody
        if isinstance(error, OSError):
            raise DataError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
        raise
    if as_json:
        write_json({"schema": SCHEMA, "file": str(path), "contents": names})
        return
    print(f"{path}: {len(names)} files; look through them before you send it")


def contents(config_file: Path | None, since_s: float) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file of the archive; times are seconds of the Unix epoch."""
    from engine import log
    from engine.commands.doctor import checks_of
    from engine.journal.sessions import root_of
    from engine.live.health import read_health
    from engine.secret_store import known_secrets
    from engine.telemetry import private_directory

    secrets = known_secrets()  # from here on no text names one of them
    config, settings = _configuration(config_file)
    packages = {one.metadata["Name"]: one.version for one in distributions()}
    machine = {"python": platform.python_version(), "platform": platform.platform(), "packages": packages}
    for name, facts in (
        ("config", settings),
        ("versions", machine),
        ("doctor", [asdict(check) for check in checks_of(config_file)]),
        ("health", list(read_health(private_directory()))),
    ):
        text = orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
        yield f"{name}.json", masked(text).encode()
    log_file = Path(config.log.file) if config.log.file else log.default_file()
    entries = b"".join(entries_since(log_file, since_s)).decode(errors="replace")
    yield "engine.log", "".join(map(redacted, entries.splitlines(keepends=True))).encode()
    left_out = []
    for directory, files in recorded_since(root_of(config.journal.directory), since_s):
        recorded = {f"journal/{directory.name}/{file.name}": file.read_bytes() for file in files}
        if any(holds(content, secrets) for content in recorded.values()):
            left_out.append(directory.name)
            continue
        yield from recorded.items()
    if left_out:
        yield "journal-left-out.txt", LEFT_OUT.format(sessions="\n".join(left_out)).encode()


def _configuration(config_file: Path | None) -> tuple[Config, dict[str, Any]]:
    """The settings with their origins; where they cannot be read the defaults, and what is wrong: that is reported."""
    from engine.config.settings import Config

    try:
        loaded = load_config(config_file)
    except UserError as error:
        said = "the archive says so, and has log and recordings of the usual places"
        print(f"warning: {error.line()}; {said}", file=sys.stderr)
        return Config(), {"problem": error.line()}
    rows = loaded.rows()
    return loaded.config, {key: {"value": shown(key, value), "origin": found} for key, value, found in rows}


LEFT_OUT = """These recordings hold the value of a secret, typed as the reason of a command, say. A recording cannot be
changed without losing the proof that it is whole, so they are not in this archive:

{sessions}
"""


def holds(content: bytes, secrets: Sequence[Secret]) -> bool:
    """Whether the value of a secret is in there, as text."""
    return any(secret.reveal().encode() in content for secret in secrets)


def shown(key: str, value: object) -> object:
    """A setting's value, unless its name says that it is a secret; of an address neither credentials nor query."""
    if sounds_secret(key) and value not in ("", None):
        return HIDDEN
    return redacted(value) if isinstance(value, str) else value


def entries_since(file: Path, since_s: float) -> Iterator[bytes]:
    """Yield the log's entries that are no older, those of rotated files first."""
    since = datetime.fromtimestamp(since_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    rotated = sorted(file.parent.glob(f"{file.name}.[0-9]*"), reverse=True)
    for path in (*rotated, file):
        if not path.is_file() or path.stat().st_mtime < since_s:
            continue
        for line in path.read_bytes().splitlines(keepends=True):
            # Timestamps are ISO 8601 in UTC, so their order is that of the text.
            _, found, rest = line.partition(b'"timestamp":')
            if found and rest.lstrip(b' "')[:19] >= since:
                yield line


def recorded_since(root: Path, since_s: float) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the journals that were written to since then, and their files; locks are of this machine only."""
    from engine.journal.sessions import LOCK, sessions

    for directory in sessions(root):
        files = sorted(path for path in directory.iterdir() if path.is_file() and path.name != LOCK)
        if any(path.stat().st_mtime >= since_s for path in files):
            yield directory, files
