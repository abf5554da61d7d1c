"""``microburst pause | flatten | kill | resume``: what an operator does to running sessions from a shell.

Three ways to less risk, which are not the same: *pause* opens nothing more and leaves positions to their exits,
*flatten* closes everything and trades on, *kill* closes everything and keeps it so, restarts included, until *resume*.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.shared import ConfigFlag, JsonFlag, load_config, wall_ns, write_json, write_table
from engine.errors import ConfigError, ExitCode, NotFoundError, UnreachableError, UserError, nearest

if TYPE_CHECKING:
    from engine.telemetry_wire import Done, Endpoint

SCHEMA = "microburst.command/1"

SHOWN_WITHIN_S = 2.0
"""How long a command waits until the session's health file shows what it has done, for a status that is asked next."""

POLL_S = 0.02

SessionFlag = Annotated[
    str | None,
    typer.Option("--session", metavar="SESSION", help="Only this: its name, the beginning of it, 'last', or its pid."),
]
ReasonFlag = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")]


@dataclass(frozen=True, slots=True)
class Running:
    """A session of this user that runs; ``endpoint`` is None where it has no telemetry to be reached by."""

    session: str
    pid: int
    endpoint: Endpoint | None


def pause(session: SessionFlag = None, reason: ReasonFlag = "", as_json: JsonFlag = False) -> None:
    """Open nothing more: waiting entries are called back, positions are left to their exits, until a resume."""
    _tell(_ask_all("pause", reason, _chosen(session)), as_json)


def flatten(session: SessionFlag = None, reason: ReasonFlag = "", as_json: JsonFlag = False) -> None:
    """Close every position at the market; trading goes on."""
    _tell(_ask_all("flatten", reason, _chosen(session)), as_json)


def kill(session: SessionFlag = None, reason: ReasonFlag = "", as_json: JsonFlag = False) -> None:
    """Halt: close everything and open nothing, in this session and in those to come, until a resume with a reason.

    The kill file is written first, so that a session that cannot be reached halts as well, within a fifth of a second,
    and one that starts later starts halted. With --session that session alone is halted, and no file is written.
    """
    from engine.live.kill_file import KillFile

    file: Path | None = None
    if session is None:
        file = KillFile().path
        try:
            KillFile().put(reason or "microburst kill")
        except OSError as error:
            _warn(f"the kill file {file} cannot be written: {error.strerror or error}")
            file = None
    running = _chosen(session) if session is not None else _running()
    if not running and file is None:
        raise NotFoundError("no session is running, and no kill file was written")
    _tell(
        _ask_all("halt", reason or "microburst kill", running, by_signal=True, covered=file is not None), as_json, file
    )


def resume(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why trading may go on; it is recorded.")],
    session: SessionFlag = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Of this account, where no session is running.")
    ] = None,
    config_file: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """End a pause or a halt, for a reason, and remove the kill file.

    Where no session is running, the account's last one may have left it paused or halted: its next one goes on, then.
    """
    from engine.live.kill_file import KillFile

    if not reason.strip():
        raise ConfigError("the reason is empty", where="--reason", fix="say why trading may go on")
    running = _running()
    if session is not None or len(running) > 1:
        running = _chosen(session, several=False)
    lifted = None if running else _lift(account, config_file, reason)
    kill_file = KillFile()
    try:
        removed = kill_file.remove()
    except OSError as error:
        raise UserError(f"the kill file cannot be removed: {error.strerror}", where=str(kill_file.path)) from None
    if lifted is not None and not lifted.was and not removed:
        what = (
            f"no session is running, account {lifted.account} is neither paused nor halted, and there is no kill file"
        )
        raise NotFoundError(what, fix="name another account with --account")
    told = _ask_all("resume", reason, running)
    _tell(told, as_json, kill_file.path if removed else None, removed=removed, lifted=lifted)


@dataclass(frozen=True, slots=True)
class Lifted:
    """An account that no session trades, and what it ``was``: halted or paused, in words; "" when neither."""

    account: str
    was: str


def _lift(account: str | None, config_file: Path | None, reason: str) -> Lifted:
    from engine.journal.accounts import account_names
    from engine.journal.sessions import root_of
    from engine.live.opening import lift

    config = load_config(config_file, paper__account=account).config
    root, name = root_of(config.journal.directory), config.paper.account
    if account is not None and name not in (known := account_names(root)):
        raise NotFoundError(f"no account '{name}' has been traded", where="--account", fix=nearest(name, known))
    return Lifted(name, lift(root, name, reason).words)


# ------------------------------------------------------------ whom


def _running() -> list[Running]:
    """Every session of this user that runs: those with telemetry announce themselves, all have a health file."""
    from engine.live.health import SILENT_S, lives, read_health
    from engine.telemetry import private_directory
    from engine.telemetry_wire import read_endpoints

    directory = private_directory()
    found = {one.pid: Running(one.session_id, one.pid, one) for one in read_endpoints(directory) if lives(one.pid)}
    for report in read_health(directory):
        if report["alive"] and report["age_s"] <= SILENT_S and report["pid"] not in found:
            found[report["pid"]] = Running(str(report.get("session", "-")), report["pid"], None)
    return sorted(found.values(), key=lambda one: one.session)


def _chosen(session: str | None, *, several: bool = True) -> list[Running]:
    from engine.journal.sessions import meant

    running = _running()
    if not running:
        raise NotFoundError("no session is running", fix="start one with: microburst run")
    if session is None:
        if len(running) > 1 and not several:
            names = ", ".join(one.session for one in running)
            raise ConfigError(f"{len(running)} sessions run: {names}", where="--session", fix="name one of them")
        return running
    chosen = [one for one in running if session == str(one.pid)]
    if not chosen:
        name = meant(session, [one.session for one in running], where="--session", kind="running session")
        chosen = [one for one in running if one.session == name]
    return chosen


# ------------------------------------------------------------ what is said


@dataclass(frozen=True, slots=True)
class Answer:
    """What one session said, or what was done about it where it could not be asked."""

    running: Running
    done: Done | None = None
    instead: str = ""
    problem: str = ""


def _ask_all(
    name: str, reason: str, running: list[Running], *, by_signal: bool = False, covered: bool = False
) -> list[Answer]:
    asked_ns = wall_ns()
    told = [_ask(name, reason, one, by_signal=by_signal, covered=covered) for one in running]
    deadline_ns = wall_ns() + int(SHOWN_WITHIN_S * 1e9)
    while not all(_is_shown(name, one, asked_ns) for one in told) and wall_ns() < deadline_ns:
        time.sleep(POLL_S)
    return told


def _is_shown(name: str, told: Answer, asked_ns: int) -> bool:
    """Whether the health file of a session shows what a command has done; true where there is nothing to wait for."""
    from engine.live.health import read_health
    from engine.telemetry import private_directory

    done = told.done
    if not (done.obeyed if done is not None else told.instead):
        return True
    report = next((one for one in read_health(private_directory()) if one["pid"] == told.running.pid), None)
    if report is None or not report["alive"]:
        return True
    state = done.state if done is not None else "halted"
    stands = report["state"] == ("running" if state == "active" else state)
    closed = name not in ("flatten", "halt") or not report.get("positions")
    return stands and closed and report["written_ts_ns"] >= asked_ns


def _ask(name: str, reason: str, one: Running, *, by_signal: bool, covered: bool) -> Answer:
    """Ask over telemetry; a halt that does not get through that way goes by signal, and else by the kill file."""
    from engine.telemetry import private_directory
    from engine.telemetry_client import ask
    from engine.telemetry_wire import Command, read_control

    problem = "it has no telemetry to be reached by"
    if one.endpoint is not None:
        try:
            control = read_control(private_directory(), one.pid)
            return Answer(one, ask(one.endpoint, control, Command(name, reason)))
        except UnreachableError as error:
            problem = error.what
    if by_signal and hasattr(signal, "SIGUSR1"):
        try:
            os.kill(one.pid, signal.SIGUSR1)
        except OSError as error:
            problem += f", nor by a signal ({error.strerror})"
        else:
            return Answer(one, instead="told by a signal")
    return Answer(one, instead="left to the kill file" if covered else "", problem=problem)


def _tell(
    told: list[Answer],
    as_json: bool,
    file: Path | None = None,
    *,
    removed: bool = False,
    lifted: Lifted | None = None,
) -> None:
    """Say what each session answered; the exit code is that of the first that could not be reached, or did not obey."""
    if as_json:
        write_json(
            {
                "schema": SCHEMA,
                "sessions": [_facts(one) for one in told],
                "kill_file": None if file is None else {"path": str(file), "removed": removed},
                "account": None if lifted is None else {"name": lifted.account, "was": lifted.was},
            }
        )
    else:
        lines = [f"kill file {file} {'removed' if removed else 'written'}"] if file is not None else []
        lines += [_line(one) for one in told]
        if file is not None and not told:
            lines.append(
                "no session is running" + ("" if removed else "; one that starts stays halted until it is gone")
            )
        if lifted is not None and lifted.was:
            lines.append(f"account {lifted.account} was {lifted.was}: its next session is resumed as it starts")
        write_table(*lines)
    for one in told:
        if one.done is not None and not one.done.obeyed:
            raise UserError(one.done.detail, where=one.running.session, exit_code=ExitCode.STOPPED)
        if one.done is None and not one.instead:
            raise UnreachableError(one.problem, where=f"session {one.running.session} (pid {one.running.pid})")


def _line(one: Answer) -> str:
    from engine.telemetry_wire import state_in_words

    head = f"{one.running.session} (pid {one.running.pid})"
    if one.done is None:
        return f"{head}: {one.instead or one.problem}"
    moment = datetime.fromtimestamp(one.done.ts_ns // 1_000_000_000, UTC)
    at = f"{moment:%Y-%m-%d %H:%M:%S}.{one.done.ts_ns // 1_000_000 % 1000:03d} UTC"
    if not one.done.obeyed:
        return f"{head}: not obeyed at {at}: {one.done.detail}"
    return f"{head}: {one.done.name} done at {at}: {state_in_words(one.done.state, one.done.detail)}"


def _facts(one: Answer) -> dict[str, Any]:
    facts: dict[str, Any] = {"session": one.running.session, "pid": one.running.pid, "instead": one.instead}
    done = one.done
    if done is None:
        return facts | {"obeyed": None, "problem": one.problem}
    return facts | {
        "command": done.name,
        "obeyed": done.obeyed,
        "ts_ns": done.ts_ns,
        "state": done.state,
        "detail": done.detail,
    }


def _warn(text: str) -> None:
    """Say on standard error what did not work, and go on: halting must not end at the first obstacle."""
    print(f"warning: {text}", file=sys.stderr)
