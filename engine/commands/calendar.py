"""``microburst calendar``: when a market is open, what session rules make of it, and what comes next."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.commands.shared import JsonFlag, plain_table, wall_ns, write_json, write_table
from engine.errors import ConfigError, ExitCode, MissingExtraError, UserError
from engine.model import SECOND_NS
from engine.sessions.clock import DAY_NS, UTC, Clock, day_number, day_text
from engine.sessions.trading_calendar import NEVER_NS

if TYPE_CHECKING:
    from rich.table import Table

    from engine.sessions.rules import Boundary, Happens, Schedule
    from engine.sessions.trading_calendar import Calendar
    from engine.tools.session_days import SessionDay

SCHEMA = "microburst.calendar/1"
USUAL_DAYS = 14
"""Days that ``show`` covers unless told otherwise."""
LIST_WIDTH = 100
RULES = ("entries", "avoid", "maintenance", "flatten_at", "flatten_before_close", "friday_close", "zone")
"""The session rules, in the order in which both verbs take them."""

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="always, us_equities, globex, or an exchange such as XNYS.")
]
EntriesFlag = Annotated[
    str, typer.Option("--entries", metavar="SPANS", help="Entries only within these: 09:45-11:30,14:00-15:45.")
]
AvoidFlag = Annotated[
    str, typer.Option("--avoid", metavar="SPANS", help="No entries within these; midday is 12:00-14:00.")
]
MaintenanceFlag = Annotated[
    str, typer.Option("--maintenance", metavar="SPAN", help="Nothing is open within it: 17:00-18:00.")
]
FlattenAtFlag = Annotated[str, typer.Option("--flatten-at", metavar="TIME", help="Close everything then: 16:45.")]
FlattenFlag = Annotated[
    str, typer.Option("--flatten-before-close", metavar="TIME", help="Close everything so long before a close: 5m.")
]
FridayFlag = Annotated[
    str, typer.Option("--friday-close", metavar="TIME", help="Close everything then before a weekend: 16:00.")
]
ZoneFlag = Annotated[
    str, typer.Option("--zone", metavar="ZONE", help="The clock of these times, if not the exchange's.")
]

app = typer.Typer(help="Show when a market is open, and what comes next.", no_args_is_help=False)


@app.command("list")
def list_all(as_json: JsonFlag = False) -> None:
    """List the calendars: built-in, and those of the library, where it is installed."""
    from engine.calendars import library_names
    from engine.sessions.trading_calendar import calendar_names

    try:
        names, missing = library_names(), ""
    except MissingExtraError as error:
        names, missing = (), error.line()
    if as_json:
        write_json({"schema": SCHEMA, "built_in": calendar_names(), "library": names})
        return
    whole = ", ".join(name.replace(" ", "\xa0") for name in names)  # a name is not broken
    lines = textwrap.wrap(whole or missing, LIST_WIDTH, break_on_hyphens=False)
    exchanges = [f"  {line}".replace("\xa0", " ") for line in lines]
    write_table("built in", f"  {', '.join(calendar_names())}", "exchanges and products of the library", *exchanges)


@app.command()
def show(
    name: NameArgument,
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="First trading day: 2024-11-25; or today.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="Last trading day; or two weeks on.")] = "",
    entries: EntriesFlag = "",
    avoid: AvoidFlag = "",
    maintenance: MaintenanceFlag = "",
    flatten_at: FlattenAtFlag = "",
    flatten_before_close: FlattenFlag = "",
    friday_close: FridayFlag = "",
    zone: ZoneFlag = "",
    as_json: JsonFlag = False,
) -> None:
    """Show the sessions of a market, day by day, on its own clock and in UTC.

    Days that are not ordinary say why. With rules, also when entries are allowed and when everything is closed.
    """
    from engine.tools.session_days import boundary_json, session_days

    texts = (entries, avoid, maintenance, flatten_at, flatten_before_close, friday_close, zone)
    calendar, schedule, clock = _load(name, texts)
    begin = _day(first, "--from") if first else wall_ns() // DAY_NS
    end = _day(last, "--to") if last else begin + USUAL_DAYS - 1
    if end < begin:
        what = f"the last day, {day_text(end)}, is before the first, {day_text(begin)}"
        raise UserError(what, where="flag --to", exit_code=ExitCode.USAGE)
    for day in (begin, end):
        calendar.trading_day(day * DAY_NS)  # refuses years that it does not cover
    days = list(session_days(calendar, schedule, begin, end))
    told: dict[str, Any] = {"schema": SCHEMA, "calendar": name, "zone": calendar.clock.name}
    if calendar.is_always:
        boundaries = list(schedule.between(begin * DAY_NS, (end + 1) * DAY_NS)) if any(texts) else []
        if as_json:
            write_json({**told, "days": [], "boundaries": [boundary_json(one, clock) for one in boundaries]})
        else:
            table = [_boundary_table(calendar, boundaries, clock, ruled=True)] if boundaries else []
            write_table(f"{name}: open around the clock; the trading day is the UTC day", *table)
    elif as_json:
        write_json({**told, "days": [day.to_json(calendar.clock) for day in days]})
    else:
        _show_days(calendar, days, with_rules=any(texts))


@app.command("next")
def show_next(
    name: NameArgument,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="From then on: ISO text, UTC without a zone; or now.")
    ] = "",
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=1000, help="How many boundaries.")] = 6,
    entries: EntriesFlag = "",
    avoid: AvoidFlag = "",
    maintenance: MaintenanceFlag = "",
    flatten_at: FlattenAtFlag = "",
    flatten_before_close: FlattenFlag = "",
    friday_close: FridayFlag = "",
    zone: ZoneFlag = "",
    as_json: JsonFlag = False,
) -> None:
    """Show the state of a market at a moment, and what happens next."""
    from engine.quantities import parse_time_ns
    from engine.tools.session_days import boundary_json, moment_json

    texts = (entries, avoid, maintenance, flatten_at, flatten_before_close, friday_close, zone)
    calendar, schedule, clock = _load(name, texts)
    at_ns = parse_time_ns(at, where="flag --at") if at else wall_ns()
    in_session, allowed = calendar.session_index(at_ns) >= 0, schedule.entries_allowed(at_ns)
    coming = list(itertools.islice(schedule.between(at_ns + 1, NEVER_NS), count))
    if as_json:
        state = {"at": moment_json(at_ns, clock), "open": in_session, "entries_allowed": allowed}
        state["trading_day"] = day_text(calendar.trading_day(at_ns))
        next_ones = [boundary_json(one, clock) for one in coming]
        write_json({"schema": SCHEMA, "calendar": name, "zone": clock.name, **state, "next": next_ones})
        return
    state_text = f"{'open' if in_session else 'closed'}, trading day {day_text(calendar.trading_day(at_ns))}"
    if any(texts):
        state_text += f", entries {'allowed' if allowed else 'off'}"
    utc = "" if clock is UTC else f", {_local(at_ns, UTC)} UTC"
    sentence = f"{name} at {_local(at_ns, clock)} {clock.name}{utc}: {state_text}"
    if coming:
        write_table(sentence, "", _boundary_table(calendar, coming, clock, ruled=any(texts), from_ns=at_ns))
    else:
        write_table(sentence, "nothing ever happens: it is open around the clock, and there are no rules")


# --- Reading what was given -------------------------------------------------------------------------------------------


def _load(name: str, texts: Sequence[str]) -> tuple[Calendar, Schedule, Clock]:
    """Return the calendar, its schedule under the rules of the flags, and the clock to show it on."""
    from engine.calendars import calendar as find_calendar
    from engine.sessions.rules import SessionRules, schedule

    calendar = find_calendar(name)
    settings = dict(zip(RULES, texts, strict=True))
    rules = SessionRules.read(settings, {key: f"flag --{key.replace('_', '-')}" for key in RULES})
    return calendar, schedule(calendar, rules), rules.clock or calendar.clock


def _day(text: str, flag: str) -> int:
    try:
        return day_number(date.fromisoformat(text))
    except ValueError:
        raise ConfigError(f"{text!r} is not a day", where=f"flag {flag}", fix="write it as 2024-11-25") from None


# --- Tables -----------------------------------------------------------------------------------------------------------


def _show_days(calendar: Calendar, days: Sequence[SessionDay], *, with_rules: bool) -> None:
    """Write one line a trading day; moments on another date than the trading day's name their weekday."""
    from engine.tools.session_days import entry_stretches, flattenings, offset_text

    clock = calendar.clock
    pauses = any(day.pauses_ns for day in days)
    ruled = ["entries", "flat at"] if with_rules else []
    table = plain_table("trading day", "opens", "closes", "offset", "UTC", *(["pause"] if pauses else []), *ruled, "")
    for day in days:
        label = f"{date.fromisoformat(day_text(day.day)):%a %Y-%m-%d}"
        if day.is_closed:
            table.add_row(label, *[""] * (4 + pauses + len(ruled)), day.note)
            continue
        span = [_hour(day.open_ns, clock, day.day), _hour(day.close_ns, clock, day.day)]
        utc = "-".join(_hour(ts_ns, UTC, day.day) for ts_ns in (day.open_ns, day.close_ns))
        cells = [*span, offset_text(day.close_ns, clock), utc]
        if pauses:
            cells.append(_spans(day.pauses_ns, clock, day.day))
        if with_rules:
            cells.append(_spans(entry_stretches(day), clock, day.day) or "none")
            cells.append(" ".join(_hour(ts_ns, clock, day.day) for ts_ns in flattenings(day)))
        table.add_row(label, *cells, day.note)
    if not days:
        write_table(f"{calendar.name}: no trading day then")
        return
    write_table(f"{calendar.name}: times in {clock.name} unless they say UTC", "", table)


def _boundary_table(
    calendar: Calendar, boundaries: Sequence[Boundary], clock: Clock, *, ruled: bool, from_ns: int | None = None
) -> Table:
    """Return one line a boundary; with ``from_ns`` how long it is until then."""
    ahead = ["in"] if from_ns is not None else []
    table = plain_table(*ahead, clock.name, *(["UTC"] if clock is not UTC else []), "what happens", "")
    for ts_ns, happens in boundaries:
        cells = [_duration(ts_ns - from_ns)] if from_ns is not None else []
        cells += [_local(ts_ns, clock)] + ([_local(ts_ns, UTC)] if clock is not UTC else [])
        table.add_row(*cells, ", ".join(_words(happens, ruled=ruled)), _note(calendar, ts_ns, happens))
    return table


def _words(happens: Happens, *, ruled: bool) -> list[str]:
    """Return what happens; without rules entries follow the sessions, so that only a pause is news."""
    words = happens.words()
    if ruled:
        return words
    told = [word for word in words if not word.startswith("entries")]
    return told or ["pause" if word == "entries off" else "pause ends" for word in words]


def _note(calendar: Calendar, ts_ns: int, happens: Happens) -> str:
    """Return of an opening or a close what is not ordinary about its session."""
    from engine.tools.session_days import note_of

    if not {"open", "close"} & set(happens.words()):
        return ""
    return note_of(calendar, calendar.session_index(ts_ns if "open" in happens.words() else ts_ns - 1))


def _spans(spans: Iterable[tuple[int, int]], clock: Clock, day: int) -> str:
    return " ".join(f"{_hour(begin, clock, day)}-{_hour(end, clock, day)}" for begin, end in spans)


def _hour(ts_ns: int, clock: Clock, day: int) -> str:
    """Return a time of day, with the weekday where it is not the one of ``day``."""
    from engine.tools.session_days import local

    moment = local(ts_ns, clock)
    text = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    return text if day_text(day) == f"{moment:%Y-%m-%d}" else f"{moment:%a} {text}"


def _local(ts_ns: int, clock: Clock) -> str:
    from engine.tools.session_days import local

    moment = local(ts_ns, clock)
    return f"{moment:%a %Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%a %Y-%m-%d %H:%M}"


def _duration(span_ns: int) -> str:
    """Return how long it is until something, in whole minutes from an hour on: 2d 21h 30m, 59m 30s."""
    seconds = -(-span_ns // SECOND_NS)
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days}d {hours:02}h {minutes:02}m"
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {seconds % 60:02}s"
