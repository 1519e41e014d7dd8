import random
import zlib
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.recording import codec
from mlxtop.recording.codec import DamagedError, pack, unpack
from tests.process import python

# From steps of a byte to the whole range, so that every width of a difference comes up.
kinds = st.sampled_from([2**6, 2**7, 2**14, 2**15, 2**30, 2**31, 2**40, 2**62, 2**63])


@st.composite
def tables(draw: st.DrawFn) -> list[list[int]]:
    rows = draw(st.one_of(st.integers(1, 4), st.integers(1, 300)))
    ranges = draw(st.lists(kinds, min_size=1, max_size=13))
    return [draw(st.lists(st.integers(-n, n - 1), min_size=rows, max_size=rows)) for n in ranges]


def some_table() -> list[list[int]]:
    """50 rows of 4 columns."""
    chance = random.Random(7)
    return [[chance.randrange(2**n) for _ in range(50)] for n in (4, 10, 20, 35)]


@given(tables())
def test_any_columns_come_back_as_they_were(table: list[list[int]]) -> None:
    found = unpack(pack(table), len(table), len(table[0]))
    assert [list(column) for column in found] == table
    assert all(isinstance(column, array) and column.typecode == "q" for column in found)


@pytest.mark.parametrize("rows", [1, 2, 255, 6_000, codec.MOST_ROWS])
def test_blocks_of_every_length_come_back(rows: int) -> None:
    table = [range(rows), range(0, -rows, -1)]
    assert [list(column) for column in unpack(pack(table), 2, rows)] == [list(column) for column in table]


def test_columns_of_other_types_than_lists_are_packed_too() -> None:
    assert pack([(5, 6), array("q", (7, 9))]) == pack([[5, 6], [7, 9]])


def test_a_calm_column_takes_next_to_nothing() -> None:
    assert len(pack([[2**40] * 6_000])) < 60
    assert len(pack([range(0, 60_000_000, 10_000)])) < 60


@given(st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_is_noticed_unless_it_says_nothing(place: int, bit: int) -> None:
    table, data = some_table(), bytearray(pack(some_table()))
    data[place % len(data)] ^= 1 << bit
    try:
        found = unpack(bytes(data), len(table), 50)
    except DamagedError:
        return
    assert [list(column) for column in found] == table


def test_a_block_cut_short_anywhere_is_noticed() -> None:
    data = pack(some_table())
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            unpack(data[:length], 4, 50)


@given(st.binary(max_size=300), st.integers(0, 20), st.integers(-5, 2**40))
def test_bytes_of_somebody_else_are_damaged_or_nothing(data: bytes, count: int, rows: int) -> None:
    with pytest.raises(DamagedError):
        unpack(data, count, rows)


@given(st.binary(max_size=300), st.integers(1, 20), st.integers(1, 300))
def test_bytes_that_inflate_but_mean_nothing_are_damaged_or_full_columns(
    flat: bytes, count: int, rows: int
) -> None:
    try:
        found = unpack(zlib.compress(flat), count, rows)
    except DamagedError:
        return
    assert [len(column) for column in found] == [rows] * count


@pytest.mark.parametrize(("count", "rows"), [(3, 50), (5, 50), (4, 49), (4, 51), (4, 0), (4, -1), (4, 2**60)])
def test_another_shape_than_was_packed_is_noticed(count: int, rows: int) -> None:
    with pytest.raises(DamagedError):
        unpack(pack(some_table()), count, rows)


@pytest.mark.usefixtures("processes")
def test_a_bomb_does_not_eat_memory() -> None:
    grown = python(
        """
import json, resource, zlib
from mlxtop.recording.codec import DamagedError, pack, unpack
inflate = zlib.compressobj(1)
bomb = b"".join(inflate.compress(bytes(2**20)) for _ in range(128)) + inflate.flush()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpack(bomb, 12, 6_000)
except DamagedError:
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""
    )
    assert grown < 20_000, "kilobytes; the bomb holds 128 MiB"
