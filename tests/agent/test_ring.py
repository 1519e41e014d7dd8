"""The last rows of a program, numbered from the first."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from mlxtop.agent.ring import ROWS, Ring
from mlxtop.core.sample import UNKNOWN

ELEVEN = tuple(range(11))


def test_rows_come_back_as_they_went_in() -> None:
    ring = Ring(4)
    row = (1.25, 2**63 - 1, -(2**63), -1, 0, 5, 6, 7, 8, 9, 10, 11)
    ring.add(row[0], row[1:])
    assert ring.rows(0, 10) == [row]


@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 50), st.integers(0, 50))
def test_it_keeps_the_last_and_knows_their_numbers(size: int, added: int, start: int, most: int) -> None:
    ring = Ring(size)
    for number in range(added):
        ring.add(float(number), ELEVEN)
    assert (ring.begin, ring.end) == (max(0, added - size), added)
    rows = ring.rows(max(start, ring.begin), most)
    assert [row[0] for row in rows] == [
        *range(max(start, ring.begin), min(added, max(start, ring.begin) + most))
    ]


def test_buffers_are_beside_all_rows_once_a_trace_has_counted_some() -> None:
    ring = Ring(3)
    for number, buffers in enumerate((UNKNOWN, UNKNOWN, 7, UNKNOWN)):
        ring.add(float(number), ELEVEN, buffers)
        assert [len(row) for row in ring.rows(0, 1)] == [12 if number < 2 else 13]
    assert [row[-1] for row in ring.rows(ring.begin, 10)] == [UNKNOWN, 7, UNKNOWN]


def test_it_never_grows() -> None:
    ring = Ring()
    size = sys.getsizeof(ring._block)
    for number in range(ROWS + 100):
        ring.add(float(number), ELEVEN)
    assert sys.getsizeof(ring._block) == size < 2**20
