"""``microburst status``: what the running sessions are about."""

from __future__ import annotations

from typing import Any

from engine.commands.shared import JsonFlag, elapsed, plain_table, write_json, write_table
from engine.errors import ExitCode, NotFoundError


def status(as_json: JsonFlag = False) -> int:
    """Show the sessions of this user that run, and those that died without an end in order.

    The exit code is 7 when one that runs is halted.
    """
    from engine.live.health import SCHEMA, read_health
    from engine.live.kill_file import KillFile
    from engine.telemetry import private_directory

    found = list(read_health(private_directory()))
    kill_file = KillFile()
    killed = kill_file.is_there()
    if not found and killed:
        fix = "remove it with: microburst resume --reason '...'"
        what = "no session is running, and one that starts is halted by the kill file"
        raise NotFoundError(what, where=str(kill_file.path), fix=fix)
    if not found:
        raise NotFoundError("no session is running", fix="start one with: microburst run")
    halted = any(report["alive"] and report["state"] == "halted" for report in found)
    if as_json:
        kill = {"path": str(kill_file.path), "reason": kill_file.reason()} if killed else None
        write_json({"schema": SCHEMA, "sessions": found, "kill_file": kill})
        return ExitCode.STOPPED if halted else ExitCode.OK
    table = plain_table("session", "pid", "mode", "state", "feed", "positions", "day", "as of", right=["pid", "day"])
    for report in found:
        table.add_row(
            str(report.get("session", "-")),
            str(report["pid"]),
            str(report.get("mode", "-")),
            state_of(report),
            str(report.get("feed", {}).get("state", "-")),
            positions_of(report),
            f"{report.get('daily_pnl', 0):+.2f}",
            age_of(report),
        )
    write_table(table, *([f"kill file {kill_file.path}: {kill_file.reason()}"] if killed else []))
    return ExitCode.STOPPED if halted else ExitCode.OK


def age_of(report: dict[str, Any]) -> str:
    """How long ago a session wrote what is shown of it."""
    age_s = report["age_s"]
    return f"{age_s:.1f} s ago" if age_s < 60 else f"{elapsed(round(age_s))} ago"


def state_of(report: dict[str, Any]) -> str:
    """What to say of a session: its own word, unless it can no longer speak."""
    from engine.live.health import SILENT_S
    from engine.telemetry_wire import state_in_words

    state = str(report["state"])
    if state == "stuck":
        return f"stuck: {report['last_error']}"
    if not report["alive"]:
        return "died"
    if report["age_s"] > SILENT_S:
        return f"no sign of life for {report['age_s']:.0f} s"
    return state_in_words(state, report.get("halted") or "")


def positions_of(report: dict[str, Any]) -> str:
    """The open positions in a line; of a session that died those that it had then."""
    held = report.get("positions", {})
    line = ", ".join(f"{symbol} {one['side']} {one['qty']:g}" for symbol, one in held.items())
    if not line:
        return "-"
    return line if report["alive"] else f"{line} when it died"
