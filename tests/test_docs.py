"""The documentation, held to its word: code blocks run, commands exist, links lead somewhere, examples work.

A page is worked through from top to bottom in an empty directory. What a fenced block is decides what happens to it:

* ``python`` runs, all blocks of a page in one namespace
* ``python NAME.py``, ``toml NAME.toml``, ``csv NAME.csv`` become a file of that name
* ``console``: each line after ``$`` is a command and runs; the lines below it are its output, of which ``...``
  leaves out any part
* ``text`` right after a ``python`` block is what that block prints
* ``sh``: commands to copy. What trades on paper runs, for a second on a market of its own
* ``sh``, or nothing: the rest, or a picture; our commands must exist with the flags they name, but are not run

Commands that run until they are stopped stand in ``BACKGROUND``: they are started, and stopped at the end of the page.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli import VERBS
from engine.model import Instrument, TickBlock
from engine.store.ticks import write_ticks
from mock_server.market import generate

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

OWN_COMMANDS = {
    "microburst": ("-m", "engine"),
    "microburst-mock": ("-m", "mock_server"),
    "microburst-gui": ("-m", "gui"),
}
MODULES = ("engine", "mock_server", "gui")
BACKGROUND = ("mock_server",)
"""Modules that serve until they are stopped: on a page they listen on a free port, whatever the page says."""

NOT_RUN = re.compile(r"^(make|pip|pytest|git|\.venv/bin/|python -m (venv|gui)\b|microburst-gui\b)")
"""In ``console`` blocks these are not run: they install, build, measure, or need a screen."""

ON_PAPER = re.compile(r"^python -m engine --paper\b")
"""In ``sh`` blocks these are run, however long the page has them go on."""


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, its text, and where it begins."""

    kind: str
    name: str
    body: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        kind, _, name = match["info"].strip().partition(" ")
        found.append(Block(kind, name, match["body"], text.count("\n", 0, match.start()) + 2))
    return found


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


# ---------------------------------------------------------------- running a page


@dataclass
class Stage:
    """The directory and names that one page is worked through with."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__page__"})
    printed: str = ""
    servers: list[subprocess.Popen[str]] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
        home = self.folder / ".home"
        home.mkdir(exist_ok=True)
        places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        places["PYTHONUNBUFFERED"] = "1"  # both streams in the order in which they were written
        return {**kept, **places, "MICROBURST__TELEMETRY__ENABLED": "false"}

    def work_through(self, block: Block) -> None:
        if block.name:
            (self.folder / block.name).write_text(block.body, encoding="utf-8")
        elif block.kind == "python":
            self.run_python(block)
        elif block.kind == "text" and self.printed:
            expect(block.body.splitlines(), self.printed, f"line {block.line}")
            self.printed = ""
        elif block.kind == "console":
            for command, output in commands_of(block.body):
                self.run_command(command, output, block.line)
        elif block.kind == "sh":
            for command in filter(ON_PAPER.match, block.body.splitlines()):
                self.run_command(briefly(command), ["..."], block.line)

    def run_python(self, block: Block) -> None:
        code = compile("\n" * (block.line - 1) + block.body, "page", "exec")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, self.names)
        self.printed = out.getvalue()

    def run_command(self, command: str, output: list[str], line: int) -> None:
        if NOT_RUN.match(command):
            assert not output, f"line {line}: the output of `{command}` is not checked, so do not show any"
            check_flags(command)
            return
        settings, arguments, target = split(command)
        if arguments[1:] and arguments[1] in BACKGROUND:
            self.serve(arguments)
            return
        arguments = [self.addresses.get(argument, argument) for argument in arguments]
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environment, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if target else subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if target:
            (self.folder / target).write_text(done.stdout, encoding="utf-8")
        seen = done.stderr if target else done.stdout  # what a terminal would show
        assert "Traceback" not in seen, seen
        fails = any(shown.startswith("error: ") for shown in output)
        assert (done.returncode == 0) != fails, f"line {line}: `{command}` ends with {done.returncode}: {seen}"
        expect(output, seen, f"line {line}: `{command}`")

    def serve(self, arguments: list[str]) -> None:
        """Start a server on a free port, and let later commands find it under the port that the page names."""
        place = arguments.index("--port") + 1 if "--port" in arguments else 0
        port = arguments[place] if place else "8765"
        given = [*arguments[:place], "0", *arguments[place + 1 :]] if place else [*arguments, "--port", "0"]
        server = subprocess.Popen(
            [sys.executable, *given, "--quiet", "--exit-with-parent"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        said = server.stdout.readline()
        assert said.startswith("listening "), f"{arguments} did not start: {said}"
        self.addresses[f"ws://127.0.0.1:{port}"] = said.removeprefix("listening ").strip()

    def close(self) -> None:
        for server in self.servers:
            server.communicate(timeout=30)  # it stops when its standard input ends


def briefly(command: str) -> str:
    """The same session for a second, on no market but its own."""
    return f"{re.sub(r' --duration [^ ]+', '', command.partition('#')[0])} --duration 1s --feed embedded"


def trades(block: Block) -> bool:
    return block.kind == "sh" and any(map(ON_PAPER.match, block.body.splitlines()))


def commands_of(body: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a ``console`` block with the lines shown below it; a ``#`` begins a remark."""
    command, output = "", []
    for line in body.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, output
            command, output = line[2:].partition("  #")[0].strip(), []
        elif line.strip():
            output.append(line)
    if command:
        yield command, output


def split(command: str) -> tuple[dict[str, str], list[str], str]:
    """Return a command's ``NAME=value`` settings, its arguments for this Python, and the file behind ``>``."""
    words = shlex.split(command)
    target = ""
    if ">" in words:
        target = words[words.index(">") + 1]
        words = words[: words.index(">")]
    settings = {}
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, settings[name] = words.pop(0).partition("=")
    if words[0] in OWN_COMMANDS:
        return settings, [*OWN_COMMANDS[words[0]], *words[1:]], target
    assert words[0] == "python", f"{command!r} is none of the project's commands"
    return settings, words[1:], target


def expect(shown: list[str], said: str, where: str) -> None:
    """Hold the lines that a page shows against what was really said: all of them, in order, spaces aside."""
    told = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    at, free = 0, True
    for line in (" ".join(line.split()) for line in shown if line.strip()):
        if line == "...":
            free = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        found = next((n for n in range(at, len(told)) if pattern.fullmatch(told[n])), None)
        assert found is not None, f"{where}: the page shows {line!r}, which was not said after line {at} of:\n{said}"
        assert free or found == at, f"{where}: the page leaves out {told[at]!r} without saying so"
        at, free = found + 1, False


@pytest.fixture
def stage(tmp_path, monkeypatch) -> Iterator[Stage]:
    monkeypatch.chdir(tmp_path)
    prepared = Stage(tmp_path)
    yield prepared
    prepared.close()


def prepare_tick_files(stage: Stage) -> None:
    """What ``tick-files.md`` reads without saying where it comes from."""
    made = generate(400, quotes=True)
    is_trade = made.kind == 0
    columns = {name: np.ascontiguousarray(column[is_trade]) for name, column in made._asdict().items()}
    plain = {name: columns[name] for name in ("ts_ns", "price_ticks", "size_lots")}
    quotes = {
        name: np.ascontiguousarray(getattr(made, name)[~is_trade])
        for name in ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "kind")
    }
    quotes["kind"] = quotes["kind"].astype(np.uint8)
    write_ticks(stage.folder / "trades.csv.gz", TickBlock(**plain), [Instrument("SPY")])
    write_ticks(stage.folder / "quotes.parquet", TickBlock(**quotes), [Instrument("SPY")])
    stage.names.update(plain)
    stage.names["frame"] = {"timestamp": plain["ts_ns"], "price": plain["price_ticks"], "size": plain["size_lots"]}


PREPARE = {"docs/reference/tick-files.md": prepare_tick_files}
RUNNABLE = [
    page for page in PAGES if any(one.kind in ("python", "console", "toml") or trades(one) for one in blocks(page))
]


@pytest.mark.parametrize("page", RUNNABLE, ids=page_id)
def test_the_page_does_what_it_shows(page, stage):
    if page_id(page) in PREPARE:
        PREPARE[page_id(page)](stage)
    for block in blocks(page):
        stage.work_through(block)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_example_runs_and_says_something(example, stage):
    done = subprocess.run(
        [sys.executable, str(example)], env=stage.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 2
    assert example.name in (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), "the map of the pages names it"


# ---------------------------------------------------------------- commands that are only named


@cache
def help_of(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments, "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "300", "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def check_flags(command: str) -> None:
    """Check that a command exists, with its verb and every flag it names."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert set(targets) <= make_targets(), f"`{command}`: there is no such target"
        return
    if words[0] in OWN_COMMANDS:
        words = ["python", *OWN_COMMANDS[words[0]], *words[1:]]
    if not words[0].endswith("python") or words[1:2] != ["-m"] or words[2] not in MODULES:
        return  # not ours: venv, pip, pytest
    asked = ["-m", words[2]]
    if words[2] == "engine":
        verb = words[3] if words[3:] and not words[3].startswith("-") else "run"
        assert verb in VERBS, f"`{command}`: there is no verb {verb!r}"
        asked.append(verb)
        if verb in ("strategy", "config", "calendar") and words[4:] and not words[4].startswith("-"):
            asked.append(words[4])
    told = help_of(*asked)
    for word in words[3:]:
        flag = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", flag):
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", told), f"`{command}`: there is no flag {flag}"


def named_commands(page: Path) -> list[str]:
    """Every command that a page names without running it: in ``sh`` and unmarked blocks, and between backticks."""
    ours = re.compile(r"(microburst(-gui|-mock)?|python -m \w+|\.venv/bin/python -m \w+|make [a-z]+)\b")
    still = [block.body for block in blocks(page) if block.kind in ("sh", "")]
    lines = [line.strip() for body in still for line in body.splitlines()]
    spans = SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return [command for command in [*lines, *spans] if ours.match(command)]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_named_on_the_page_exists(page):
    for command in named_commands(page):
        if not re.search(r"[…|*]|\.\.\.|\bVERB\b", command):
            check_flags(command)


@pytest.mark.parametrize(
    "command",
    [
        *("microburst backtst --demo", "python -m engine --papr", "make tset", "microburst config show --orign"),
        *("python -m mock_server --replays x.csv", "MICROBURST__X=1 python -m engine backtest --windw 7s"),
    ],
)
def test_a_command_that_does_not_exist_is_found_out(command):
    with pytest.raises(AssertionError, match="there is no"):
        check_flags(command)


@pytest.mark.parametrize("shown", [["b", "a"], ["a", "x"], ["a", "c"], ["a ... b"], ["a", "...", "d"]])
def test_output_that_was_not_said_is_found_out(shown):
    expect(["a", "...", "c"], "a\nb\nc\n", "here")
    with pytest.raises(AssertionError, match="here: the page"):
        expect(shown, "a\nb\nc\n", "here")


# ---------------------------------------------------------------- links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_can_be_reached_from_the_map():
    start = ROOT / "docs" / "index.md"
    seen, ahead = {start}, [start]
    while ahead:
        page = ahead.pop()
        for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in seen:
                seen.add(target)
                ahead.append(target)
    hidden = set((ROOT / "docs").rglob("*.md")) - seen - {ROOT / "docs" / "adr" / "0000-template.md"}
    assert not hidden, f"no link leads to {sorted(map(page_id, hidden))}"


def test_the_table_of_layers_is_the_one_that_is_checked():
    """Each module of the table in ``architecture.md`` stands in the layer that the architecture test gives it."""
    from tests.test_architecture import layer_of

    names = {"0": "hot", "1": "words", "2": "language", "3": "domain", "3s": "shells", "4": "core", "5": "adapters"}
    names |= {"6": "compositions", "7": "entry"}
    text = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\w?) \w+ \| ([^|]+) \|", text, re.MULTILINE)
    assert {number for number, _ in rows} == set(names)
    listed = set()
    for number, modules in rows:
        for name in SPAN.findall(modules):
            module = name if name.startswith(("feeds", "engine")) else f"engine.{name}"
            module = module.replace("/", ".").replace("*", "x")
            assert layer_of(module) == names[number], f"{name} does not belong to layer {number}"
            listed.add(name)
    rooms = {path.stem for path in (ROOT / "engine").glob("*.py")} - {"__init__"}
    rooms |= {f"{path.parent.name}/*" for path in (ROOT / "engine").glob("*/__init__.py")}
    assert not rooms - listed, f"{rooms - listed} are missing in the table of architecture.md"
