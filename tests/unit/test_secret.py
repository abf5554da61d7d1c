"""A secret prints as ``***`` wherever it can be printed, and comes from the places that are meant for it alone."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import sys
import traceback
import types
from pathlib import Path

import pytest
import structlog
from rich.console import Console
from rich.traceback import Traceback

from engine.errors import ConfigError
from engine.secret import NO_SECRET, Secret, filled, masked, redacted
from engine.secret_store import find_secret, known_secrets, secrets_file, secrets_in
from feeds.transport import ConnectionLostError, check_address, opened_with

CANARY = "canary-3f9c2b7e"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's user: no variable, no file, no keyring."""
    monkeypatch.setenv("MICROBURST_SECRETS_FILE", str(tmp_path / "secrets.toml"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    return tmp_path / "secrets.toml"


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


# ------------------------------------------------------------ how it prints


def test_it_prints_as_stars() -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>5}", f"{secret:>8}", "%s %r" % (secret, secret)]  # noqa: UP031
    shown += [
        repr([secret]),
        repr({"a": secret}),
        json.dumps({"a": secret}, default=str),
        repr(vars) and str((secret,)),
    ]
    assert all("***" in text and CANARY not in text for text in shown)
    assert f"{secret:>8}" == "     ***"


def test_what_would_store_it_refuses() -> None:
    for store in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            store(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))
    assert not hasattr(Secret(CANARY), "__dict__")


def test_it_is_equal_to_its_like_alone() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret(CANARY[:-1])
    assert Secret(CANARY) != CANARY
    assert len({Secret(CANARY), Secret(CANARY)}) == 1
    assert Secret("a")
    assert not NO_SECRET


def fail(secret: Secret) -> None:
    note = f"with {secret}"
    raise ValueError(note)


def test_no_traceback_shows_it_with_or_without_values() -> None:
    try:
        fail(Secret(CANARY))
    except ValueError as error:
        plain = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        out = io.StringIO()
        Console(file=out, width=200).print(
            Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
        )
    for text in (plain, out.getvalue()):
        assert "secret = ***" in text.replace("'", "").replace("secret =  ", "secret = ")
        assert CANARY not in text


def test_the_log_shows_it_to_nobody_even_where_a_library_quotes_its_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine import log

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    file = tmp_path / "engine.log"
    secret = Secret(CANARY)
    try:
        log.configure(file=str(file), level="debug", verbosity=2)
        entry = log.get("test")
        entry.info("as a value", secret=secret, nested={"deep": [secret]})
        entry.info(f"in the text {secret.reveal()}", quoted=secret.reveal())
        logging.getLogger("library").error("cannot open wss://x/?key=%s", secret.reveal())
        try:
            raise OSError(f"{secret.reveal()} is not a host")
        except OSError as error:
            entry.error(log.UNEXPECTED, exc_info=error)
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
            handler.close()
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(level)
        structlog.reset_defaults()
    kept, shown = file.read_text(), capsys.readouterr().err
    assert kept.count("***") >= 6
    assert "is not a host" in kept
    assert "is not a host" in shown
    assert CANARY not in kept + shown


# ------------------------------------------------------------ where it comes from


def test_environment_keyring_and_file_in_this_order(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(places, 'venue_key = "of the file"')
    assert find_secret("venue_key").reveal() == "of the file"
    ring = types.SimpleNamespace(get_password=lambda service, name: f"of the keyring, {service} {name}")
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert find_secret("venue_key").reveal() == "of the keyring, microburst venue_key"
    monkeypatch.setenv("MICROBURST_SECRET_VENUE_KEY", "of the environment")
    assert find_secret("venue_key").reveal() == "of the environment"
    assert {secret.reveal() for secret in known_secrets()} == {"of the environment", "of the file"}


def test_a_keyring_that_fails_is_passed_over(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(service: str, name: str) -> str:
        raise RuntimeError("the keyring is locked")

    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_password=locked))
    written(places, 'venue_key = "of the file"')
    assert find_secret("venue_key").reveal() == "of the file"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_file_that_others_can_read_is_refused(places: Path, mode: int) -> None:
    written(places, f'venue_key = "{CANARY}"', mode)
    with pytest.raises(ConfigError) as refused:
        find_secret("venue_key")
    line = refused.value.line()
    assert line == (f"{places}: other users can read the file of secrets (mode {mode:04o}); chmod 600 {places}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"venue_key = {CANARY}", "the file of secrets is not valid TOML"),
        ("venue_key = 12345678", 'a secret is not a text; write each as name = "value"'),
        ("\xff", "there is no secret 'venue_key'"),
    ],
)
def test_a_file_that_is_none_is_one_line_without_its_text(places: Path, text: str, sentence: str) -> None:
    if text == "\xff":
        places.write_bytes(b"")
        places.chmod(0o600)
    else:
        written(places, text)
    with pytest.raises(ConfigError) as refused:
        find_secret("venue_key")
    assert sentence in refused.value.line()
    assert CANARY not in refused.value.line()


def test_none_says_where_it_may_stand(places: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        secrets_in("wss://v/?key={secret:venue_key}")
    assert "set MICROBURST_SECRET_VENUE_KEY, or write venue_key" in refused.value.line()
    assert str(secrets_file()) in refused.value.line()


def test_the_environment_of_the_configuration_lets_secrets_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from engine.config.settings import load

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROBURST_SECRET_VENUE_KEY", CANARY)
    assert CANARY not in repr(load())
    (tmp_path / ".env").write_text(f"MICROBURST_SECRET_OTHER={CANARY}\n")
    with pytest.raises(ConfigError, match="a secret is not read from this file") as refused:
        load()
    assert CANARY not in refused.value.line()


# ------------------------------------------------------------ in addresses and in what is sent away


@pytest.mark.parametrize("name", ["key", "apikey", "api_key", "TOKEN", "signature", "auth", "listenKey", "password"])
def test_an_address_names_its_secrets_and_never_holds_them(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_address(f"wss://venue.example/stream?{name}={CANARY}")
    assert CANARY not in refused.value.line()
    assert f"write {name}={{secret:NAME}}" in refused.value.line()
    assert check_address(f"wss://venue.example/s?{name}={{secret:venue}}&symbol=A").endswith("&symbol=A")


def test_what_is_filled_in_is_what_is_opened() -> None:
    address = "wss://v/?key={secret:a}&x={secret:b}"
    assert filled(address, {"a": Secret("1"), "b": Secret("2")}) == "wss://v/?key=1&x=2"


async def test_a_connection_that_cannot_be_opened_does_not_quote_the_secret() -> None:
    from feeds.guard import FeedLimits

    connect = opened_with({"venue": Secret(f"{CANARY} is no path")})
    for address in ("ws://127.0.0.1:1/?key={secret:venue}", "ws://{secret:venue}/", "no scheme {secret:venue}"):
        with pytest.raises(ConnectionLostError) as lost:
            await connect(address, FeedLimits(handshake_s=1.0))
        assert CANARY not in str(lost.value)


def test_texts_are_freed_of_what_looks_like_a_secret() -> None:
    Secret(CANARY)
    assert masked(f"a {CANARY} b") == "a *** b"
    assert redacted(f"wss://me:{CANARY}@v/x?key=abcdef&n=1 rest") == "wss://***@v/x?key=***&n=*** rest"
    assert (
        redacted('{"api_key": "abcdef", "password":"x", "size": 3}')
        == '{"api_key": "***", "password":"***", "size": 3}'
    )
    assert redacted("token=abcdef") == "token=***"
    assert redacted("ws://127.0.0.1:8765 is live") == "ws://127.0.0.1:8765 is live"
    assert redacted("wss://v/?key={secret:venue}") == "wss://v/?key={secret:venue}"
