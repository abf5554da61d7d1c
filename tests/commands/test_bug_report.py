"""The archive for somebody who was not there: what is in it, what is not, and that its recording replays."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli import main
from engine.commands.bug_report import entries_since, shown
from engine.errors import DataError


def leaves(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)


def test_a_session_travels_in_an_archive_and_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves("run", "--duration", "2s", "--quiet", "--mock-rate", "300") == 0
    capsys.readouterr()
    assert leaves("bug-report", "--last", "5m", "--output", "report.zip", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert stat.S_IMODE((tmp_path / "report.zip").stat().st_mode) == 0o600
    with zipfile.ZipFile("report.zip") as archive:
        assert archive.namelist() == said["contents"]
        assert {"config.json", "versions.json", "doctor.json", "health.json", "engine.log"} < set(said["contents"])
        entries = [json.loads(line) for line in archive.read("engine.log").splitlines()]
        (session,) = {name.split("/")[1] for name in said["contents"] if name.startswith("journal/")}
        assert {entry["session"] for entry in entries if "session" in entry} == {session}
        assert any(entry["event"] == "feed" and entry["session"] == session for entry in entries)
        archive.extractall("elsewhere")
    (journal,) = (tmp_path / "elsewhere" / "journal").iterdir()
    assert not (journal / "lock").exists()
    assert leaves("replay", str(journal)) == 0
    assert leaves("bug-report", "--output", "report.zip") == 3
    assert capsys.readouterr().err == "error: report.zip: exists already; add --force to replace it\n"


def test_half_an_archive_does_not_stay_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*_: object) -> Iterator[tuple[str, bytes]]:
        yield "config.json", b"{}"
        raise DataError("the second file cannot be read")

    monkeypatch.setattr("engine.commands.bug_report.contents", half)
    archive = tmp_path / "report.zip"
    assert leaves("bug-report", "--output", str(archive)) == 4
    assert "the second file cannot be read" in capsys.readouterr().err
    assert not archive.exists()


def test_a_configuration_that_cannot_be_read_is_what_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.toml").write_text("[paper\n")
    archive = tmp_path / "report.zip"
    assert leaves("bug-report", "--output", str(archive), "--config", str(tmp_path / "broken.toml")) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "broken.toml:1: not valid TOML" in line
    assert "correct it there" in line
    with zipfile.ZipFile(archive) as found:
        assert "not valid TOML" in json.loads(found.read("config.json"))["problem"]
        assert "engine.log" in found.namelist()


def test_entries_from_before_stay_out(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    old, new = (f'{{"event": "x", "timestamp": "{year}-01-01T00:00:00Z"}}\n' for year in (2001, 2040))
    (tmp_path / "engine.log.1").write_text(old + new)
    log.write_text(new + old + "no entry\n")
    assert list(entries_since(log, 1e9)) == [new.encode()] * 2


@pytest.mark.parametrize("text", ["m", "-5m", "5 parsecs", "", "99999999999h"])
def test_what_is_no_time(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves("bug-report", "--output", str(tmp_path / "report.zip"), f"--last={text}") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: flag --last: ")
    assert list(tmp_path.glob("*.zip")) == []


def test_a_report_that_cannot_be_written_is_a_wrong_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaves("bug-report", "--output", str(tmp_path / "nowhere" / "report.zip")) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("report.zip: cannot be written: No such file or directory; name another with --output")


def test_what_is_called_a_secret_is_not_shown() -> None:
    assert shown("venue.api_key", "canary") == shown("a.TOKEN", "canary") == "***"
    assert shown("venue.api_key", "") == ""
    assert shown("feed.address", "wss://me:canary@venue/x?key=canary") == "wss://***@venue/x?key=***"
    assert shown("feed.address", "ws://127.0.0.1:8765") == "ws://127.0.0.1:8765"
    assert shown("paper.fee", "0.1%") == "0.1%"
