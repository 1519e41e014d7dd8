"""PyTorch's memory snapshot, as its viewer (pytorch.org/memory_viz) reads it: a pickle of plain types.

Each buffer is a segment with one block. Addresses are renumbered: the viewer's are JavaScript's numbers.
The pickle is written as it goes, which `pickle` cannot: as objects, a million events take gigabytes.
"""

import pickle
import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mlxtop.trace import layout
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.moments import Moments, Numbers
from mlxtop.trace.reader import Rows
from mlxtop.trace.sites import Site

ALIGNED = 512
KEYS = ("action", "addr", "size", "stream", "time_us", "frames")
ACTIONS = ("segment_alloc", "alloc", "free_requested", "free_completed", "segment_free")
BEGINS, ENDS = ACTIONS[:2], ACTIONS[2:]
"""What becomes of an allocation, and of a free."""
EVENTS_AT_ONCE = 2**16
NOBODYS = 2**64 - 1
"""An address that no buffer has."""
ITEMS_AT_ONCE = 1000
"""As many as `pickle` appends at once: the viewer passes them as arguments of one call."""

MARK, DICT, LIST, APPENDS, SETITEMS, STOP = (
    pickle.MARK, pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.APPENDS, pickle.SETITEMS, pickle.STOP,
)  # fmt: skip
HEAD = pickle.PROTO + b"\x02"


def write(moments: Moments, chosen: Chosen, out: BinaryIO) -> None:
    """Writes the segments alive at the end, and the events of the ring as one device's trace."""
    events, live = _consistent(moments, chosen)
    addresses, starts = _renumbered(events, live)
    memo = _Memo()
    out.write(HEAD + DICT + MARK)
    # The viewer ignores this entry. Every later use of one of these objects is a reference to here.
    out.write(memo.text("mlxtop") + LIST + MARK)
    for word in (*KEYS, *ACTIONS):
        out.write(memo.keep(word, memo.text(word)))
    for one in moments.sites:
        out.write(memo.keep(one.index, _frames(memo, one)))
    out.write(APPENDS)
    out.write(memo.text("device_traces") + LIST + MARK + LIST)
    for first in range(0, len(events), EVENTS_AT_ONCE):
        part = events[first : first + EVENTS_AT_ONCE]
        table = _entries(memo, part, _look_up(part, addresses, starts))
        for row in range(0, len(table), ITEMS_AT_ONCE):
            out.write(MARK + table[row : row + ITEMS_AT_ONCE].tobytes() + APPENDS)
    out.write(APPENDS + memo.text("segments") + LIST)
    places = _look_up(live, addresses, starts)
    for address, size, site in zip(
        places.tolist(), _sizes(live).tolist(), live["site"].tolist(), strict=True
    ):
        out.write(_segment(memo, address, size, site) + pickle.APPEND)
    out.write(SETITEMS + STOP)


class _Memo:
    """The pickle's memo: objects that are written once and then referred to."""

    def __init__(self) -> None:
        self.places: dict[str | int, int] = {}

    def text(self, value: str) -> bytes:
        raw = value.encode(errors="replace")
        return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw

    def keep(self, key: str | int, written: bytes) -> bytes:
        self.places[key] = len(self.places)
        return written + pickle.LONG_BINPUT + struct.pack("<I", self.places[key])

    def get(self, key: str | int) -> bytes:
        return pickle.LONG_BINGET + struct.pack("<I", self.places[key])


def _integer(value: int) -> bytes:
    """Eight bytes, whatever it is: that way a million of them are written at once."""
    return pickle.LONG1 + b"\x08" + struct.pack("<q", value)


def _dict(*pairs: tuple[bytes, bytes]) -> bytes:
    return DICT + MARK + b"".join(key + value for key, value in pairs) + SETITEMS


def _frames(memo: _Memo, site: Site) -> bytes:
    """Innermost first, as the viewer wants them, with the operation before Python's frames."""
    name, line, function = memo.text("filename"), memo.text("line"), memo.text("name")
    dicts = [
        _dict((name, memo.text(path)), (line, _integer(at)), (function, memo.text(called)))
        for path, at, called in site.frames
    ]
    return LIST + MARK + b"".join(dicts) + APPENDS


def _entry(memo: _Memo, action: str) -> tuple[bytes, dict[str, int]]:
    """A dict with nothing in its numbers yet, and where each of them is."""
    raw, places = DICT + MARK, {}
    for key in KEYS:
        raw += memo.get(key)
        if key == "action":
            raw += memo.get(action)
        elif key == "frames":
            raw += pickle.LONG_BINGET
            places[key] = len(raw)
            raw += bytes(4)
        else:
            raw += pickle.LONG1 + b"\x08"
            places[key] = len(raw)
            raw += bytes(8)
    return raw + SETITEMS, places


def _entries(memo: _Memo, events: Rows, addresses: Numbers) -> NDArray[np.uint8]:
    """The dicts of these events, a row each. All are of one length, so whole columns are filled at once."""
    begins = events["kind"] == layout.ALLOCATED
    lengths = np.where(begins, len(BEGINS), len(ENDS))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    _, places = _entry(memo, ACTIONS[0])
    width = len(_entry(memo, ACTIONS[0])[0])
    table = np.zeros((int(offsets[-1]), width), np.uint8)
    for kind, actions in ((begins, BEGINS), (~begins, ENDS)):
        for turn, action in enumerate(actions):
            table[offsets[:-1][kind] + turn] = np.frombuffer(_entry(memo, action)[0], np.uint8)
    memos = np.array([memo.places[site] for site in events["site"].tolist()], np.int64)
    columns = {
        "addr": addresses,
        "size": _sizes(events),
        "time_us": (events["time_ns"] // 1000).astype(np.int64),
        "frames": memos,
    }
    for key, column in columns.items():
        size = 4 if key == "frames" else 8
        raw = np.repeat(column, lengths).astype(f"<i{size}").view(np.uint8).reshape(-1, size)
        table[:, places[key] : places[key] + size] = raw
    return table


def _segment(memo: _Memo, address: int, size: int, site: int) -> bytes:
    whole = _integer(size)
    block = _dict(
        (memo.text("address"), _integer(address)),
        (memo.get("size"), whole),
        (memo.text("requested_size"), whole),
        (memo.text("state"), memo.text("active_allocated")),
        (memo.get("frames"), memo.get(site)),
    )
    return _dict(
        (memo.text("address"), _integer(address)),
        (memo.text("total_size"), whole),
        (memo.text("allocated_size"), whole),
        (memo.text("active_size"), whole),
        (memo.text("requested_size"), whole),
        (memo.get("stream"), _integer(0)),
        (memo.text("device"), _integer(0)),
        (memo.text("segment_type"), memo.text("large")),
        (memo.get("frames"), memo.get(site)),
        (memo.text("blocks"), LIST + block + pickle.APPEND),
    )


def _consistent(moments: Moments, chosen: Chosen) -> tuple[Rows, Rows]:
    """Events and live buffers that fit together: of each address an allocation and a free in turn.

    Where some were torn, what they would leave open is left out.
    """
    events = chosen.events(moments.ring.events)
    events = events[events["kind"] <= layout.FREED]
    live = chosen.live(_live(moments))
    order = np.argsort(events["address"], kind="stable")
    address, kind = events["address"][order], events["kind"][order]
    same = address[1:] == address[:-1]
    keep = np.ones(len(events), bool)
    # An allocation that another follows was freed unseen; so was what a second free frees allocated unseen.
    keep[:-1] &= ~(same & (kind[1:] == layout.ALLOCATED) & (kind[:-1] == layout.ALLOCATED))
    keep[1:] &= ~(same & (kind[1:] == layout.FREED) & (kind[:-1] == layout.FREED))
    last = np.append(~same, True) if len(events) else np.zeros(0, bool)
    alive = np.isin(address, live["address"])
    keep &= ~(last & (alive != (kind == layout.ALLOCATED)))
    found = np.zeros(len(events), bool)
    found[order[keep]] = True
    return events[found], live


def _live(moments: Moments) -> Rows:
    """The live buffers, each address once. What was there before the trace and still is stands for one."""
    live = moments.live[np.unique(moments.live["address"], return_index=True)[1]]
    before = int(moments.now.bytes[: layout.BEFORE + 1].sum())
    if before <= 0:
        return live
    return np.append(live, np.array([(NOBODYS, before, 0, layout.BEFORE, 0)], layout.LIVE))


def _renumbered(events: Rows, live: Rows) -> tuple[NDArray[np.uint64], Numbers]:
    """Every address, and where it comes to lie: one after another, each with room for its largest buffer."""
    addresses = np.concatenate([events["address"], live["address"]])
    sizes = np.concatenate([_sizes(events), _sizes(live)])
    order = np.argsort(addresses, kind="stable")
    known, first = np.unique(addresses[order], return_index=True)
    if not len(known):
        return known, np.zeros(0, np.int64)
    room = np.maximum.reduceat(sizes[order], first)
    room = (room + ALIGNED - 1) // ALIGNED * ALIGNED
    return known, ALIGNED + np.cumsum(room) - room


def _sizes(rows: Rows) -> Numbers:
    """The viewer finds no segment for a block of no byte."""
    return np.maximum(rows["size"].astype(np.int64), 1)


def _look_up(rows: Rows, addresses: NDArray[np.uint64], starts: Numbers) -> Numbers:
    found: Numbers = starts[np.searchsorted(addresses, rows["address"])]
    return found
