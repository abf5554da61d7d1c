"""H1: canaries for secrets in a whole DEBUG session, with a strategy that fails on them, a crash and a bug report.

Everything that the session writes, sends or shows is searched for their values.
"""

from __future__ import annotations

import json
import signal
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.telemetry_wire import VERSION, Hello, encode, read_control, read_endpoints
from tests.commands.conftest import Ended, Running

OF_ENVIRONMENT, OF_FILE = "canary-env-5b81d0c4", "canary-file-a93e77f2"
CANARIES = (OF_ENVIRONMENT, OF_FILE)

STRATEGY = """
from engine.rules import Stop, TimeStop, change, pct, seconds, ticks
from engine.secret_store import find_secret
from engine.strategy import Strategy


class Careless(Strategy):
    long = change(ticks(5)) >= pct("0.001")
    exits = (Stop(pct(1)), TimeStop(seconds(1)))

    def on_fire(self, context, side):
        secret = find_secret("venue_token")
        value = secret.reveal()
        raise RuntimeError(f"the venue did not like {secret}, that is {value}")
"""


@pytest.fixture
def addressed(environment: dict[str, str], start: Callable[..., Running], tmp_path: Path) -> str:
    """A market's address that names two secrets, which the environment and the file of secrets hold."""
    environment["MICROBURST_SECRET_VENUE_KEY"] = OF_ENVIRONMENT
    file = tmp_path / "home" / "config" / "microburst" / "secrets.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'venue_token = "{OF_FILE}"\n')
    file.chmod(0o600)
    mock = start("mock_server", "--port", "0", "--rate", "300", "--quiet")
    address = mock.line("listening ").removeprefix("listening ")
    return f"{address}/stream?key={{secret:venue_key}}&token={{secret:venue_token}}"


def everything_under(*directories: Path) -> dict[str, bytes]:
    """Every file under these directories, but for the file of secrets itself and what the test put there."""
    files = (path for directory in directories for path in directory.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if path.name not in ("secrets.toml", "careless.py")}


def hits(found: dict[str, bytes], *values: str) -> list[tuple[str, str]]:
    return [(place, value) for place, content in found.items() for value in values if value.encode() in content]


def watched(tmp_path: Path, enough: int = 200_000) -> bytes:
    """What a viewer receives, the history first."""
    (endpoint,) = read_endpoints(tmp_path / "run")
    received = b""
    with socket.create_connection((endpoint.host, endpoint.port), 10) as viewer:
        viewer.settimeout(30)
        viewer.sendall(encode(Hello(VERSION, endpoint.token, read_control(tmp_path / "run", endpoint.pid))))
        while len(received) < enough and (data := viewer.recv(1 << 16)):
            received += data
    return received


def test_a_debug_session_that_fails_shows_no_secret_anywhere(
    addressed: str, start: Callable[..., Running], run: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "careless.py").write_text(STRATEGY)
    careless = f"{tmp_path / 'careless.py'}:Careless"
    arguments = ("run", "--feed", addressed, "--log-level", "debug", "-vv", "--strategy", careless)
    failed = run("engine", *arguments, "--json")
    assert failed.code == 3
    assert "the venue did not like ***, that is ***" in failed.err

    crashed = start("engine", *arguments[:-2], "--json")  # trades by its own rule, and is then killed
    crashed.line('{"event":"status"')
    told = watched(tmp_path)
    process = psutil.Process(crashed.process.pid)
    found = {"arguments": " ".join(process.cmdline()).encode(), "telemetry": told}
    (endpoint,) = read_endpoints(tmp_path / "run")
    tokens = endpoint.token.reveal(), read_control(tmp_path / "run", endpoint.pid).reveal()
    health = everything_under(tmp_path / "run")
    ended = crashed.end(signal.SIGABRT)
    assert ended.code == -signal.SIGABRT

    reported = run("engine", "report", "--last", "5m", "--output", "report.zip", "--json")
    assert reported.code == 0, reported.err
    with zipfile.ZipFile(tmp_path / "empty" / "report.zip") as archive:
        found |= {f"report/{name}": archive.read(name) for name in archive.namelist()}
    shown = run("engine", "config", "show"), run("engine", "doctor"), failed, ended, reported
    found |= {f"output {number}": (one.out + one.err).encode() for number, one in enumerate(shown)}
    found |= everything_under(tmp_path / "home")
    assert {"state/microburst/engine.log", "report/engine.log", "report/config.json"} <= {
        place.removeprefix(f"{tmp_path / 'home'}/") for place in found
    }
    assert any("/journal/" in place for place in found)
    assert any(place.startswith("report/journal/") for place in found)
    assert all(b"{secret:venue_key}" in found[place] for place in ("arguments", "telemetry"))  # the search can find
    assert hits(found | health, *CANARIES) == []
    assert hits(found, *tokens) == []  # but for the files that are there to hold them
    assert {Path(place).name.split("-")[0] for place, _ in hits(health, *tokens)} == {"engine", "control"}


def test_a_secret_typed_as_a_reason_keeps_its_recording_out_of_the_report(
    addressed: str, start: Callable[..., Running], run: Callable[..., Ended], tmp_path: Path
) -> None:
    engine = start("engine", "run", "--feed", addressed, "--json")
    engine.line('{"event":"status"')
    assert run("engine", "pause", "--reason", f"I tried {OF_ENVIRONMENT}").code == 0
    assert engine.end(signal.SIGTERM).code == 143
    said = json.loads(run("engine", "report", "--output", "report.zip", "--json").out)
    assert not [name for name in said["contents"] if name.startswith("journal/")]
    with zipfile.ZipFile(tmp_path / "empty" / "report.zip") as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert b"hold the value of a secret" in found["journal-left-out.txt"]
    assert hits(found, *CANARIES) == []
    log = (tmp_path / "home" / "state" / "microburst" / "engine.log").read_bytes()
    assert b"I tried ***" in log
    assert (tmp_path / "empty" / "report.zip").stat().st_mode & 0o777 == 0o600


def test_a_secret_in_the_address_itself_is_refused(run: Callable[..., Ended]) -> None:
    done = run("engine", "run", "--feed", f"ws://127.0.0.1:1/?key={OF_ENVIRONMENT}")
    assert done.code == 3
    assert OF_ENVIRONMENT not in done.error
    assert "write key={secret:NAME}" in done.error
