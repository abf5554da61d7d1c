"""The outermost edge: what leaves the process for every kind of ending."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine import cli
from engine.commands import doctor
from engine.errors import DataError

ROOT = Path(cli.__file__).parents[1]


@pytest.fixture(autouse=True)
def _empty_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "user"))


def leaves(capsys, *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command line."""
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_version_and_help(capsys):
    code, out, err = leaves(capsys, "--version")
    assert (code, out.split()[0], err) == (0, "microburst", "")
    code, out, _ = leaves(capsys, "--help")
    assert code == 0
    assert all(verb in out for verb in ("run", "backtest", "strategy", "doctor", "config"))


def test_help_lists_every_verb_with_a_line_of_its_own(capsys):
    _, out, _ = leaves(capsys, "--help")
    told = dict(line.split(maxsplit=1) for line in out.partition("Commands:")[2].splitlines() if line.startswith("  "))
    assert all(told[verb] for verb in cli.VERBS)


def test_a_shell_is_told_what_a_verb_may_become(capsys, monkeypatch):
    for name, value in ((cli.COMPLETING, "complete_bash"), ("COMP_WORDS", "microburst whati"), ("COMP_CWORD", "1")):
        monkeypatch.setenv(name, value)
    assert leaves(capsys)[1].split() == ["whatif"]


def test_a_verb_loads_what_it_needs_and_none_of_the_others():
    script = "import sys; from engine import cli; cli.command_line(['status']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "engine.commands.status" in loaded
    assert not {"engine.commands.calendar", "engine.commands.backtest", "numpy", "pydantic", "structlog"} & set(loaded)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'; see: microburst --help"),
        (["--qqq"], "No such option"),
        (["--live"], "there is no --live: this version trades on paper only; see: microburst run --help"),
        (["config"], "say which: show, init; see: microburst config --help"),
        (["journal"], "say which: ls, cat, verify, export, project; see: microburst journal --help"),
        (["strategy"], "say which: list, show, check; see: microburst strategy --help"),
        (["risk"], "say which: show, profiles; see: microburst risk --help"),
        (["calendar"], "say which: list, show, next; see: microburst calendar --help"),
        (["config", "shw"], "No such command 'shw'"),
        (["strategy", "show"], "Missing argument 'NAME|FILE:CLASS'; see: microburst strategy show --help"),
        (["doctor", "--jsn"], "No such option: --jsn"),
        (
            ["backtest"],
            "one of --ticks FILE, --bars FILE and --demo is needed; first result: microburst backtest --demo",
        ),
        (["backtest", "--demo", "--ticks", "x"], "--ticks FILE and --demo: not both; leave one of them out"),
        (["backtest", "--demo", "--price-precision", "two"], "Invalid value for '--price-precision'"),
        (["backtest", "--demo", "--price-precision", "13"], "Invalid value for '--price-precision'"),
        (["backtest", "--demo", "--quotes", "q.csv"], "--quotes says how a file is read, and --demo reads none"),
        (["backtest", "--demo", "--symbol", "X"], "--symbol says how a file is read, and --demo reads none"),
        (["backtest", "--demo", "--size-precision", "0"], "--size-precision says how a file is read"),
        (["backtest", "--demo", "--on-bad-row", "ignore"], "--on-bad-row ignore is neither stop nor skip"),
        (["backtest", "--demo", "--report", "x.pdf"], "--report x.pdf ends in none of .html, .txt, .json, .csv"),
        (["explain", "--ticks", "x.csv"], "one of --at TIME and --why-not is needed; --at asks about one moment"),
        (["explain", "--ticks", "x.csv", "--at", "1", "--why-not"], "--at TIME and --why-not: not both"),
        (["strategy", "check"], "Missing argument 'NAME|FILE:CLASS'; see: microburst strategy check --help"),
        (["lookahead", "momentum_burst"], "one of --ticks FILE and --bars FILE is needed; name the file to run on"),
        (["lookahead", "momentum_burst", "--ticks", "x", "--points", "-1"], "Invalid value for '--points'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys, arguments, said):
    code, out, err = leaves(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "help_for"),
    [
        (["bogus"], "microburst"),
        (["--qqq"], "microburst run"),
        (["backtest", "--tick", "x"], "microburst backtest"),
        (["config", "shw"], "microburst config"),
        (["config", "show", "--orgin"], "microburst config show"),
        (["config", "init", "a", "b"], "microburst config init"),
        (["strategy", "show"], "microburst strategy show"),
    ],
)
def test_a_usage_error_points_to_the_help_of_the_verb_that_was_reached(capsys, arguments, help_for):
    code, _, err = leaves(capsys, *arguments)
    assert code == 2
    assert re.search(rf"(; see|\? See): {help_for} --help\n$", err)


NO_DOCSTRING = """
from engine.rules import Stop, change, pct, seconds
from engine.strategy import Strategy

class Mine(Strategy):
    long = change(seconds(5)) > pct(50)
    exits = Stop(pct(1))
"""


def test_show_tells_all_that_a_class_body_says_about_orders(capsys):
    Path("mine.py").write_text(
        "from engine.language.entries import Limit\n"
        "from engine.rules import Target, pct, price, seconds\n"
        "from engine.sizing import Units\n"
        "from engine.strategy import Strategy\n"
        "class Mine(Strategy):\n"
        "    long = price > 1\n"
        "    entry = Limit(pct(1), good_for=seconds(5))\n"
        "    exits = (Target(pct(2), share=pct(50), resting=True), Target(pct(3), share=pct(50)))\n"
        "    size = Units(4)\n"
        "    risk_profile = 'equities'\n"
    )
    _, out, _ = leaves(capsys, "strategy", "show", "mine.py")
    for line in (
        "entry  Limit(1%, good_for=5s)",
        "exits  Target(2%, share=50%, resting=True), Target(3%, share=50%)",
        "size   Units(4)",
        "limits of the risk profile equities; from mine.py, version ",
    ):
        assert line in out


def test_a_run_that_cannot_be_kept_is_a_mistake_of_the_settings(capsys):
    Path("taken").write_text("a file, not a folder")
    code, _, err = leaves(capsys, "backtest", "--demo", "--quiet", "--save", "taken")
    assert code == 3
    assert "taken: cannot keep the run" in err
    assert "--save runs" in err


def test_a_strategy_without_a_docstring_has_no_borrowed_one(capsys):
    Path("mine.py").write_text(NO_DOCSTRING)
    code, out, _ = leaves(capsys, "strategy", "show", "mine.py")
    assert (code, out.splitlines()[0]) == (0, "Mine")
    _, out, _ = leaves(capsys, "strategy", "show", "mine.py", "--json")
    assert json.loads(out)["summary"] == ""
    _, out, _ = leaves(capsys, "strategy", "show", "momentum_burst")
    assert out.startswith("MomentumBurst: ")


def test_a_report_without_trades_has_its_header_all_the_same(capsys):
    Path("mine.py").write_text(NO_DOCSTRING)
    code, out, err = leaves(capsys, "backtest", "--demo", "-q", "--strategy", "mine.py", "--report", "none.csv")
    assert (code, err) == (0, "")
    assert "no trades" in out
    assert leaves(capsys, "backtest", "--demo", "-q", "--report", "some.csv")[0] == 0
    none, some = (Path(name).read_text().splitlines() for name in ("none.csv", "some.csv"))
    assert len(none) == 2 < len(some)
    assert none[1] == some[1] != ""


TICKS = "".join(["timestamp,price,size\n", *(f"2024-01-02T14:30:0{n}Z,10{n}.5,1\n" for n in range(9))])


def test_a_report_never_replaces_an_input(capsys):
    Path("x.csv").write_text(TICKS)
    Path("same.csv").hardlink_to("x.csv")
    code, out, err = leaves(capsys, "backtest", "--ticks", "x.csv", "--report", "same.csv")
    assert (code, out) == (3, "")
    assert (
        err == "error: same.csv: cannot write the report: this file is an input, and would be lost; name another file\n"
    )
    assert Path("x.csv").read_text() == TICKS


def test_a_report_says_what_it_wrote(capsys):
    for force, told in (((), "report: y.json\n"), (("--force",), "report: y.json (replaced)\n")):
        code, _, err = leaves(capsys, "backtest", "--demo", "--report", "y.json", *force)
        assert (code, told in err) == (0, True)


def test_what_is_written_replaces_no_file_unless_told_to(capsys):
    Path("x.csv").write_text(TICKS)
    mine = [Path("mine.csv"), Path("mine.toml"), Path("mine.zip")]
    for file in mine:
        file.write_text("the only copy")
    asked = [
        ("backtest", "--ticks", "x.csv", "--report", "mine.csv"),
        ("features", "--ticks", "x.csv", "--feature", "last=price", "--out", "mine.csv"),
        ("journal", "export", "last", "--out", "mine.csv"),
        ("config", "init", "mine.toml"),
        ("report", "--output", "mine.zip"),
    ]
    for arguments in asked:
        code, out, err = leaves(capsys, *arguments)
        assert (code, out) == (3, "")
        assert err == f"error: {arguments[-1]}: exists already; add --force to replace it\n"
        assert {file.read_text() for file in mine} == {"the only copy"}
    for arguments in (*asked[:2], *asked[3:]):  # no session is recorded here
        Path(arguments[-1]).write_text("the only copy")
        assert leaves(capsys, *arguments, "--force")[0] == 0
        assert Path(arguments[-1]).read_bytes() != b"the only copy"


def test_a_result_names_what_it_was_made_with(capsys):
    Path("ACME.csv").write_text(TICKS)
    given = ("backtest", "--ticks", "ACME.csv", "--symbol", "ACME")
    _, out, err = leaves(capsys, *given)
    rows = dict(line.split(None, 1) for line in out.partition("\n\n")[0].splitlines())
    assert "window=15s" in rows["strategy"]
    assert rows["symbol"] == "ACME"
    assert rows["period"] == "2024-01-02 14:30:00 to 2024-01-02 14:30:08 UTC"
    assert (rows["fills"], rows["spread"], rows["slippage"], rows["fee"]) == ("last", "none", "0 bps", "0/unit")
    assert not any(name.startswith(("latency", "session")) for name in rows)
    assert "starting cash  10,000.00\n" in out
    assert "fills are at the last price and trades cost nothing; assume a spread with --spread 0.01\n" in err
    assert "--ticks ACME.csv --symbol ACME" in err.splitlines()[-1]
    assert "trades cost nothing" not in leaves(capsys, *given, "--spread", "0.01")[2]
    Path("microburst.toml").write_text('[session]\navoid = "midday"\n[paper]\nlatency_order = "5ms"\n')
    out = leaves(capsys, *given)[1]
    assert "latency        orders 5ms\n" in out
    assert "session rules  avoid midday\n" in out


def test_the_next_command_can_be_run_as_it_stands(capsys):
    Path("my own.py").write_text(NO_DOCSTRING)
    err = leaves(capsys, "backtest", "--demo", "--strategy", "my own.py:Mine")[2]
    command = shlex.split(err.splitlines()[-1].removeprefix("next: "))
    assert command == ["microburst", "backtest", "--demo", "--strategy", "my own.py:Mine", "--json"]
    code, out, _ = leaves(capsys, *command[1:])
    assert code == 0
    assert json.loads(out)["passport"]["strategy"].endswith("Mine")


def test_quiet_leaves_the_next_command_out(capsys):
    assert leaves(capsys, "backtest", "--demo")[2].endswith("next: microburst backtest --demo --set window=7s --json\n")
    code, out, err = leaves(capsys, "backtest", "--demo", "--quiet")
    assert (code, err) == (0, "")
    assert "trades" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--duration", "5parsec"], "flag --duration: session.duration: '5parsec' is not a duration"),
        (
            ["run", "--fills", "lst"],
            "flag --fills: paper.fills = lst: should be 'auto', 'last', 'touch', 'through', 'queue' or 'worst'",
        ),
        (["run", "--set", "window"], "flag --set: 'window' is not KEY=VALUE"),
        (["run", "--config", "none.toml"], "none.toml: cannot read the configuration: No such file or directory"),
        (
            ["backtest", "--demo", "--report", "none/x.csv"],
            "none/x.csv: cannot write the report: there is no directory",
        ),
        (["backtest", "--demo", "--report", "user.csv"], "user.csv: cannot write the report: this is a directory"),
        (["backtest", "--demo", "--spread", "-1"], "flag --spread: paper.spread: -1 is negative; write 0 or more"),
        (["backtest", "--demo", "--spread", "1", "--fills", "last"], "flag --spread: fills at the last price have no"),
        (["config", "init", "user.csv"], "user.csv: this is a directory; name a file in it"),
        (["run", "--calendar", "us_equity"], "flag --calendar: session.calendar: there is no calendar 'us_equity'"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_3(capsys, arguments, said):
    Path("user.csv").mkdir()
    code, out, err = leaves(capsys, *arguments)
    assert (code, out) == (3, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


def test_only_options_means_run(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "command_line", lambda _: lambda given, **_: seen.append(given))
    for given in ([], ["--paper"], ["-v", "--duration", "60s"], ["doctor"], ["--help"]):
        leaves(capsys, *given)
    assert seen == [["run"], ["run", "--paper"], ["run", "-v", "--duration", "60s"], ["doctor"], ["--help"]]


def ending_with(error: BaseException):
    def command_line(_):
        raise error

    return command_line


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("no rows", where="x.csv:1", fix="add some"), 4, "error: x.csv:1: no rows; add some\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)
def test_known_endings(capsys, monkeypatch, error, code, said):
    monkeypatch.setattr(cli, "command_line", ending_with(error))
    assert leaves(capsys, "doctor") == (code, "", said)


def test_a_bug_is_one_line_and_a_traceback_in_the_log(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "command_line", ending_with(ZeroDivisionError("a\nb")))
    monkeypatch.setattr("engine.log._file", None)
    code, out, err = leaves(capsys, "doctor")
    log = tmp_path / "user/microburst/engine.log"
    assert (code, out) == (1, "")
    assert err == f"error: unexpected ZeroDivisionError: a b; this is a bug, the traceback is in {log}\n"
    entry = json.loads(log.read_text().splitlines()[-1])
    assert entry["level"] == "error"
    assert "Traceback" in entry["exception"]


def test_config_show_and_init(capsys):
    assert leaves(capsys, "config", "init") == (0, "wrote microburst.toml\n", "")
    assert leaves(capsys, "config", "init")[0] == 3
    assert leaves(capsys, "config", "init", "--force")[0] == 0
    Path("microburst.toml").write_text("[risk]\nposition_size = 7\n")
    code, out, _ = leaves(capsys, "config", "show", "--origin")
    row = next(line.split() for line in out.splitlines() if line.startswith("risk.position_size"))
    assert (code, row) == (0, ["risk.position_size", "7", "microburst.toml:2"])
    _, out, _ = leaves(capsys, "config", "show", "--json")
    shown = json.loads(out)
    assert shown["schema"] == "microburst.config/1"
    assert shown["settings"]["risk.position_size"] == {"value": "7", "origin": "microburst.toml:2"}


def test_doctor(capsys, monkeypatch):
    code, out, _ = leaves(capsys, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 0
    assert {"python", "engine._core", "numpy", "pyqtgraph", "clock", "telemetry", "mock market"} <= set(checks)
    monkeypatch.setattr(doctor, "EXTRAS", {"gui": ("no-such-library",)})
    Path("microburst.toml").write_text("[rsk]\nx=1")
    code, out, _ = leaves(capsys, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["no-such-library"]["fix"] == "in the project's folder: pip install -e '.[gui]'"
    assert checks["configuration"]["status"] == "broken"
    assert "microburst.toml:2" in checks["configuration"]["detail"]


def test_doctor_tries_the_directory_without_which_nothing_starts(capsys, monkeypatch, tmp_path):
    Path("occupied").write_text("")
    monkeypatch.setenv("MICROBURST_RUNTIME_DIR", str(tmp_path / "occupied"))
    code, out, _ = leaves(capsys, "doctor", "--json")
    (check,) = (check for check in json.loads(out)["checks"] if check["name"] == "telemetry")
    assert (code, check["status"]) == (1, "broken")
    assert str(tmp_path / "occupied") in check["detail"]
    assert "MICROBURST_RUNTIME_DIR" in check["fix"]


def test_doctor_looks_for_exactly_the_declared_libraries():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert tuple(name.split(">")[0] for name in project["dependencies"]) == doctor.CORE
    for extra, names in doctor.EXTRAS.items():
        assert tuple(name.split(">")[0] for name in project["optional-dependencies"][extra]) == names


@pytest.mark.parametrize(
    "verb",
    [
        *("run", "backtest", "explain", "strategy list", "strategy show", "strategy check", "lookahead", "doctor"),
        *("config show", "config init"),
    ],
)
def test_the_reference_page_names_every_flag(capsys, verb):
    page = (Path(__file__).parents[2] / "docs/reference/command-line.md").read_text(encoding="utf-8")
    code, out, _ = leaves(capsys, *verb.split(), "--help")
    flags = set(re.findall(r"--[a-z][a-z-]*", out))
    assert code == 0
    assert {flag for flag in flags if f"`{flag}" not in page} == set()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_long_line_is_folded_between_words_on_a_terminal_alone(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    asked = ("backtest", "--demo", "--strategy", "nope")
    _, _, whole = leaves(capsys, *asked)
    assert whole.count("\n") == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, _, folded = leaves(capsys, *asked)
    lines = folded.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= columns
    assert folded.split() == whole.split()
