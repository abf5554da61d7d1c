"""Whatever the scanner accepts is what orjson and Decimal read; whatever it refuses as damaged, they refuse too."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine._wire import REFUSED
from tests.oracle.wire import Reader, Scanner, messages

INSTRUMENTS = [("AAPL", 2, 0), ("BTCUSDT", 2, 5), ("PENNY", 4, 0), ("IDX", 0, 0)]
T0 = 1_700_000_000 * 10**9
NARROWER = {"bad_number", "too_deep", "duplicate_key", "too_many_keys", "too_many_messages", "too_large", "bad_escape"}
"""Reasons for which the scanner may refuse what others read: it is stricter than the grammar by design."""


def compare(scanner: Scanner, reader: Reader, frame: bytes) -> bool:
    """Feed both; returns whether the frame was accepted."""
    rows = scanner.read(frame)
    if scanner.outcome == REFUSED:
        assert rows == []
        if scanner.decoder.fault not in NARROWER:
            assert messages(frame) is None, (scanner.decoder.fault, frame)
        return False
    expected = reader.read(frame)
    assert expected is not None, frame
    assert rows == expected, frame
    return True


def number(steps: int, precision: int, zeros: int) -> str:
    """Decimal text of ``steps * 10**-precision`` with some trailing zeros cut off or put on."""
    text = f"{steps:0{precision + 1}d}"
    whole, decimals = text[: len(text) - precision], text[len(text) - precision :]
    decimals = decimals.rstrip("0") if zeros < 0 else decimals + "0" * zeros
    return f"{whole}.{decimals}" if decimals else whole


scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    scalars | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
space = st.sampled_from(["", " ", "\n", "\t \r\n"])


@st.composite
def record_text(draw: st.DrawFn) -> str:
    symbol, pp, sp = draw(st.sampled_from(INSTRUMENTS))
    steps = st.integers(1, 2**40 - 1) | st.integers(1, 200)
    zeros = st.integers(-1, 3)

    def decimal(precision: int) -> str:
        return number(draw(steps), precision, draw(zeros))

    fields = {"S": json.dumps(symbol), "t": str(draw(st.integers(T0, T0 + 100)))}
    if draw(st.booleans()):
        fields |= {"T": '"t"', "i": str(draw(st.integers(0, 40))), "p": decimal(pp), "s": decimal(sp)}
        fields |= {key: decimal(pp) for key in "ba" if draw(st.booleans())}
    else:
        fields |= {"T": '"q"', "b": decimal(pp), "a": decimal(pp), "bs": decimal(sp), "as": decimal(sp)}
    for key, value in draw(st.dictionaries(st.text("xyzäß€😀", min_size=1), anything, max_size=3)).items():
        fields[key] = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 5)) == 0:  # a value of any type where one is expected
        fields[draw(st.sampled_from(sorted(fields)))] = json.dumps(draw(anything))
    items = draw(st.permutations(sorted(fields.items())))
    gap = draw(space)
    return (
        "{"
        + f"{gap},{gap}".join(f"{json.dumps(key, ensure_ascii=False)}{gap}:{gap}{value}" for key, value in items)
        + "}"
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(record_text(), max_size=5), min_size=1, max_size=4))
def test_sound_frames_are_read_as_the_oracle_reads_them(frames: list[list[str]]) -> None:
    scanner, reader = Scanner(INSTRUMENTS), Reader(INSTRUMENTS)
    for records in frames:
        frame = ("[" + ",".join(records) + "]").encode()
        if not compare(scanner, reader, frame):
            assert scanner.decoder.fault in NARROWER


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"[", b'[{"T":"t",', b'[{"x":"', b'[{"x":1']))
def test_arbitrary_bytes_never_raise_and_never_lie(tail: bytes, head: bytes) -> None:
    compare(Scanner(INSTRUMENTS), Reader(INSTRUMENTS), head + tail)


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_json_value_is_understood_alike(value: object) -> None:
    compare(Scanner(INSTRUMENTS), Reader(INSTRUMENTS), json.dumps([{"x": value}]).encode())


GOLDEN = Path(__file__).parents[1] / "golden" / "mock_wire"
STRUCTURE = b'{}[]",:\\0123456789.-+eEtfn \x00\x7f\x80\xc3\xed\xf0\xff'


def damage(rng: random.Random, frame: bytes, other: bytes) -> bytes:
    """One to three injuries: flipped bits, wrong bytes, cuts, insertions, repetitions, or the tail of another frame."""
    data = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 5, 40)))
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at % len(data)] = rng.choice(STRUCTURE)
            case 2:
                data.insert(at, rng.choice(STRUCTURE))
            case 3:
                del data[at:end]
            case 4:
                del data[at:]
            case 5:
                data[at:at] = data[at:end]
            case 6:
                data[at:] = other[rng.randrange(len(other)) :]
    return bytes(data)


def fuzz(seed: int, rounds: int) -> tuple[int, int]:
    """Returns how many damaged frames were accepted and refused."""
    rng = random.Random(seed)
    frames = [line for name in ("frames", "tolerant") for line in (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()]
    accepted = refused = 0
    scanner, reader = Scanner(INSTRUMENTS), Reader(INSTRUMENTS)
    for n in range(rounds):
        if n % 500 == 0:  # begin again, so that ids seen before do not hide what follows
            scanner, reader = Scanner(INSTRUMENTS), Reader(INSTRUMENTS)
        if compare(scanner, reader, damage(rng, rng.choice(frames), rng.choice(frames))):
            accepted += 1
        else:
            refused += 1
    return accepted, refused


@pytest.mark.parametrize("seed", range(10))
def test_damaged_frames_are_never_accepted_with_wrong_values(seed: int) -> None:
    accepted, refused = fuzz(seed, 10_000)
    assert accepted > 1_000  # unknown names and changed digits leave a sound frame
    assert refused > 5_000


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 200))
def test_ten_million_damaged_frames(seed: int) -> None:
    accepted, refused = fuzz(seed, 100_000)
    assert accepted > 10_000
    assert refused > 50_000
