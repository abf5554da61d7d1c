"""``microburst journal``: what sessions have recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.figure_words import so_many
from engine.commands.shared import (
    ConfigFlag,
    ForceFlag,
    JsonFlag,
    check_new,
    load_config,
    load_roughly,
    plain_table,
    write_json,
    write_table,
)
from engine.errors import ConfigError

SCHEMA = "microburst.journal-report/1"

app = typer.Typer(help="List, read, verify and export the recordings of sessions.", rich_markup_mode=None)

SessionArgument = Annotated[
    str, typer.Argument(metavar="SESSION", help="Its name, the beginning of it, a directory, or 'last'.")
]


def journal_of(session: str, config_file: Path | None) -> Path:
    """Return the directory of the journal that is meant.

    Raises:
        NotFoundError: there is none, or several.
    """
    from engine.journal.sessions import find, is_journal

    return Path(session) if is_journal(session) else find(journals(config_file), session)


def journals(config_file: Path | None) -> Path:
    """Return the directory of all journals: the usual one where the configuration cannot be read."""
    from engine.journal.sessions import root_of

    loaded = load_roughly(config_file, "journals are looked for in the usual place")
    return root_of(loaded.config.journal.directory)


@app.command("ls")
def ls(config_file: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """List the sessions that were recorded, the oldest first."""
    from engine.tools.recorded import listed

    root = journals(config_file)
    found = listed(root)
    if as_json:
        rows = [{name: getattr(one, name) for name in one.__slots__} for one in found]
        write_json({"schema": SCHEMA, "directory": str(root), "sessions": rows})
        return
    table = plain_table("session", "mode", "strategy", "symbols", "KiB", "", right=["KiB"])
    for one in found:
        said = one.fault or (f"ended: {one.ended}" if one.state == "ended" else one.state)
        table.add_row(one.session, one.mode, one.strategy, " ".join(one.symbols), f"{one.bytes // 1024:,}", said)
    write_table(table if found else f"no sessions in {root}; record one with: microburst run")


@app.command("cat")
def cat(
    session: SessionArgument,
    decisions: Annotated[bool, typer.Option("--decisions", help="Only what was decided.")] = False,
    config_file: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a session's records, one a line, up to the first that is damaged."""
    import sys

    import orjson

    from engine.commands.shared import writing
    from engine.journal.codec import is_decision
    from engine.journal.reader import JournalReader
    from engine.tools.recorded import facts_of, in_words

    reader = JournalReader(journal_of(session, config_file))
    with writing():
        for entry in reader:
            if decisions and not is_decision(entry.kind):
                continue
            sys.stdout.write((orjson.dumps(facts_of(entry)).decode() if as_json else in_words(entry)) + "\n")
    reader.refuse_damage()


@app.command("verify")
def verify(session: SessionArgument, config_file: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """Check every record of a session; exit 8 when one is not what was written."""
    from engine.journal.reader import JournalReader
    from engine.journal.sessions import lock_is_held
    from engine.tools.recorded import counted

    reader = JournalReader(journal_of(session, config_file))
    runs = lock_is_held(reader.directory)
    facts = counted(reader)
    if as_json:
        write_json({"schema": SCHEMA, **facts})
    reader.refuse_damage()
    if not as_json:
        so_far = "it is running; all of it so far is whole" if runs else "not ended in order; all of it is whole"
        ended = f"ended: {facts['ended']}" if reader.sealed else so_far
        write_table(
            f"{facts['session']}: {so_many(facts['records'], 'record')}, {so_many(facts['inputs'], 'input')}, "
            f"{so_many(facts['decisions'], 'decision')}; {ended}"
        )


@app.command("export")
def export(
    session: SessionArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .csv, or a .parquet with the data extra.")],
    what: Annotated[
        str, typer.Option("--what", metavar="ticks|decisions", help="What to write: the ticks unless told otherwise.")
    ] = "ticks",
    force: ForceFlag = False,
    config_file: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a session's ticks, as a file that backtest reads, or its decisions."""
    from engine.journal.reader import JournalReader
    from engine.tools import recorded

    if what not in ("ticks", "decisions"):
        raise ConfigError(f"'{what}' cannot be exported", where="flag --what", fix="use ticks or decisions")
    check_new(out, force=force)
    directory = journal_of(session, config_file)
    JournalReader(directory).check().refuse_damage()
    rows = recorded.export(directory, what, out)
    if as_json:
        write_json({"schema": SCHEMA, "session": directory.name, "what": what, "rows": rows, "file": str(out)})
    else:
        write_table(f"{out}: {rows:,} {what}")


@app.command("project")
def project(
    session: Annotated[
        str, typer.Argument(metavar="[SESSION]", help="One session, as for the others; all unless told otherwise.")
    ] = "",
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="FILE", help="The database: journal.database, or trades.db beside the journals."),
    ] = None,
    config_file: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring trades.db, a SQLite database of orders, fills and trades, up to what was recorded; exit 8 on damage."""
    from engine.journal.reader import UnsoundError
    from engine.journal.sessions import find, root_of, sessions
    from engine.tools.trades_db import default_database
    from engine.tools.trades_db import project as bring_up

    settings = load_config(config_file).config.journal
    root = root_of(settings.directory)
    file = db or (Path(settings.database) if settings.database else default_database(root))
    done = list(bring_up(file, [find(root, session)] if session else sessions(root)))
    if as_json:
        rows = [{name: getattr(one, name) for name in one.__slots__} for one in done]
        write_json({"schema": SCHEMA, "database": str(file), "sessions": rows})
    else:
        fresh, trades = sum(one.written for one in done), sum(one.trades for one in done)
        write_table(f"{file}: {so_many(len(done), 'session')}, {fresh:,} of them new or longer; {trades:,} trades")
    damaged = [one for one in done if one.problem]
    if damaged:
        first = damaged[0]
        what = f"{len(damaged):,} of {len(done):,} journals are not whole, such as {first.session}: {first.problem}"
        raise UnsoundError(what, fix="what can be read of them was projected")
