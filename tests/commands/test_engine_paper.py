"""`python -m engine --paper`: trades seen from outside, and every way it ends."""

from __future__ import annotations

import json
import re
import signal
import socket

import pytest

CLOSE = re.compile(
    r"CLOSE [\d:.]+ AAPL +(long|short) +[\d.]+ @ [\d.]+  (SL|TP|TIME|FLAT|RISK|MANUAL) +P/L [+-][\d.]+ .*"
)


def test_trades_are_told_one_line_each(run, market):
    done = run("engine", "--paper", "--feed", market, "--duration", "8s")
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if line.startswith(("OPEN", "CLOSE"))]
    assert len(lines) >= 4
    assert [line.split()[0] for line in lines] == ["OPEN", "CLOSE"] * (len(lines) // 2)
    assert all(CLOSE.fullmatch(line) for line in lines if line.startswith("CLOSE"))
    summary = dict(re.findall(r"^(\w[\w ]*?)  +(.+)$", done.out, flags=re.MULTILINE))
    assert summary["trades"].startswith(f"{len(lines) // 2} (")
    assert int(summary["ticks"].replace(",", "")) > 1000


def test_json_lines(run, market):
    done = run("engine", "--paper", "--feed", market, "--duration", "6s", "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0
    assert {"open", "close", "status"} <= {event["event"] for event in events}
    summary = events[-1]
    closes = [event for event in events if event["event"] == "close"]
    assert summary["event"] == "summary"
    assert summary["trades"] == len(closes) == sum(summary["reasons"].values())
    assert summary["net"] == pytest.approx(sum(event["net"] for event in closes), abs=1e-6)
    assert summary["rejected"] == {}


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_in_order(start, market, how, code):
    engine = start("engine", "--feed", market)
    engine.line("OPEN")
    done = engine.end(how)
    assert done.code == code, done.err
    assert "net" in done.out
    assert "Traceback" not in done.err


def test_ctrl_c_while_it_is_still_connecting(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        engine = start("engine", "--feed", f"ws://127.0.0.1:{silent.getsockname()[1]}")
        silent.accept()
        done = engine.end(signal.SIGINT, timeout=5)
    assert done.code == 130, done.err
    assert "Traceback" not in done.err


def test_a_reader_that_goes_away_ends_it_quietly(start, market):
    engine = start("engine", "--feed", market)
    engine.line("OPEN")
    engine.process.stdout.close()
    assert engine.process.wait(timeout=60) == 0
    assert engine.process.stderr.read() == ""


def test_without_an_address_it_embeds_a_market(run):
    done = run("engine", "--paper", "--duration", "3s", "--json")
    assert done.code == 0, done.err
    assert "mock market" in done.err
    assert json.loads(done.out.splitlines()[-1])["ticks"] > 0


def test_an_embedded_market_may_be_asked_for_and_has_an_account_of_its_own(run):
    """Whatever listens on the usual port; an account that was named is not traded then, which is said."""
    done = run("engine", "--paper", "--json", "--feed", "embedded", "--account", "mine", "--duration", "1s")
    assert done.code == 0
    assert "as asked for: starting an embedded mock market" in done.err
    assert "account 'mine' is not traded: an embedded market has" in done.err


def test_queue_fills_are_refused_where_no_sizes_are_displayed(run):
    done = run("engine", "--paper", "--feed", "embedded", "--fills", "queue", "--duration", "1s")
    assert done.code == 3
    what = "paper.fills: queue fills need the sizes displayed with the quotes, and an embedded market tells none"
    assert done.error.startswith(f"error: flag --fills: {what}; use --fills through; or python -m mock_server --quotes")
    assert "starting" not in done.err


def test_a_feed_that_does_not_answer_ends_with_6(run):
    done = run("engine", "--paper", "--feed", "ws://127.0.0.1:9", "--duration", "1s")
    assert done.code == 6
    assert done.error.startswith("error: ws://127.0.0.1:9")


def test_a_size_that_cannot_be_accounted_for_is_named_where_it_was_set(run, market):
    done = run("engine", "--paper", "--feed", market, "--duration", "1s", "--size", "99999999999999999999")
    assert (done.code, done.out) == (3, "")
    assert "error: flag --size: sizing.size: a position of 99999999999999999999 " in done.err


def test_a_strategy_file_of_ones_own(run, market, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from engine.rules import Stop, Target, change, pct, seconds\n"
        "from engine.strategy import Strategy\n"
        "class Mine(Strategy):\n"
        "    long = change(seconds(5)) > pct('0.02')\n"
        "    exits = Stop(pct('0.05')), Target(pct('0.05'))\n"
    )
    done = run("engine", "--strategy", f"{mine}:Mine", "--feed", market, "--duration", "5s", "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0, done.err
    assert {event["side"] for event in events if event["event"] == "open"} == {"long"}
