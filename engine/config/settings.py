"""Every setting, where its value came from, and one clear line when it is wrong.

A value is looked for in this order, and the first place that has it wins: command line flag, environment variable
(``MICROBURST__RISK__DAILY_LOSS_LIMIT``), ``.env`` file, project file (``microburst.toml`` here, or ``--config FILE``),
user file (``~/.config/microburst/config.toml``), default. Names that do not exist are errors with the nearest valid
name, never ignored. Durations, ratios and amounts are read exactly by :mod:`engine.quantities`.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from engine.account.limits import BY_NAME, LIMITS, PROFILES, Measure, profile
from engine.config.latency import parse_latency
from engine.config.variables import ENV_FILE, ENV_PREFIX, check_variables
from engine.errors import ConfigError, nearest
from engine.latency import Latency
from engine.quantities import (
    Fee,
    format_decimal,
    format_duration,
    format_ratio,
    parse_duration_ns,
    parse_fee,
    parse_number,
    parse_ratio,
)
from engine.sessions.rules import RULE_KEYS, SessionRules
from engine.sessions.trading_calendar import calendar_names
from engine.sizing import parse_size

PROJECT_FILE = Path("microburst.toml")
AUTO_FEED, EMBEDDED_FEED = "auto", "embedded"
USUAL_ACCOUNT = "paper"
MEND = "correct it there, or read another file with --config FILE"
"""The feed address that means: the mock market on its usual port, or an embedded one when nothing answers there."""

Path_ = tuple[str, ...]
"""Where a setting lives: ``("risk", "daily_loss_limit")``."""


def _reads(parse: Callable[[Any], object]) -> BeforeValidator:
    """Let pydantic report a :class:`ConfigError` of ``parse`` as the error of the field that it is reading."""

    def read(value: object) -> object:
        try:
            return parse(value)
        except ConfigError as error:
            raise PydanticCustomError("quantity", "{line}", {"line": error.line()}) from None

    return BeforeValidator(read)


def _calendar_name(value: object) -> str:
    """Read the name of a calendar. Names in lower case are built in; others are those of exchanges in a library."""
    text = str(value)
    if text not in calendar_names() and (text.islower() or not text):
        built_in = nearest(str(value), calendar_names())
        raise ConfigError(
            f"there is no calendar {value!r}", fix=f"{built_in}; microburst calendar list has exchanges, too"
        )
    return str(value)


def _profile_name(value: object) -> str:
    """Read the name of a set of limits."""
    return str(value) and profile(str(value), where="").name


def _path(value: object) -> object:
    """Read a path, in which ``~`` is the user's home directory."""
    if not isinstance(value, str) or not value.startswith("~"):
        return value
    try:
        return str(Path(value).expanduser())
    except RuntimeError:
        raise ConfigError(f"nobody knows the home directory in {value!r}", fix="write the whole path") from None


def _account_name(value: object) -> str:
    """Read an account's name, which becomes a file's."""
    name = str(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name):
        raise ConfigError(f"{value!r} is no name of an account", fix="use up to 40 letters, digits, '-' and '_'")
    return name


def _optional_amount(value: Any) -> Fraction | None:
    """Read an amount that may be left open by an empty text."""
    amount = None if value == "" else parse_number(value)
    if amount is not None and amount < 0:
        raise ConfigError(f"{value} is negative", fix="write 0 or more")
    return amount


def _optional_fee(value: Any) -> Fee | None:
    return None if value is None or value == "" else parse_fee(value)


def _optional_text(value: Fraction | None) -> str:
    return "" if value is None else format_decimal(value)


Duration = Annotated[int, _reads(parse_duration_ns), PlainSerializer(format_duration, return_type=str)]
Ratio = Annotated[Fraction, _reads(parse_ratio), PlainSerializer(format_ratio, return_type=str)]
Amount = Annotated[Fraction, _reads(parse_number), PlainSerializer(format_decimal, return_type=str)]
OptionalAmount = Annotated[Fraction | None, _reads(_optional_amount), PlainSerializer(_optional_text, return_type=str)]
OptionalFee = Annotated[Fee | None, _reads(_optional_fee), PlainSerializer(_optional_text, return_type=str)]
PathText = Annotated[str, _reads(_path)]
LatencyText = Annotated[Latency, _reads(parse_latency), PlainSerializer(str, return_type=str)]
FeeText = Annotated[Fee, _reads(parse_fee), PlainSerializer(str, return_type=str)]


class Section(BaseModel):
    """A table of the configuration file: closed, and never changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=True)


def setting(default: object, text: str, unit: str = "", **bounds: Any) -> Any:
    """Declare one key with its default, explanation and unit; the explanation is what ``config init`` writes."""
    return Field(default, description=text, json_schema_extra={"unit": unit}, **bounds)


class FeedSettings(Section):
    """Where ticks come from."""

    address: str = setting(
        AUTO_FEED, "WebSocket address of the feed; auto: the mock market, or an embedded one; embedded: always that"
    )
    stale_after: Duration = setting("3s", "silence after which the feed counts as stale and nothing is opened", "time")
    old_after: Duration = setting("250ms", "age from which data is too old to open anything on", "time", gt=0)
    connect_timeout: Duration = setting("10s", "how long the first connection may take before exit 6", "time")
    mock_rate: Amount = setting("200", "trades of the embedded mock market", "per second", gt=0, le=1_000_000)


class PaperSettings(Section):
    """The simulated venue, in paper trading and backtests alike."""

    fills: Literal["auto", "last", "touch", "through", "queue", "worst"] = setting(
        "auto", "how orders are filled; auto: touch where there are quotes or a spread is given, else last"
    )
    spread: OptionalAmount = setting(
        "",
        "bid-ask spread centred on the last trade, used instead of quotes; refused with last fills; empty: none",
        "price",
    )
    slippage_bps: Amount = setting("0", "added against you on every fill", "basis points", ge=0)
    fee: FeeText = setting("0", "per fill: 5bps, 0.005/share, 2.25/contract", "fee")
    maker_fee: OptionalFee = setting("", "fee of an order that waited at the venue; empty: as fee", "fee")
    borrow_rate: Ratio = setting("0%", "what borrowing what is sold short costs", "a year", ge=0)
    shorting: bool = setting(True, "whether what is not owned may be sold")
    latency_feed: LatencyText = setting(
        "0s",
        "delay of market data on its way to the engine: 5ms, sampled median 2ms p99 20ms, or file delays.csv",
        "time",
    )
    latency_order: LatencyText = setting("0s", "delay of an order on its way to the venue, written so too", "time")
    account: Annotated[str, _reads(_account_name)] = setting(
        USUAL_ACCOUNT, "the account traded on: one session at a time, and what one leaves the next goes on from"
    )
    starting_cash: Amount = setting("10000", "equity of a new account", "account currency", gt=0)
    risk_free_rate: Ratio = setting("0%", "what Sharpe and Sortino ratios are measured against", "a year")


def _limit(name: str) -> Any:
    """Declare the key of one limit of ``engine.account.limits``; it stays the text that was written, empty: not set."""
    limit = BY_NAME[name]

    def check(text: object) -> str:
        value = limit.read(text, where="")
        if limit.measure is Measure.RATIO and value is not None and value > 1:
            raise ConfigError(f"{text} is more than everything", fix="write 100% or less")
        return str(text)

    return Annotated[str, _reads(check)], setting(
        "", f"{limit.meaning}; off, or empty: as the profile says", limit.unit
    )


class _RiskSettings(Section):
    """What no strategy may exceed."""

    profile: Annotated[str, _reads(_profile_name)] = setting(
        "", "limits to start from: " + ", ".join(PROFILES) + "; empty: those that the strategy names"
    )
    position_size: Amount = setting(
        "1", "size of every entry where the strategy declares none", "shares, contracts or coins", gt=0
    )

    @property
    def given(self) -> dict[str, str]:
        """The limits that are set, as they are written."""
        written = {limit.name: str(getattr(self, limit.name)) for limit in LIMITS}
        return {name: text for name, text in written.items() if text}


if TYPE_CHECKING:
    RiskSettings = _RiskSettings
else:  # one key for each limit of the table: none can be forgotten
    keys = {limit.name: _limit(limit.name) for limit in LIMITS}
    RiskSettings = create_model("RiskSettings", __base__=_RiskSettings, __doc__=_RiskSettings.__doc__, **keys)


def _size_text(text: object) -> str:
    if str(text).strip():
        parse_size(str(text), where="")
    return str(text)


class SizingSettings(Section):
    """How large entries are."""

    size: Annotated[str, _reads(_size_text)] = setting(
        "",
        "3 units, 500 dollars, 1% risk, 5% capital, kelly 55% cap 25%; "
        "empty: as the strategy declares, else risk.position_size",
    )


def _lines(value: object) -> tuple[str, ...]:
    """Lines of a line-up: a list, or as an environment variable holds one, ``["vwap_scalp", "orb"]``."""
    found = value
    if isinstance(value, str):
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            found = None
    if not isinstance(found, list | tuple) or not all(isinstance(line, str) for line in found):
        raise ConfigError(f"{value!r} is no list of strategies", fix='write ["vwap_scalp", "opening_range_breakout"]')
    return tuple(found)


class StrategySettings(Section):
    """What to trade by."""

    name: str = setting("momentum_burst", "a built-in strategy, or path/to/file.py:Class")
    strategies: Annotated[tuple[str, ...], _reads(_lines)] = setting(
        (), "several at once, in place of name; each is written as the flag --strategy takes it"
    )
    params: dict[str, Any] = setting({}, "parameters of the strategy; see: microburst strategy show NAME")


def _session_rule(key: str) -> BeforeValidator:
    """Let a session rule be what ``engine.sessions.rules`` can read; it stays the text that was written."""

    def check(text: object) -> str:
        SessionRules.read({key: str(text)}, {key: ""})
        return str(text)

    return _reads(check)


class SessionSettings(Section):
    """When to trade. Times of day are those of the calendar's exchange; an empty text leaves a rule out."""

    calendar: Annotated[str, _reads(_calendar_name)] = setting(
        "always", "trading sessions: " + ", ".join(calendar_names()) + ", or an exchange such as XNYS"
    )
    entries: Annotated[str, _session_rule("entries")] = setting("", "entries only within: 09:45-11:30, power_hour")
    avoid: Annotated[str, _session_rule("avoid")] = setting("", "no entries within: 12:00-14:00, or midday")
    maintenance: Annotated[str, _session_rule("maintenance")] = setting("", "flat within: 17:00-18:00")
    flatten_at: Annotated[str, _session_rule("flatten_at")] = setting("", "close everything at: 16:45")
    flatten_before_close: Annotated[str, _session_rule("flatten_before_close")] = setting(
        "", "close everything so long before each close: 15m"
    )
    friday_close: Annotated[str, _session_rule("friday_close")] = setting(
        "", "close everything before the weekend at: 16:00"
    )
    zone: Annotated[str, _session_rule("zone")] = setting("", "clock of these times; empty: that of the calendar")
    duration: Duration = setting("0s", "how long to run; 0s: until stopped", "time")

    @property
    def rules(self) -> dict[str, str]:
        """The session rules that are set, as they are written."""
        written = {key: str(getattr(self, key)) for key in RULE_KEYS}
        return {key: text for key, text in written.items() if text}


class LogSettings(Section):
    """What is written to the log, which is a file; the terminal shows warnings and worse."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "least important entry that is kept")
    format: Literal["text", "json"] = setting("text", "shape of an entry on the terminal; the file is always json")
    file: PathText = setting("", "log file; empty: the user's state directory")
    max_mb: int = setting(10, "size at which the file is put aside and a new one begun", "MB", ge=1, le=1000)
    keep: int = setting(3, "files put aside that are kept", ge=1, le=100)


class JournalSettings(Section):
    """The recording of each session, which can be verified, explained and replayed."""

    enabled: bool = setting(True, "record every input and decision of a session")
    directory: PathText = setting("", "where journals are kept; empty: the user's state directory")
    keep_sessions: int = setting(100, "sessions that are kept; the oldest beyond go when one begins", ge=1)
    database: PathText = setting("", "a trades.db to bring up to date when a session ends; empty: none")
    segment_mb: int = setting(16, "size of a journal's files, claimed one ahead", "MiB", ge=8, le=1024)


class TelemetrySettings(Section):
    """The loopback link to the dashboard."""

    enabled: bool = setting(True, "let viewers on this machine connect")


class Config(BaseSettings):
    """All settings. Read it with :func:`load`, which knows the places and their order."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_file=ENV_FILE, env_file_encoding="utf-8", extra="forbid", frozen=True
    )

    feed: FeedSettings = FeedSettings()
    paper: PaperSettings = PaperSettings()
    risk: RiskSettings = RiskSettings()
    sizing: SizingSettings = SizingSettings()
    strategy: StrategySettings = StrategySettings()
    session: SessionSettings = SessionSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    journal: JournalSettings = JournalSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor alone: :func:`load` reads each place itself, to remember the origin."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it was found; ``origin`` is ``file:line``, a variable or a flag."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration and, for every key that is not a default, its origin."""

    config: Config
    origins: Mapping[Path_, str]

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield ``(key, value as text, origin)`` of every setting, defaults included."""
        for path, value in flatten(self.config.model_dump()):
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            yield ".".join(path), shown, self.origins.get(path, "default")


def load(flags: Mapping[str, Found] | None = None, config_file: Path | None = None) -> Loaded:
    """Read every place and return the merged configuration.

    Args:
        flags: settings given on the command line, by dotted key.
        config_file: read instead of ``./microburst.toml``; it must exist.

    Raises:
        ConfigError: a file cannot be read, a key does not exist, or a value is not acceptable.
    """
    found: dict[Path_, Found] = {}
    if user_file().is_file():
        found |= _from_toml(user_file())
    if config_file or PROJECT_FILE.is_file():
        found |= _from_toml(config_file or PROJECT_FILE)
    check_variables((name, key) for name, section in sections() for key in section.model_fields)
    found |= _from_variables(DotEnvSettingsSource(Config).env_vars, ".env ")
    found |= _from_variables(EnvSettingsSource(Config).env_vars, "environment ")
    found |= by_path(flags or {})
    return merged(found)


def merged(found: Mapping[Path_, Found]) -> Loaded:
    """Return these settings as a configuration, with defaults for all others.

    Raises:
        ConfigError: a key does not exist, or a value is not acceptable.
    """
    for path, setting_found in found.items():
        _check_known(path, setting_found.origin)
    try:
        config = Config(**_nest(found))
    except ValidationError as error:
        raise _config_error(error, found) from None
    if config.paper.spread is not None and config.paper.fills == "last":
        raise ConfigError(
            "fills at the last price have no spread",
            where=found["paper", "spread"].origin,
            fix=f"leave out the spread, or the fills = last ({found['paper', 'fills'].origin})",
        )
    return Loaded(config, {path: value.origin for path, value in found.items()})


def by_path(settings: Mapping[str, Found]) -> dict[Path_, Found]:
    """Settings by dotted key, by where they live."""
    return {tuple(key.split(".")): value for key, value in settings.items()}


def user_file() -> Path:
    """Return the path of the user's own configuration file."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming") / "microburst" / "config.toml"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "microburst" / "config.toml"


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Yield the name and the model of every section."""
    for name, field in Config.model_fields.items():
        yield name, field.annotation  # type: ignore[misc]


def template() -> str:
    """Return a configuration file with every key, its default, unit and explanation, all commented out."""
    lines = ["# Microburst configuration. Every line shows a default; remove the leading '#' to change it.", ""]
    for name, section in sections():
        lines += [f"# {(section.__doc__ or '').strip()}", f"[{name}]"]
        for key, field in section.model_fields.items():
            lines += _template_lines(name, key, field)
        lines.append("")
    return "\n".join(lines)


def _template_lines(name: str, key: str, field: FieldInfo) -> list[str]:
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else ""
    lines = [f"# {field.description}" + (f" [{unit}]" if unit else "")]
    if isinstance(field.default, dict):
        return [*lines, f"# [{name}.{key}]", '# window = "15s"']
    if isinstance(field.default, tuple):
        return [*lines, f"# {key} = []"]
    text = str(field.default).lower() if isinstance(field.default, (bool, int)) else f'"{field.default}"'
    return [*lines, f"# {key} = {text}"]


# --- Reading the places -----------------------------------------------------------------------------------------------


def _from_toml(file: Path) -> dict[Path_, Found]:
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark of its encoding
        table = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{file}:{line[1]}" if line else str(file)
        raise ConfigError(f"not valid TOML: {error}", where=where, fix=MEND) from None
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text", where=str(file), fix=MEND) from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration: {error.strerror}", where=str(file)) from None
    lines = text.splitlines()
    return {path: Found(value, f"{file}:{_line_of(path, lines)}") for path, value in flatten(table)}


def _from_variables(variables: Mapping[str, str | None], place: str) -> dict[Path_, Found]:
    prefix = ENV_PREFIX.lower()
    return {
        tuple(name.lower()[len(prefix) :].split("__")): Found(value, f"{place}{name.upper()}")
        for name, value in variables.items()
        if name.lower().startswith(prefix) and value is not None
    }


def flatten(table: Mapping[str, object], above: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    """Yield the place and the value of every setting in a table of tables."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*above, key))
        else:
            yield (*above, key), value


def _nest(found: Mapping[Path_, Found]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, value in found.items():
        table = root
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = value.value
    return root


_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*([\w."'-]+)\s*=""")


def _line_of(path: Path_, lines: list[str]) -> int:
    """Return the line that sets ``path``, or that of the nearest table above it (inline tables), counted from 1."""
    table: Path_ = ()
    best, best_depth = 1, 0
    for number, line in enumerate(lines, start=1):
        here = table
        if header := _HEADER.match(line):
            here = table = _dotted(header[1])
        elif key := _KEY.match(line):
            here = (*table, *_dotted(key[1]))
        if len(here) > best_depth and path[: len(here)] == here:
            best, best_depth = number, len(here)
    return best


def _dotted(text: str) -> Path_:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


# --- Saying what is wrong ---------------------------------------------------------------------------------------------


def _check_known(path: Path_, origin: str) -> None:
    known = dict(sections())
    if path[0] not in known:
        if len(path) == 1:
            owners = [f"[{name}]" for name, section in known.items() if path[0] in section.model_fields]
            if owners:
                raise ConfigError(
                    f"'{path[0]}' stands outside its section", where=origin, fix=f"put it under {owners[0]}"
                )
        raise ConfigError(f"unknown section '{path[0]}'", where=origin, fix=nearest(path[0], known))
    if len(path) == 1:
        raise ConfigError(
            f"'{path[0]}' is a section, not a value", where=origin, fix=f"write [{path[0]}] and keys below it"
        )
    keys = known[path[0]].model_fields
    if path[1] not in keys:
        raise ConfigError(f"unknown key '{path[1]}' in [{path[0]}]", where=origin, fix=nearest(path[1], keys))
    is_table = isinstance(keys[path[1]].default, dict)
    if len(path) > (3 if is_table else 2):
        raise ConfigError(f"'{'.'.join(path[:-1])}' is a value, not a section", where=origin)
    if len(path) == 2 and is_table:
        fix = f"write [{path[0]}.{path[1]}] and keys below it"
        raise ConfigError(f"'{path[1]}' is a section, not a value", where=origin, fix=fix)


def _config_error(error: ValidationError, found: Mapping[Path_, Found]) -> ConfigError:
    """Turn pydantic's first complaint into one line that names the place and the key."""
    first = error.errors(include_url=False)[0]
    path = tuple(str(part) for part in first["loc"][:2])
    origin = found[path].origin if path in found else ""
    message = str(first["msg"]).replace("Input should", "should")
    value = "" if first["type"] == "quantity" else f" = {first['input']!s}:"
    joint = ":" if not value else ""
    return ConfigError(f"{'.'.join(path)}{value}{joint} {message}", where=origin)
