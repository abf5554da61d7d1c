"""How much of each limit is used: what viewers are told, recomputed from what else they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.settings import Config
from engine.telemetry_wire import Snapshot
from tests.unit.session_world import Line, climb, heartbeats, play, rise_config

LINE = Line(sorted([*climb(0, 1), *heartbeats(1, 20)], key=lambda frame: frame[0]))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = rise_config(tmp_path)
    risk = config.risk.model_copy(update={"profile": "guarded", "daily_loss_limit": "1%"})
    return config.model_copy(update={"risk": risk})


def uses(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    return {gauge.name: (gauge.use, gauge.bound) for gauge in snapshot.account.gauges}


def test_every_limit_that_lasts_has_its_use_and_bound(config: Config) -> None:
    """One unit of about 100 held by an account of 10,000, before, during and after."""
    world = play(config, LINE, seconds=14)
    (closed,) = world.session.kernel.trades
    before = next(one for one in world.snapshots if world.at(one.engine_ts_ns) > 1)
    during = next(one for one in world.snapshots if world.at(one.engine_ts_ns) > 5)
    after = world.last
    assert before.symbols[0].position is None
    assert during.symbols[0].position is not None
    idle = uses(before)
    assert {name for name, (use, _) in idle.items() if use} == set()
    assert {name: bound for name, (_, bound) in idle.items()} == {
        "daily_loss_limit": 0.01,
        "daily_loss_money": 200,
        "max_drawdown": 0.05,
        "max_losses_in_row": 5,
        "max_stops_in_row": 5,
        "max_cancel_ratio": 10,
        "max_trades_per_day": 20,
        "pdt": 3,
        "positions_per_symbol": 1,
        "max_position_units": 100,
        "max_position_value": 2000,
        "position_capital_fraction": 0.2,
        "max_total_capital_fraction": 1,
        "max_leverage": 1,
        "max_open_orders": 10,
        "max_orders_per_second": 5,
    }
    held, value = uses(during), during.symbols[0].price
    lost = 10_000 - during.account.equity
    assert lost > 0  # half the spread
    assert held["daily_loss_money"][0] == pytest.approx(lost)
    assert held["daily_loss_limit"][0] == held["max_drawdown"][0] == pytest.approx(lost / 10_000)
    assert [held[name][0] for name in ("max_trades_per_day", "pdt", "positions_per_symbol", "max_position_units")] == [
        1
    ] * 4
    assert held["max_position_value"][0] == pytest.approx(value)
    share = value / during.account.equity
    for name in ("position_capital_fraction", "max_total_capital_fraction", "max_leverage"):
        assert held[name][0] == pytest.approx(share)
    assert held["max_open_orders"][0] == held["max_orders_per_second"][0] == 0
    done = uses(after)
    assert float(closed.net) < 0
    assert done["max_losses_in_row"][0] == done["max_trades_per_day"][0] == done["pdt"][0] == 1
    assert done["daily_loss_money"][0] == pytest.approx(-float(closed.net))
    assert done["max_position_value"][0] == done["positions_per_symbol"][0] == 0


def test_to_look_changes_nothing(config: Config) -> None:
    """Risk forgets orders of more than a second ago as it judges; who only looks must not make it forget."""
    world = play(config, LINE, seconds=4)
    ledger = world.session.kernel.risk.ledger
    sent = list(ledger._sent_ns)
    assert sent
    assert ledger.sent_after(sent[-1] - 1) == 1
    assert ledger.sent_after(sent[-1]) == 0
    world.session.view.account(sent[-1] + 10**12)
    assert list(ledger._sent_ns) == sent


def test_a_limit_that_is_off_is_no_gauge(tmp_path: Path) -> None:
    world = play(rise_config(tmp_path), LINE, seconds=4)
    assert set(uses(world.last)) == {"daily_loss_limit", "positions_per_symbol"}
