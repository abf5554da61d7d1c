"""Records of the journal: checksums, blocks of ticks, and values of every registered type, there and back."""

from __future__ import annotations

import struct
import types
import typing
from contextlib import suppress
from enum import StrEnum
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import _journal, events
from engine.errors import DataError
from engine.journal import codec as journal_codec
from engine.journal.codec import DECISIONS, INPUTS, KernelState, pack, unpack
from engine.model import Reason, TickBlock
from engine.trading import kernel

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def crc_by_bits(data: bytes) -> int:
    """CRC-32C from its definition: the remainder by the polynomial 0x1EDC6F41, bits reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of the polynomial
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
@pytest.mark.parametrize("by_table", [False, True])
def test_known_checksums(data, expected, by_table):
    assert _journal.crc32c(data, 0, by_table) == expected


@given(st.binary(max_size=100), st.integers(0, 100))
def test_table_instruction_and_definition_agree_and_checksums_go_on(data, cut):
    expected = crc_by_bits(data)
    for by_table in (False, True):
        assert _journal.crc32c(data, 0, by_table) == expected
        assert _journal.crc32c(data[cut:], _journal.crc32c(data[:cut], 0, by_table), by_table) == expected


# ---------------------------------------------------------------- blocks


@st.composite
def blocks(draw: st.DrawFn) -> TickBlock:
    rows = draw(st.integers(1, 40))
    values = st.one_of(st.integers(0, 3), st.integers(0, 300), st.integers(-70_000, 70_000), INT64)

    def column(kind: type, numbers: st.SearchStrategy[int]) -> np.ndarray:
        return np.array(draw(st.lists(numbers, min_size=rows, max_size=rows)), kind)

    def maybe(kind: type, numbers: st.SearchStrategy[int]) -> np.ndarray | None:
        return column(kind, numbers) if draw(st.booleans()) else None

    return TickBlock(
        *(column(np.int64, values) for _ in range(3)),
        *(maybe(np.int64, values) for _ in range(4)),
        maybe(np.uint16, st.integers(0, 65535)),
        maybe(np.uint8, st.integers(0, 255)),
        *(maybe(np.int64, values) for _ in range(4)),
    )


def assert_same(left: TickBlock, right: TickBlock) -> None:
    for name in TickBlock.__slots__:
        one, other = getattr(left, name), getattr(right, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one.dtype == other.dtype, name
            assert one.tolist() == other.tolist(), name


@given(blocks(), st.data())
def test_a_block_comes_back_as_it_was(block, data):
    start = data.draw(st.integers(0, len(block) - 1))
    stop = data.draw(st.integers(start + 1, len(block)))
    memory = bytearray(64 << 10)
    assert _journal.Writer(memory, 0, 0, 0).append_block(block, start, stop)
    scanner = _journal.Scanner(memory, 0, 0, 0)
    assert scanner.step()
    found = unpack(scanner.type, scanner.version, scanner.rows, scanner.payload)
    assert_same(found, block.part(start, stop))
    assert not scanner.step()
    assert not scanner.problem


def test_the_longest_block_fits_and_one_row_more_is_refused():
    wide = np.array([-(1 << 63), (1 << 63) - 1] * 4097, np.int64)
    block = TickBlock(*[wide] * 7, np.zeros(8194, np.uint16), np.zeros(8194, np.uint8), *[wide] * 4)
    writer = _journal.Writer(bytearray(2 << 20), 0, 0, 0)
    assert writer.append_block(block, 0, _journal.MAX_ROWS)
    assert writer.at <= _journal.MAX_RECORD
    for start, stop in ((0, _journal.MAX_ROWS + 1), (0, 0), (1, 0), (-1, 3), (8193, 8195)):
        with pytest.raises(ValueError, match="rows"):
            writer.append_block(block, start, stop)


def test_columns_of_other_types_are_refused():
    good = np.arange(4)
    writer = _journal.Writer(bytearray(4096), 0, 0, 0)
    for bad in (good.astype(np.int32), good.astype(float), np.arange(8)[::2]):
        with pytest.raises(ValueError, match="price_ticks"):
            writer.append_block(TickBlock(good, bad, good), 0, 4)
    with pytest.raises(ValueError, match="length"):
        writer.append_block(TickBlock(good, np.arange(5), good), 0, 4)
    assert writer.at == 0
    assert writer.sequence == 0


@given(st.binary(max_size=80), st.integers(-1, 9000))
def test_any_bytes_are_a_block_or_refused(payload, rows):
    try:
        found = _journal.read_block(payload, rows)
    except ValueError:
        return
    assert all(len(column) == rows for column in found.values())


# ---------------------------------------------------------------- other records

FRACTIONS = st.builds(Fraction, st.integers(), st.integers(1, 1 << 70))


def values_of(annotation: object) -> st.SearchStrategy:
    """Values of a field's declared type."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, typing.get_args(annotation)))
    if typing.get_origin(annotation) is not None:  # sequences and tuples of whole numbers
        return st.lists(st.integers(), max_size=4).map(tuple)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from(list(annotation))
    plain = {int: st.integers(), bool: st.booleans(), Fraction: FRACTIONS, type(None): st.none()}
    plain[str] = st.text() | st.sampled_from(list(Reason)) | st.sampled_from(list(events.Refusal))
    return plain[annotation]


def events_of(kind: type) -> st.SearchStrategy:
    names = typing.get_type_hints(kind)
    return st.builds(kind, **{name: values_of(annotation) for name, annotation in names.items()})


REGISTERED = {
    **{number: kind for kind, number in INPUTS.items()},
    **{DECISIONS + number: kind for kind, number in events.TYPES.items()},
    journal_codec.STATE: KernelState,
}


def test_numbers_are_used_once():
    assert len(set(INPUTS.values())) == len(INPUTS)
    assert len(set(events.TYPES.values())) == len(events.TYPES)
    assert set(typing.get_args(events.Decision)) == set(events.TYPES), "every decision has a number"
    assert set(typing.get_args(kernel.Input)) - {TickBlock} == set(INPUTS), "and every input"


@pytest.mark.parametrize("number", sorted(REGISTERED))
def test_every_registered_type_comes_back_as_it_was(number):
    kind = REGISTERED[number]

    @given(events_of(kind))
    def comes_back(event):
        payload = pack(event)
        found = unpack(number, journal_codec.version_of(kind), 0, payload + bytes(-len(payload) % 8))
        assert found == event
        assert type(found) is kind
        for name in journal_codec.fields_of(kind):
            one, other = getattr(found, name), getattr(event, name)
            assert type(one) is type(other), "listed words come back as what they were"

    comes_back()


@given(st.sampled_from(sorted(REGISTERED)), st.binary(max_size=64))
def test_any_payload_is_an_event_or_refused(number, payload):
    with suppress(DataError):
        unpack(number, 1, 0, payload)


def test_unknown_types_and_versions_are_refused():
    for number, version in ((63, 1), (DECISIONS + 60_000, 1), (DECISIONS + 1, 99), (_journal.TICKS, 2)):
        with pytest.raises(DataError, match=r"^[^\n]*version[^\n]*$"):
            unpack(number, version, 1, bytes(64))


def test_a_journal_holds_no_doubles():
    with pytest.raises(TypeError, match="float"):
        pack(events.TimePassed(0.5))


# ---------------------------------------------------------------- the writer


def test_records_are_laid_out_as_documented_and_each_checksum_goes_on_from_the_one_before():
    memory = bytearray(512)
    writer = _journal.Writer(memory, 0, 7, 0)
    records = [(70, b"opened"), (71, b""), (72, bytes(range(20)))]
    for kind, payload in records:
        assert writer.append(kind, 3, payload)
    expected = covered = b""
    for sequence, (kind, payload) in enumerate(records, 7):
        filled_up = payload + bytes(-len(payload) % 8)
        length = struct.pack("<I", 24 + len(filled_up))
        rest = struct.pack("<QHHI", sequence, kind, 3, 0) + filled_up
        covered += length + rest
        expected += length + struct.pack("<I", crc_by_bits(covered)) + rest
    assert bytes(memory).rstrip(b"\0") == expected.rstrip(b"\0")
    assert writer.at == len(expected)


def test_a_segment_is_filled_to_the_last_byte_and_no_further():
    memory = bytearray(24 * 4)
    writer = _journal.Writer(memory, 0, 7, 0)
    assert [writer.append(70, 1, b"") for _ in range(4)] == [True, True, True, False]
    assert writer.left == 0
    assert writer.sequence == 10
    writer.end(2)
    assert bytes(memory[-24:-20]) == (24).to_bytes(4, "little")
    with pytest.raises(ValueError, match="ended"):
        writer.end(2)
    scanner = _journal.Scanner(memory, 0, 7, 0)
    assert [scanner.step() for _ in range(5)] == [True] * 4 + [False]
    assert scanner.problem == ""


def test_a_record_that_is_too_long_is_refused_and_changes_nothing():
    writer = _journal.Writer(bytearray(3 << 20), 0, 0, 0)
    assert writer.append(70, 1, bytes(_journal.MAX_RECORD - _journal.HEADER_BYTES))
    at = writer.at
    assert not writer.append(70, 1, bytes(_journal.MAX_RECORD - _journal.HEADER_BYTES + 1))
    assert writer.at == at
    assert writer.sequence == 1


def test_a_released_writer_appends_nothing():
    writer = _journal.Writer(bytearray(4096), 0, 0, 0)
    writer.release()
    assert not writer.append(70, 1, b"")
    assert not writer.append_tick(0, 1, 2, 3)
    with pytest.raises(ValueError, match="ended"):
        writer.end(2)


def test_a_single_tick_is_a_block_of_one():
    memory = bytearray(4096)
    assert _journal.Writer(memory, 0, 0, 0).append_tick(3, 1_700_000_000_000_000_000, 17_000, 5, 16_999, 17_001)
    scanner = _journal.Scanner(memory, 0, 0, 0)
    assert scanner.step()
    block = unpack(scanner.type, scanner.version, scanner.rows, scanner.payload)
    columns = (block.instrument, block.ts_ns, block.price_ticks, block.size_lots, block.bid_ticks, block.ask_ticks)
    assert [int(column[0]) for column in columns] == [3, 1_700_000_000_000_000_000, 17_000, 5, 16_999, 17_001]
