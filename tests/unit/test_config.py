"""Precedence, origins, exact values, and one clear line for every mistake."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from engine.account.limits import ALL_OFF, with_limits
from engine.config.settings import Found, load, sections, template, user_file
from engine.errors import ConfigError, ExitCode
from engine.quantities import Fee
from feeds.guard import FeedLimits


@pytest.fixture(autouse=True)
def _empty_home(tmp_path, monkeypatch):
    """Run in an empty directory, with an empty user directory and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "user"))


def write(text: str, file: Path = Path("microburst.toml")) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def line_of(**places) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**places)
    assert caught.value.exit_code == ExitCode.CONFIG == 3
    return caught.value.line()


def test_defaults_are_exact():
    config = load().config
    assert (config.risk.position_size, config.risk.profile, config.risk.given) == (1, "", {})
    assert config.paper.starting_cash == 10_000
    assert config.paper.spread is None
    assert config.paper.fee == Fee()
    assert config.feed.stale_after == FeedLimits().stale_after_s * 1e9 == 3_000_000_000
    assert all(origin == "default" for _, _, origin in load().rows())


def test_each_place_gives_way_to_the_next(monkeypatch):
    def now() -> tuple[object, str]:
        found = load(flags)
        return found.config.paper.slippage_bps, {name: origin for name, _, origin in found.rows()}[key]

    flags: dict[str, Found] = {}
    key = "paper.slippage_bps"
    assert now() == (0, "default")
    write("\n[paper]\nslippage_bps = 1\n", user_file())
    assert now() == (1, f"{user_file()}:3")
    write("[paper]\n\nslippage_bps = 2.5\n")
    assert now() == (Fraction(5, 2), "microburst.toml:3")
    write("MICROBURST__PAPER__SLIPPAGE_BPS=3\nSOMETHING_ELSE=1\n", Path(".env"))
    assert now() == (3, ".env MICROBURST__PAPER__SLIPPAGE_BPS")
    monkeypatch.setenv("MICROBURST__PAPER__SLIPPAGE_BPS", "4")
    assert now() == (4, "environment MICROBURST__PAPER__SLIPPAGE_BPS")
    flags = {key: Found("5", "flag --slippage-bps")}
    assert now() == (5, "flag --slippage-bps")


def test_a_named_file_replaces_the_project_file(tmp_path):
    write("[paper]\nfills = 'last'\n[risk]\nposition_size = 3\n")
    write("[paper]\nfills = 'touch'\n", tmp_path / "other.toml")
    config = load(config_file=tmp_path / "other.toml").config
    assert (config.paper.fills, config.risk.position_size) == ("touch", 1)
    assert line_of(config_file=tmp_path / "none.toml") == (
        f"{tmp_path / 'none.toml'}: cannot read the configuration: No such file or directory"
    )


def test_decimals_in_a_file_are_not_binary_floats():
    write("[risk]\ndaily_loss_limit = 0.07\n[paper]\nfee = '0.5bps'\nstarting_cash = 1234.56\n")
    config = load().config
    assert with_limits(ALL_OFF, config.risk.given) == replace(ALL_OFF, daily_loss_limit=Fraction(7, 100))
    assert config.paper.fee == Fee(bps=Fraction(1, 2))
    assert config.paper.starting_cash == Fraction(123456, 100)


def test_strategy_parameters_merge_key_by_key(monkeypatch):
    write("[strategy]\nname = 'momentum_burst'\n[strategy.params]\nwindow = '7s'\nguard = 0.001\n")
    monkeypatch.setenv("MICROBURST__STRATEGY__PARAMS__WINDOW", "9s")
    found = load({"strategy.params.direction": Found("long", "flag --set")})
    assert {key: str(value) for key, value in found.config.strategy.params.items()} == {
        "window": "9s",
        "guard": "0.001",
        "direction": "long",
    }
    assert found.origins["strategy", "params", "guard"] == "microburst.toml:5"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[rsk]\nx = 1", "microburst.toml:2: unknown section 'rsk'; did you mean 'risk'?"),
        (
            "[risk]\n# a remark\ndaly_loss_limit = 1",
            "microburst.toml:3: unknown key 'daly_loss_limit' in [risk]; did you mean 'daily_loss_limit'?",
        ),
        ("fills = 'last'", "microburst.toml:1: 'fills' stands outside its section; put it under [paper]"),
        ("risk = 3", "microburst.toml:1: 'risk' is a section, not a value; write [risk] and keys below it"),
        ("[risk.daily_loss_limit]\nx = 1", "microburst.toml:2: 'risk.daily_loss_limit' is a value, not a section"),
        ("[strategy]\nparams = 3", "microburst.toml:2: 'params' is a section, not a value; write [strategy.params]"),
        ("[risk]\nposition_size = 'x'", "microburst.toml:2: risk.position_size: 'x' is not a number"),
        ("[risk]\nposition_size = 0", "microburst.toml:2: risk.position_size = 0: should be greater than 0"),
        (
            "[risk]\ndaily_loss_limit = 7",
            "microburst.toml:2: risk.daily_loss_limit: 7 is 700%; write it with its %, such as 7%",
        ),
        ("[risk]\npdt = 'none'", "microburst.toml:2: risk.pdt: there is no policy 'none'"),
        (
            "[risk]\nmax_open_orders = 2.5",
            "microburst.toml:2: risk.max_open_orders: max_open_orders of 2.5 is not a whole",
        ),
        (
            "[risk]\nprofile = 'equity'",
            "microburst.toml:2: risk.profile: there is no risk profile 'equity'; did you mean",
        ),
        (
            "[sizing]\nsize = 'large'",
            "microburst.toml:2: sizing.size: 'large' is not a size; write 3 units, 500 dollars",
        ),
        ("[paper]\nfills = 'lst'", "microburst.toml:2: paper.fills = lst: should be 'auto', 'last', 'touch'"),
        ("paper.spread = -1", "microburst.toml:1: paper.spread: -1 is negative"),
        ("[feed]\nstale_after = '2 days'", "microburst.toml:2: feed.stale_after: '2 days' is not a duration"),
        ("[session]\ncalendar = 'us_equity'", "microburst.toml:2: session.calendar: there is no calendar 'us_equity'"),
        ("[telemetry]\nenabled = 'maybe'", "microburst.toml:2: telemetry.enabled = maybe: should be a valid boolean"),
        ("[feed]\naddress\n", "microburst.toml:2: not valid TOML"),
    ],
)
def test_mistakes_in_a_file_are_one_line_with_file_and_line(text, line):
    write(text)
    assert line_of().startswith(line)


def test_bytes_that_are_not_text():
    Path("microburst.toml").write_bytes(b"\xff\xfe\x00")
    assert line_of() == "microburst.toml: not UTF-8 text; correct it there, or read another file with --config FILE"


def test_a_mark_of_the_encoding_is_no_part_of_the_file():
    Path("microburst.toml").write_bytes(b"\xef\xbb\xbf[paper]\nfee = '5bps'\n")
    assert str(load().config.paper.fee) == "5bps"


def test_the_home_directory_is_meant_in_every_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    write('[journal]\ndirectory = "~/j"\ndatabase = "~/t.db"\n[log]\nfile = "~/l"\n')
    config = load().config
    found = [Path(one) for one in (config.journal.directory, config.journal.database, config.log.file)]
    assert found == [Path("/home/me") / name for name in ("j", "t.db", "l")]


@pytest.mark.skipif(sys.platform == "win32", reason="there it is guessed")
def test_a_home_directory_that_nobody_knows():
    write('[journal]\ndirectory = "~nobody-of-this-name/j"\n')
    assert line_of().startswith("microburst.toml:2: journal.directory: nobody knows the home directory in")


def test_mistakes_elsewhere_name_the_variable_or_flag(monkeypatch):
    assert line_of(flags={"paper.fee": Found("free", "flag --fee")}).startswith("flag --fee: paper.fee: 'free' is not")
    write("MICROBURST__RSK__X=1", Path(".env"))
    assert line_of() == ".env MICROBURST__RSK__X: unknown section 'rsk'; did you mean 'risk'?"
    for text, line in (("# fine\n\nthis is not one\n", 3), ("A=1\nMICROBURST__RISK__POSITION_SIZE\n", 2)):
        write(text, Path(".env"))
        assert line_of() == f".env:{line}: not a line of the form NAME=value; correct the line or remove it"
    write("A=1\nMICROBURST_FEED__ADDRESS=x\n", Path(".env"))
    meant = "there is no variable MICROBURST_FEED__ADDRESS; did you mean 'MICROBURST__FEED__ADDRESS'?"
    assert line_of() == f".env:2: {meant}"
    Path(".env").write_bytes(b"A=\xff\n")
    assert line_of() == ".env: not UTF-8 text"
    Path(".env").unlink()
    monkeypatch.setenv("MICROBURST_FEED__ADDRESS", "x")
    assert line_of() == f"environment MICROBURST_FEED__ADDRESS: {meant}"
    monkeypatch.delenv("MICROBURST_FEED__ADDRESS")
    monkeypatch.setenv("MICROBURST_SHARED", "x")
    monkeypatch.setenv("MICROBURST__FEED__ADRESS", "x")
    assert line_of() == "environment MICROBURST__FEED__ADRESS: unknown key 'adress' in [feed]; did you mean 'address'?"


def test_a_spread_and_last_fills_exclude_each_other():
    """An explicit spread stands instead of quotes: with fills that have no spread it would be silently ignored."""
    write("[paper]\nfills = 'last'\n")
    assert line_of(flags={"paper.spread": Found("0.02", "flag --spread")}) == (
        "flag --spread: fills at the last price have no spread; "
        "leave out the spread, or the fills = last (microburst.toml:2)"
    )
    for fills in ("auto", "touch"):
        write(f"[paper]\nfills = '{fills}'\nspread = 0.02\n")
        assert load().config.paper.spread == Fraction(1, 50)


def test_the_template_names_every_key_and_loads_with_every_default():
    uncommented = "\n".join(
        line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in template().splitlines()
    )
    keys = [f"{section}.{key}" for section, table in tomllib.loads(uncommented).items() for key in table]
    write(template())
    assert [row[:2] for row in load().rows() if row[2] != "default"] == []
    write(uncommented)
    found = load()
    assert keys == [*dict.fromkeys(".".join(key.split(".")[:2]) for key, _, _ in found.rows())]
    assert found.config.model_dump(exclude={"strategy"}) == type(found.config)().model_dump(exclude={"strategy"})
    assert all(origin.startswith("microburst.toml:") for _, _, origin in found.rows())


def test_values_cannot_be_changed():
    config = load().config
    with pytest.raises(ValueError, match="frozen"):
        config.risk.position_size = 2


def test_the_reference_page_lists_every_key_as_declared():
    page = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text(encoding="utf-8")
    listed = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")
    ]
    declared = []
    for name, section in sections():
        for key, field in section.model_fields.items():
            default = "" if isinstance(field.default, dict | tuple) else str(field.default)
            default = default.lower() if isinstance(field.default, bool) else default
            declared.append([f"{name}.{key}", default, field.json_schema_extra["unit"], field.description])
    assert listed == declared


def test_the_switches_of_the_build_are_no_misspelt_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that ``setup.py`` names may stand in the environment of the engine."""
    named = set(re.findall(r"``(MICROBURST_[A-Z0-9_]+)", (Path(__file__).parents[2] / "setup.py").read_text()))
    assert len(named) >= 5
    for name in named:
        monkeypatch.setenv(name, "0")
    load()
