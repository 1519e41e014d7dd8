"""How the rows of the fleet's screen are divided among its parts."""

from typing import NamedTuple

MOST_ROWS = 4
MOST_ROWS_ALONE = 8
"""Most rows of a session where no output is shown."""
ROOM_FOR_STATUS = 10
ROOM_FOR_OUTPUT = 20
LEAST_OUTPUT = 4
WAITING = 3
"""Rows of the message when there are no sessions."""


class Heights(NamedTuple):
    """The rows of each session and of each part of the screen. 0 hides a part."""

    session: int
    session_list: int
    sum: int
    unattached: int
    status: int
    machine: int
    rest: int
    """For the program's output, or blank."""


def heights(room: int, members: int, unattached: int, prints: bool) -> Heights:
    """Divides the `room` rows of a screen. Sessions get as many rows as still let all be seen.

    `prints`: the program's output is shown.
    """
    status = int(room >= ROOM_FOR_STATUS)
    prints = prints and room >= ROOM_FOR_OUTPUT
    below = min(unattached, max(1, room // 6)) + 1 if unattached else 0
    # The first row, the keys, and the line for typing.
    room -= 2 + status + below + int(prints)
    if not members:
        session_list = min(room, WAITING)
        return Heights(1, session_list, 0, below, status, 0, room - session_list)
    machine = status
    room -= machine
    least = LEAST_OUTPUT if prints else 0
    for rows in range(MOST_ROWS if prints else MOST_ROWS_ALONE, 0, -1):
        names, total = min(rows, 2), min(rows, 3) if members > 1 else 0
        # One row for the time.
        spare = room - least - names - rows * members - total - 1
        if spare >= 0:
            break
    session_list = max(names + 1, names + rows * members + min(0, spare))
    return Heights(rows, session_list, total, below, status, machine, least + max(0, spare))
