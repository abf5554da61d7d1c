"""What reaches the file and what reaches the terminal."""

from __future__ import annotations

import json
import logging
import stat

import pytest
from structlog.testing import capture_logs

from engine import log


@pytest.fixture(autouse=True)
def _handlers_as_before():
    """Give the root logger back as it was: pytest's own capturing hangs on it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def said(capsys, tmp_path, **settings) -> tuple[list[dict], str]:
    """Return the entries of the file and the text on standard error after one entry of each level and a failure."""
    file = tmp_path / "deep/engine.log"
    log.configure(file=str(file), **settings)
    entry = log.get("test")
    entry.debug("small", a=1)
    entry.info("plain", b="two words")
    logging.getLogger("library").warning("from %s", "elsewhere")
    password = "hunter2"
    try:
        raise ValueError(f"bad {len(password)}")
    except ValueError as error:
        entry.error(log.UNEXPECTED, exc_info=error)
    return [json.loads(line) for line in file.read_text().splitlines()], capsys.readouterr().err


def test_the_file_keeps_what_its_level_says(capsys, tmp_path):
    entries, _ = said(capsys, tmp_path)
    assert [entry["event"] for entry in entries] == ["plain", "from elsewhere", log.UNEXPECTED]
    assert entries[0]["b"] == "two words"
    assert entries[0]["level"] == "info"
    assert entries[0]["timestamp"].endswith("Z")
    entries, _ = said(capsys, tmp_path, level="debug")
    assert "small" in {entry["event"] for entry in entries}


def test_tracebacks_show_no_values(capsys, tmp_path):
    entries, _ = said(capsys, tmp_path)
    assert "ValueError: bad 7" in entries[-1]["exception"]
    assert "hunter2" not in json.dumps(entries[-1])


@pytest.mark.parametrize(
    ("verbosity", "shown", "hidden"),
    [
        (-1, [], ["plain", "from elsewhere", "Traceback"]),
        (0, ["from elsewhere"], ["plain", "Traceback", log.UNEXPECTED]),
        (1, ["from elsewhere", "plain"], ["small", "Traceback"]),
        (2, ["small", "plain", "from elsewhere", "Traceback"], []),
    ],
)
def test_the_terminal_shows_what_is_asked_for(capsys, tmp_path, verbosity, shown, hidden):
    _, err = said(capsys, tmp_path, verbosity=verbosity)
    assert all(text in err for text in shown)
    assert not any(text in err for text in hidden)


def test_json_on_the_terminal(capsys, tmp_path):
    _, err = said(capsys, tmp_path, terminal="json")
    assert json.loads(err.splitlines()[0])["event"] == "from elsewhere"


def test_a_file_that_cannot_be_written_is_said_once(capsys, tmp_path):
    (tmp_path / "in the way").write_text("")
    assert log.configure(file=str(tmp_path / "in the way" / "engine.log")) is None
    assert log.current_file() is None
    assert "no log file" in capsys.readouterr().err


def test_files_are_their_owners_alone_and_only_so_many_are_kept(tmp_path):
    file = tmp_path / "engine.log"
    log.configure(file=str(file), max_bytes=2_000, keep=2)
    for number in range(100):
        log.get("test").info("entry", number=number)
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == ["engine.log", "engine.log.1", "engine.log.2"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert all(path.stat().st_size <= 2_000 for path in kept)
    lines = [line for path in reversed(kept) for line in path.read_text().splitlines()]
    numbers = [json.loads(line)["number"] for line in lines]
    assert numbers == list(range(numbers[0], 100))  # the newest, in order, none missing


def test_a_logger_that_was_used_follows_what_is_configured_later(capsys, tmp_path):
    """As those of modules must: what an earlier configuration wrote to may be closed by now."""
    of_a_module = log.get("module")
    for name in ("one", "other"):
        log.configure(file=str(tmp_path / name))
        of_a_module.info("said to " + name)
        assert "said to " + name in (tmp_path / name).read_text()
    with capture_logs() as entries:
        of_a_module.info("captured")
    assert [entry["event"] for entry in entries] == ["captured"]
