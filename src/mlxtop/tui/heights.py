"""How the rows of the fleet's screen are given out to its parts."""

from typing import NamedTuple

MOST_ROWS = 4
MOST_ROWS_ALONE = 8
"""Where no output waits for the rows that are left."""
ROOM_FOR_STATUS = 10
ROOM_FOR_OUTPUT = 20
LEAST_OUTPUT = 4
WAITING = 3
"""Rows of the word on what is waited for."""


class Heights(NamedTuple):
    """Rows of a lane, and of each part of the screen; 0 hides it."""

    lane: int
    lanes: int
    sum: int
    strangers: int
    status: int
    machine: int
    rest: int
    """For what the program prints, or blank."""


def heights(room: int, members: int, strangers: int, prints: bool) -> Heights:
    """How the rows of a screen `room` rows high are given out. Lanes are as tall as lets all be seen."""
    status = int(room >= ROOM_FOR_STATUS)
    prints = prints and room >= ROOM_FOR_OUTPUT
    below = min(strangers, max(1, room // 6)) + 1 if strangers else 0
    # The first row and the keys; the line to type in.
    room -= 2 + status + below + int(prints)
    if not members:
        lanes = min(room, WAITING)
        return Heights(1, lanes, 0, below, status, 0, room - lanes)
    machine = status
    room -= machine
    least = LEAST_OUTPUT if prints else 0
    for rows in range(MOST_ROWS if prints else MOST_ROWS_ALONE, 0, -1):
        names, total = min(rows, 2), min(rows, 3) if members > 1 else 0
        # One row for the time.
        spare = room - least - names - rows * members - total - 1
        if spare >= 0:
            break
    lanes = max(names + 1, names + rows * members + min(0, spare))
    return Heights(rows, lanes, total, below, status, machine, least + max(0, spare))
