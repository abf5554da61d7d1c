"""The codec that engine and viewers share: what goes in comes out, and nothing else is let in."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import telemetry_wire as wire
from engine.secret import Secret
from tests.gui.publisher import SyntheticSession


@pytest.fixture(scope="module")
def snapshots() -> list[wire.Snapshot]:
    session = SyntheticSession(symbols=2, rate=400)
    return [session.advance(0.5) for _ in range(120)]


def body(message: wire.Message) -> bytes:
    return wire.encode(message)[4:]


def test_round_trip_keeps_every_field(snapshots: list[wire.Snapshot]) -> None:
    snapshot = next(one for one in snapshots if one.symbols[0].position is not None)
    assert wire.decode(body(snapshot)) == snapshot


def test_not_a_number_travels_as_null(snapshots: list[wire.Snapshot]) -> None:
    snapshot = replace(snapshots[-1], latency_p50_us=math.nan, latency_p99_us=math.inf)
    assert b'"latency_p50_us":null' in body(snapshot)
    back = wire.decode(body(snapshot))
    assert isinstance(back, wire.Snapshot)
    assert math.isnan(back.latency_p50_us)
    assert math.isnan(back.latency_p99_us)


def test_times_keep_their_nanoseconds(snapshots: list[wire.Snapshot]) -> None:
    late = replace(snapshots[0], engine_ts_ns=2**63 - 1)
    back = wire.decode(body(late))
    assert isinstance(back, wire.Snapshot)
    assert back.engine_ts_ns == 2**63 - 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[]", "exactly one key"),
        (b"{}", "exactly one key"),
        (b'{"hello":{},"command":{}}', "exactly one key"),
        (b'{"quit":{}}', "unknown message 'quit'"),
        (b'{"command":{}}', "Command without name"),
        (b'{"command":[]}', "not a Command"),
        (b'{"command":{"name":7}}', "7 is not a str"),
        (b'{"hello":{"version":true,"token":"x"}}', "True is not an integer"),
        (b'{"hello":{"version":1.0,"token":"x"}}', "1.0 is not an integer"),
    ],
)
def test_what_is_not_a_message_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(wire.WireError, match=message):
        wire.decode(content)


def test_a_wrong_shape_deep_inside_is_refused(snapshots: list[wire.Snapshot]) -> None:
    good = body(snapshots[-1])
    assert b'"points":[[' in good
    for wrong in (b'"points":[[1],[', b'"points":[7,[', b'"points":[["x",1,1,1,1,1],['):
        with pytest.raises(wire.WireError):
            wire.decode(good.replace(b'"points":[[', wrong, 1))


def test_a_token_is_never_printed() -> None:
    endpoint = wire.Endpoint("127.0.0.1", 1, Secret("secret-token"), 2, "s", "PAPER", 3)
    assert "secret" not in repr(endpoint)
    assert "secret" not in repr(wire.Hello(1, Secret("secret-token"), Secret("secret-control")))
    assert b"secret-token" in endpoint.to_json()
    (body,) = wire.FrameReader().feed(wire.encode(wire.Hello(1, Secret("secret-token"), Secret("secret-control"))))
    assert wire.decode(body) == wire.Hello(1, Secret("secret-token"), Secret("secret-control"))


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.data())
def test_frames_survive_any_cut_of_the_stream(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(len(one).to_bytes(4, "big") + one for one in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, got = wire.FrameReader(64), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == bodies


@pytest.mark.parametrize("prefix", [b"\0\0\0\0", b"\0\0\0\x41", b"GET "])
def test_a_length_out_of_bounds_ends_the_connection(prefix: bytes) -> None:
    with pytest.raises(wire.WireError, match="frame length"):
        list(wire.FrameReader(64).feed(prefix))


def test_too_long_a_frame_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 20)
    with pytest.raises(wire.WireError, match="exceeds 20"):
        wire.encode(wire.Command("x" * 20))


@given(st.lists(st.floats(-1e6, 1e6), max_size=200))
def test_halving_keeps_extremes_order_and_about_half(prices: list[float]) -> None:
    column = np.array(prices, np.float64)
    kept = wire.keep_extremes(column)
    assert (np.diff(kept) > 0).all()
    assert len(kept) == len(prices) // 4 * 2 + len(prices) % 4
    if prices:
        assert column[kept].min() == column.min()
        assert column[kept].max() == column.max()


@given(st.lists(st.floats(1, 100), min_size=1, max_size=300), st.integers(4, 50))
def test_thinned_points_stay_within_the_limit_and_end_with_the_newest(prices: list[float], limit: int) -> None:
    points = list(enumerate(prices))
    thinned = wire.thin(points, limit)
    assert len(thinned) <= limit
    assert thinned[-1] == points[-1]
    assert set(thinned) <= set(points)


def test_merging_keeps_every_increment(snapshots: list[wire.Snapshot]) -> None:
    merged = wire.merge(snapshots)
    assert merged.seq == snapshots[-1].seq
    assert merged.account == snapshots[-1].account
    assert [trade.number for trade in merged.new_trades] == list(range(1, merged.account.trades + 1))
    assert merged.account.trades > 5
    assert merged.ticks_tail == snapshots[-1].ticks_tail[-50:]
    for index, view in enumerate(merged.symbols):
        every = [point for snapshot in snapshots for point in snapshot.symbols[index].points]
        assert len(every) > wire.MAX_POINTS >= len(view.points)
        assert max(point[1] for point in every) in {point[1] for point in view.points}
        assert view.points[-1] == every[-1]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MICROBURST_RUNTIME_DIR": "/own", "XDG_RUNTIME_DIR": "/run/user/1"}, "/own"),
        ({"XDG_RUNTIME_DIR": "/run/user/1", "TMPDIR": "/var/tmp"}, "/run/user/1/microburst"),
        ({"LOCALAPPDATA": "/profile"}, "/profile/microburst/run"),
        ({"TMPDIR": "/var/tmp"}, "/var/tmp/microburst-7"),
        ({}, "/tmp/microburst-7"),
        ({"XDG_RUNTIME_DIR": "", "TMPDIR": ""}, "/tmp/microburst-7"),
    ],
)
def test_the_runtime_directory_follows_the_environment(environ: dict[str, str], expected: str) -> None:
    assert wire.runtime_directory(environ, "7").as_posix() == expected
