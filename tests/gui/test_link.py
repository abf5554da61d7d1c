"""The link and its mailbox: what a window that does not look for a while finds waiting."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.secret import Secret
from engine.telemetry_wire import Endpoint, History, Snapshot, endpoint_path
from gui import link as link_module
from gui.link import MAILBOX_SNAPSHOTS, Link, Mailbox, Phase, running_engines
from tests.gui.conftest import ThreadedEngine
from tests.gui.golden import snapshot
from tests.gui.publisher import SyntheticSession

PATIENCE_S = 15.0


def history(newest: Snapshot | None = None) -> History:
    return History("s", "PAPER", 1, [], {}, [], [], 0, [], newest)


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll, since the link's thread has nothing to wait on; fails by time only when the link is broken."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "the link did not get there"
        threading.Event().wait(0.005)


@pytest.fixture
def links() -> Iterator[Callable[[Callable[[], Endpoint | None]], Link]]:
    made: list[Link] = []

    def start(find: Callable[[], Endpoint | None]) -> Link:
        made.append(Link(find))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_an_unread_mailbox_stays_small_and_loses_no_trade() -> None:
    mailbox, session = Mailbox(), SyntheticSession(rate=200)
    mailbox.put(history())
    published = [session.advance(0.5) for _ in range(200)]
    for one in published:
        mailbox.put(one)
        assert len(mailbox._snapshots) <= MAILBOX_SNAPSHOTS
    first, merged = mailbox.take()
    assert first is not None
    assert merged is not None
    assert merged.seq == published[-1].seq
    assert session.trades
    assert merged.new_trades == session.trades
    assert len(merged.symbols[0].points) <= 2000
    assert mailbox.take() == (None, None)


def test_a_history_replaces_what_came_before_it() -> None:
    mailbox = Mailbox()
    mailbox.put(snapshot(1))
    mailbox.put(history(snapshot(5)))
    mailbox.put(snapshot(6))
    first, merged = mailbox.take()
    assert first is not None
    assert first.snapshot is not None
    assert (first.snapshot.seq, merged.seq if merged else None) == (5, 6)


def test_conflated_snapshots_are_counted(
    start_engine: Callable[[], ThreadedEngine], links: Callable[..., Link]
) -> None:
    engine = start_engine()
    engine.publish(snapshot(1))
    link = links(lambda: engine.endpoint)
    wait_until(lambda: link.status.frames == 1)
    engine.publish(snapshot(2))
    engine.publish(snapshot(7))
    wait_until(lambda: link.status.frames == 3)
    assert (link.status.phase, link.status.conflated) == (Phase.LIVE, 4)


def test_commands_go_out_only_while_live(
    start_engine: Callable[[], ThreadedEngine], links: Callable[..., Link]
) -> None:
    engine = start_engine()
    idle = Link(lambda: None)
    assert not idle.send("pause")
    link = links(lambda: engine.endpoint)
    wait_until(lambda: link.status.phase is Phase.LIVE)
    assert link.send("pause")
    wait_until(lambda: engine.commands == ["pause"])
    link.close()
    assert link.status.phase is Phase.CLOSED
    assert not link.send("pause")


def test_a_silent_engine_is_given_up(links: Callable[..., Link], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SILENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        link = links(lambda: Endpoint("127.0.0.1", port, Secret("t"), 1, "s", "PAPER", 1))
        wait_until(lambda: "silent" in link.status.detail)
        assert link.status.phase is Phase.CONNECTING


def test_an_unreadable_engine_is_left_and_tried_again(links: Callable[..., Link]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        link = links(lambda: Endpoint("127.0.0.1", port, Secret("t"), 1, "s", "PAPER", 1))
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\xff\xff\xff\xff")
        wait_until(lambda: "unreadable" in link.status.detail)
        assert link.status.attempt >= 1


def test_closing_does_not_wait_for_an_engine(links: Callable[..., Link]) -> None:
    link = links(lambda: None)
    wait_until(lambda: link.status.detail == "no engine is running")
    link.close()
    assert not link._thread.is_alive()


def test_a_directory_that_others_can_write_is_not_believed(runtime: Path) -> None:
    real = Endpoint("127.0.0.1", 1, Secret("t"), os.getpid(), "s", "PAPER", 1)
    endpoint_path(runtime, real.pid).write_bytes(real.to_json())
    assert running_engines() == [real]
    runtime.chmod(0o777)
    assert running_engines() == []


def test_the_newest_engine_comes_first(runtime: Path) -> None:
    older = Endpoint("127.0.0.1", 1, Secret("t"), os.getpid(), "older", "PAPER", 1)
    newer = dataclasses.replace(older, pid=os.getppid(), session_id="newer", started_mono_ns=2)
    for one in (older, newer):
        endpoint_path(runtime, one.pid).write_bytes(one.to_json())
    assert [one.session_id for one in running_engines()] == ["newer", "older"]
