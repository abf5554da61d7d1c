"""``microburst risk``: every limit with its value, its origin and what happens there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.account.limits import LIMITS, PROFILES
from engine.cli import main


@pytest.fixture(autouse=True)
def _empty_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["risk", *arguments])
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, _ = ended(capsys, "show", "--json", *arguments)
    assert code == 0
    found = orjson.loads(out)
    return {**found, "limits": {row["limit"]: row for row in found["limits"]}}


def test_every_limit_is_listed_with_unit_and_consequence(capsys):
    found = shown(capsys)
    assert found["profile"] == {"name": "standard", "origin": "strategy MomentumBurst"}
    assert found["size"] == {"value": "1 unit", "origin": "default"}
    assert list(found["limits"]) == [limit.name for limit in LIMITS]
    on = {name for name, row in found["limits"].items() if row["on"]}
    assert on == {"daily_loss_limit", "positions_per_symbol"}  # those of its page, and no other
    row = found["limits"]["daily_loss_limit"]
    assert (row["value"], row["refusal"], row["origin"]) == ("5%", "DAILY_LOSS", "profile standard")
    assert all(row["unit"] and row["meaning"] for row in found["limits"].values())
    silent = {name for name, row in found["limits"].items() if not row["reached"]}
    assert silent == {"liquidation_bar", "maintenance_margin"}  # they say how the liquidation buffer measures


def test_the_configuration_stands_over_the_profile(capsys, monkeypatch):
    Path("microburst.toml").write_text("[risk]\nprofile = 'guarded'\nmax_leverage = 3\npdt = 'off'\n")
    monkeypatch.setenv("MICROBURST__RISK__PRICE_COLLAR", "1%")
    found = shown(capsys, "--size", "1% risk")
    assert found["profile"] == {"name": "guarded", "origin": "microburst.toml:2"}
    assert found["size"] == {"value": "RiskPerTrade(1%)", "origin": "flag --size"}
    rows = found["limits"]
    places = {name: (rows[name]["value"], rows[name]["on"], rows[name]["origin"]) for name in rows}
    assert places["max_leverage"] == ("3", True, "microburst.toml:3")
    assert places["pdt"] == ("off", False, "microburst.toml:4")
    assert places["price_collar"] == ("1%", True, "environment MICROBURST__RISK__PRICE_COLLAR")
    assert places["max_order_units"] == ("100", True, "profile guarded")


def test_the_flag_stands_over_the_configuration(capsys):
    Path("microburst.toml").write_text("[risk]\nprofile = 'guarded'\n")
    found = shown(capsys, "--risk-profile", "off")
    assert found["profile"] == {"name": "off", "origin": "flag --risk-profile"}
    assert not any(row["on"] for row in found["limits"].values())


def test_profiles_are_listed_with_what_they_switch_on(capsys):
    code, out, _ = ended(capsys, "profiles", "--json")
    found = orjson.loads(out)["profiles"]
    assert (code, list(found)) == (0, list(PROFILES))
    assert found["off"]["limits"] == {}
    for_margin = {"liquidation_buffer", "liquidation_bar", "maintenance_margin"}
    assert set(found["guarded"]["limits"]) == {limit.name for limit in LIMITS} - for_margin
    code, out, _ = ended(capsys, "profiles")
    assert code == 0
    assert all(name in out for name in PROFILES)


def test_the_page_names_for_every_limit_a_test_that_there_is():
    root = Path(__file__).parents[2]
    _, page = (root / "docs/reference/risk.md").read_text(encoding="utf-8").split("## How it is tested")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} >= {limit.name for limit in LIMITS}
    named = re.findall(r"`(tests/\S+)::(\w+)`", page)
    assert len(named) > len(rows)
    for file, test in named:
        assert f"def {test}(" in (root / file).read_text(encoding="utf-8"), (file, test)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("show", "--risk-profile", "equity"), "flag --risk-profile: risk.profile: there is no risk profile 'equity'"),
        (("show", "--size", "big"), "flag --size: sizing.size: 'big' is not a size"),
        (("show", "--strategy", "momentum"), "there is no strategy"),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments, line):
    code, out, err = ended(capsys, *arguments)
    assert (code, out) == (5 if "strategy" in arguments[1] else 3, "")
    assert line in err
    assert err.count("\n") == 1
