"""The result of a paper session, as a table and as one JSON object, with the limits that it was held to."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from engine.account.limits import RiskLimits, said_limits
from engine.console import Event, counts, latency, signed
from engine.telemetry_wire import AccountView, Snapshot, decimals

WIDEST = 60
"""Columns of a value; longer ones, such as the limits, are wrapped."""


def summary_event(
    snapshot: Snapshot, reasons: Mapping[str, int], profile: str, limits: RiskLimits, without_feed_s: float
) -> Event:
    """Return the result of a session as one JSON object, with the limits that it was held to."""
    account, feed = snapshot.account, snapshot.feed
    return {
        "event": "summary",
        "run_id": snapshot.session_id,
        "ended": snapshot.ended,
        "seconds": (snapshot.engine_ts_ns - snapshot.started_ts_ns) / 1e9,
        "ticks": feed.accepted,
        "rejected": feed.rejected,
        "bad_frames": feed.bad_frames,
        "late": feed.late,
        "gaps": feed.gaps,
        "reconnects": feed.reconnects,
        "without_feed_s": without_feed_s,
        "trades": account.trades,
        "wins": account.wins,
        "losses": account.losses,
        "reasons": dict(sorted(reasons.items())),
        "gross": account.gross,
        "spread_cost": account.spread_cost,
        "slippage_cost": account.slippage_cost,
        "fees": account.fees,
        "borrow_cost": account.borrow_cost,
        "net": account.total_pnl,
        "max_drawdown": account.max_drawdown,
        "skipped_signals": snapshot.skipped_signals,
        "refusals": snapshot.refusals,
        "risk_profile": profile,
        "risk": limits.to_json(),
        "latency_p50_us": snapshot.latency_p50_us,
        "latency_p99_us": snapshot.latency_p99_us,
    }


def summary_table(
    snapshot: Snapshot, reasons: Mapping[str, int], profile: str, limits: RiskLimits, without_feed_s: float
) -> Table:
    """Return the result of a session as a table, with the limits that it was held to."""
    account, feed = snapshot.account, snapshot.feed
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=WIDEST)
    rows = {
        "ended": snapshot.ended or "-",
        "ticks": f"{feed.accepted:,}",
        "rejected": counts({**feed.rejected, **feed.bad_frames}) or "0",
        "gaps": f"{feed.gaps:,}",
        "reconnects": f"{feed.reconnects:,}",
        "time without feed": f"{without_feed_s:.1f} s",
        "trades": f"{account.trades} ({account.wins} won, {account.losses} lost)",
        "by reason": counts(reasons) or "-",
        **_money_rows(account),
        "signals skipped": str(snapshot.skipped_signals),
        "refused": counts(snapshot.refusals) or "0",
        "limits": said_limits(profile, limits.to_json()),
        "tick to decision": f"p50 {latency(snapshot.latency_p50_us)}, p99 {latency(snapshot.latency_p99_us)}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _money_rows(account: AccountView) -> dict[str, str]:
    """From gross to net, each with as many decimals as all of them need, point under point: the reader may add them up.

    What only some sessions have, the cost of borrowing and a position that stayed open, has a row where there is any.
    """
    amounts = {
        "gross": account.gross,
        "spread cost": account.spread_cost,
        "slippage cost": account.slippage_cost,
        "fees": account.fees,
        **({"borrow cost": account.borrow_cost} if account.borrow_cost else {}),
        **({"open P/L": account.open_pnl} if account.open_pnl else {}),
        "net": account.total_pnl,
        "max drawdown": account.max_drawdown,
    }
    digits = decimals(*amounts.values())
    results = ("gross", "open P/L", "net")
    texts = {
        name: signed(value, digits) if name in results else f"{value:.{digits}f}" for name, value in amounts.items()
    }
    width = max(map(len, texts.values()))
    return {name: text.rjust(width) for name, text in texts.items()}
