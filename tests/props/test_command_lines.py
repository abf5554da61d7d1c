"""Whatever is typed: a documented exit code, one line where it is a mistake, and nothing written that nobody asked for.

Command lines are put together at random, of every verb that ends by itself, its flags and its arguments; what they name
is drawn from sound, damaged and odd files, kept runs and recorded sessions. The judge knows nothing of the verbs: it
reads the table of exit codes, standard output and error, and the disk before and after.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.cli import main
from engine.config.settings import Found, load
from engine.journal.segments import path_of
from tests.unit.session_world import STRATEGY, Line, climb, play

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = {
    int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "docs/reference/exit-codes.md").read_text(), re.MULTILINE)
}
NEVER = {1, 9, 10, 11, 129, 130, 143}
"""Codes of a bug, of what is still to come, and of sessions and signals: nothing here deserves them."""

Say = Callable[..., tuple[int, str, str]]

# ---------------------------------------------------------------- what there is to name

TICKS = "timestamp,price,size\n" + "".join(
    f"2024-01-02T14:30:{second:02}Z,{100 + second % 7 / 100:.2f},{1 + second % 5}\n" for second in range(60)
)
BARS = "timestamp,open,high,low,close,volume\n" + "".join(
    f"2024-01-02T14:{minute:02}:00,100,101,99,100,10\n" for minute in range(20)
)
ODD = {
    "empty": b"",
    "nul.csv": bytes(300),
    "cut.csv": TICKS[:-7].encode(),
    "head.csv": b"timestamp,price,size\n",
    "bin.parquet": b"PAR1" + bytes(range(256)),
    "text.csv": "das ist kein Preis\n".encode("utf-16"),
    "bad.toml": b"[paper\n",
    "typo.toml": b"[papr]\nfee = 1\n",
    "wrong.toml": b"[paper]\nstarting_cash = 1e30\n",
    "mark.toml": b"\xef\xbb\xbf[paper]\nfee = '1bps'\n",
    "bad.py": b"class (:\n",
    "none.py": b"x = 1\n",
    "no.db": b"no database" * 100,
}


class World:
    """The directory that a test's commands are run in, and what they may name."""

    def __init__(self, folder: Path, say: Say, rng: Random) -> None:
        self.folder, self.rng = folder, rng
        for name, content in {
            "t.csv": TICKS.encode(),
            "b.csv": BARS.encode(),
            "ünï ç.csv": TICKS.encode(),
            **ODD,
        }.items():
            (folder / name).write_bytes(content)
        (folder / "rise.py").write_text(STRATEGY)
        (folder / "dir").mkdir()
        self.record()
        assert say("backtest", "--ticks", "t.csv", "--quiet", "--save", "runs")[0] == 0
        (run,) = (folder / "runs").iterdir()
        for name in ("hurt", "torn"):
            shutil.copytree(run, folder / "runs" / name)
        self.hurt(folder / "runs" / "hurt" / "trades.csv")
        self.hurt(folder / "runs" / "torn" / "run.json")
        self.words = {
            "FILE": (
                ("t.csv", "t.csv", "b.csv", "ünï ç.csv"),
                (*ODD, "dir", "runs", "nothing.csv", "x" * 300, "", "."),
            ),
            "CONFIG": (("mark.toml",), ("bad.toml", "typo.toml", "wrong.toml", "dir", "nothing.toml", "x" * 300, "")),
            "RUN": ((f"runs/{run.name}",), ("runs/hurt", "runs/torn", "runs", "t.csv", "x" * 300, "")),
            "SESSION": self.sessions,
        }

    def record(self) -> None:
        """One session as it was, one interrupted, and others that somebody has damaged."""
        flags = {
            "strategy.name": f"{self.folder / 'rise.py'}:Rise",
            "telemetry.enabled": False,
            "journal.directory": str(self.folder / "journal"),
            "journal.segment_mb": 8,
        }
        whole = play(load({name: Found(value, "") for name, value in flags.items()}).config, Line(climb()), seconds=4)
        segment = path_of(whole.directory, 0)
        data = segment.read_bytes()
        written = len(data.rstrip(b"\0"))
        segment.write_bytes(data[:written])  # sealed: the rest, nothing at all, is not missed by anybody who reads
        for name in ("hurt", "cut", "gone", "strange", "höhe"):
            shutil.copytree(whole.directory, whole.directory.with_name(name))
        at = whole.directory.parent
        self.hurt(path_of(at / "hurt", 0))
        path_of(at / "cut", 0).write_bytes(data[: self.rng.randrange(written)])
        path_of(at / "gone", 0).write_bytes(b"")
        path_of(at / "strange", 0).rename(at / "strange" / "000007.mbj")
        sound = (whole.directory.name, "höhe", "last", f"journal/{whole.directory.name}")
        self.sessions = sound, ("hurt", "cut", "gone", "strange", "h", "journal/hurt", "x" * 300, "5", "")

    def hurt(self, file: Path) -> None:
        """Change a few bytes of a file."""
        data = bytearray(file.read_bytes())
        for _ in range(3):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        file.write_bytes(data)

    def picture(self) -> dict[str, bytes | None]:
        """What there is on the disk, apart from the log."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.name != "engine.log")
        return {str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None for path in found}


# ---------------------------------------------------------------- what is typed

TEXTS = ("", "x", "0", "-1", "1", "5", "7s", "0.05%", "1e400", "nan", "ünï", "'", "a=b", "-", "=", "1/0", "9" * 30)
WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "TIME": (
        ("2024-01-02T14:30:30Z", "2026-01-01T10:00:02", "2030-01-01T00:00"),
        ("9" * 19, "0", "0001-01-01T00:00", "10:00", "x", ""),
    ),
    "DAY": (("2024-01-02", "2024-01-01"), ("2024-13-01", "1970-01-01", "x")),
    "CHANGE": (("window=7s", "fee=1bps", "max_drawdown=1%"), ("stop_loss=5", "account=x", "window", "fills=x", "=")),
    "SIZE": (("3 units", "1% risk", "$500", "kelly"), ("0 units", "x", "")),
    "STRATEGY": (
        ("momentum_burst", "rise.py:Rise", "smoke_test"),
        ("bad.py:A", "none.py:A", "smoke_test weight=0", "momentum", "", "'", "dir:X"),
    ),
    "FILLS": (("last", "touch", "queue", "worst"), ("ladder", "x", "")),
    "CALENDAR": (("always", "us_equities", "globex"), ("x", "")),
    "PROFILE": (("off", "guarded"), ("x", "")),
    "AMOUNT": (("0.01", "1"), TEXTS),
    "TEXT": (("x", "1"), TEXTS),
}
"""What stands for each word of a template: what is sound, and what is odd."""

READING = ("--quotes FILE", "--symbol TEXT", "--zone TEXT", "--price-precision TEXT", "--on-bad-row skip")
TRADING = (
    *("--set CHANGE", "--fills FILLS", "--spread AMOUNT", "--fee AMOUNT", "--slippage-bps AMOUNT"),
    *("--calendar CALENDAR", "--risk-profile PROFILE", "--size SIZE", "--config CONFIG"),
)
RUN = (*READING, *TRADING, "--strategy STRATEGY", "--ticks FILE")
VERBS: dict[str, tuple[str, ...]] = {
    "backtest --ticks FILE": (*RUN, "--start DAY", "--end DAY", "--days TEXT"),
    "backtest --bars FILE": (*RUN, "--bar-period TEXT", "--bar-stamps TEXT"),
    "features --ticks FILE --feature last=price": RUN,
    "features --ticks FILE --strategy STRATEGY": RUN,
    "explain --ticks FILE --at TIME": RUN,
    "explain --ticks FILE --why-not": RUN,
    "explain SESSION --at TIME": RUN,
    "explain SESSION --decision TEXT": ("--at TIME",),
    "compare RUN RUN": TRADING,
    "compare --ticks FILE --a STRATEGY --b STRATEGY": RUN,
    "whatif SESSION --set CHANGE": RUN,
    "whatif --ticks FILE --set CHANGE": RUN,
    "montecarlo RUN --paths 20": TRADING,
    "montecarlo --ticks FILE --paths 20": RUN,
    "lookahead STRATEGY --ticks FILE --points 2": RUN,
    "strategy show STRATEGY": ("--graph", "--set CHANGE"),
    "strategy check STRATEGY": TRADING,
    "strategy check STRATEGY --ticks FILE": RUN,
    "strategy list": (),
    "runs FILE": (),
    "journal ls": ("--config CONFIG",),
    "journal cat SESSION": ("--decisions", "--config CONFIG"),
    "journal verify SESSION": ("--config CONFIG",),
    "replay SESSION": ("--config CONFIG",),
    "parity SESSION": ("--config CONFIG",),
    "risk show": ("--strategy STRATEGY", "--risk-profile PROFILE", "--size SIZE", "--config CONFIG"),
    "risk profiles": (),
    "calendar next CALENDAR": ("--at TIME", "--count TEXT", "--entries TEXT", "--flatten-at TEXT", "--zone TEXT"),
    "calendar show CALENDAR": ("--from DAY", "--to DAY"),
    "calendar list": (),
    "config show": ("--origin", "--config CONFIG"),
    "status": (),
    "pause": ("--reason TEXT", "--session SESSION"),
    "flatten": ("--reason TEXT", "--session SESSION"),
    "resume --reason TEXT": ("--session SESSION", "--account TEXT"),
    "nonsense TEXT": (),
}
"""Every verb that ends by itself and writes nothing, and flags that it has. Those that write come after."""

WRITING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("backtest", "--ticks", "t.csv", "--quiet"): ("--report", ".html", ".txt", ".json", ".csv", ".parquet", ".x"),
    ("features", "--ticks", "t.csv", "--feature", "last=price"): ("--out", ".csv", ".parquet", ".x"),
    ("journal", "export", "last"): ("--out", ".csv", ".parquet", ".x"),
    ("journal", "export", "hurt", "--what", "decisions"): ("--out", ".csv", ".x"),
    ("journal", "project"): ("--db", ".db"),
    ("config", "init"): ("", ".toml"),
    ("report",): ("--output", ".zip"),
}
"""Verbs that write one file, the flag that names it, and what its name may end in."""


def typed(world: World) -> list[str]:
    """A command line that writes nothing; some of its words are odd ones, and sometimes one is missing or too many."""
    rng, words = world.rng, WORDS | world.words
    template = rng.choice(list(VERBS))
    flags = rng.sample([*VERBS[template], "--json"], min(len(VERBS[template]) + 1, rng.choice((0, 0, 1, 1, 2, 4))))
    line = [word for part in (template, *flags) for word in part.split()]
    if rng.random() < 0.1:
        line.insert(rng.randrange(1, len(line) + 1), rng.choice(TEXTS))
    elif len(line) > 1 and rng.random() < 0.1:
        del line[rng.randrange(1, len(line))]  # without its verb it would trade, and not end
    return [rng.choice(words[word][rng.random() < 0.3]) if word in words else word for word in line]


# ---------------------------------------------------------------- the judge


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command line here; its exit code, what it wrote and what it said."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@contextmanager
def telling(line: Sequence[str]) -> Iterator[None]:
    """Say of a failure which command line it was."""
    try:
        yield
    except BaseException as broken:
        raise AssertionError(f"{list(line)}: {broken}") from broken


def judge(line: Sequence[str], code: int, out: str, err: str) -> None:
    """Refuse an ending that no user should see."""
    assert code in DOCUMENTED - NEVER, (code, err)
    assert "Traceback" not in out + err, err
    told = [one for one in err.splitlines() if one.startswith("error: ")]
    assert len(told) == (code not in (0, 7)), (code, err)
    if told:
        assert err.endswith(f"{told[0]}\n"), err
        assert not re.search(r"\bValueError|\bKeyError|validation error|0x[0-9a-f]{8}", told[0]), err
    if "--json" in line and code == 0:
        rows = out.splitlines() if line[:2] == ["journal", "cat"] else [out]
        assert all(isinstance(json.loads(row), dict) for row in rows), out


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with an empty home beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "MICROBURST_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    monkeypatch.setenv("MICROBURST__JOURNAL__DIRECTORY", str(folder / "journal"))
    monkeypatch.chdir(folder)
    return folder


def read_only(world: World, say: Say, rounds: int) -> Any:
    """Type so many command lines; none of them changes what there is. Returns how each ended."""
    before, ended = world.picture(), list[int]()
    for _ in range(rounds):
        line = typed(world)
        with telling(line):
            code, out, err = say(*line)
            judge(line, code, out, err)
            assert world.picture() == before, "something was written"
        ended.append(code)
    return ended


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_typed_ends_as_documented(seed: int, here: Path, say: Say) -> None:
    ended = read_only(World(here, say, Random(seed)), say, 40)
    assert len(set(ended)) > 3, "many kinds of ending were met"


def test_what_is_written_is_what_was_named(here: Path, say: Say) -> None:
    world = World(here, say, rng := Random(9))
    before = world.picture()
    written = 0
    for number in range(40):
        verb = rng.choice(list(WRITING))
        flag, *endings = WRITING[verb]
        place = rng.choice((f"new{number}", f"new{number}", "t", "ünï ç", "dir", "dir/in", "no/where", "x" * 300))
        name = f"{place}{rng.choice(endings)}"
        line = [*verb, *([flag] if flag else []), name, *rng.choice(([], ["--json"]))]
        with telling(line):
            code, out, err = say(*line)
            judge(line, code, out, err)
            after = world.picture()
            changed = {path for path in before | after if before.get(path, 0) != after.get(path, 0)}
            assert changed <= {name, str(Path(name).parent)}, changed
            assert not changed or name not in before, "what was there is there"
            written += bool(changed)
        before = after
    assert written > 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_five_thousand_command_lines(seed: int, here: Path, say: Say) -> None:
    read_only(World(here, say, Random(seed)), say, 250)
