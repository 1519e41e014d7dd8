"""Each export is read back by a reader of its format that is not ours, and tells what the trace tells."""

import gzip
import io
import json
import pickle
import pickletools
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from mlxtop.trace.composition import by_operation
from mlxtop.trace.export import FORMATS
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.export.perfetto import POINTS
from mlxtop.trace.moments import Moments
from mlxtop.trace.reader import TraceFile
from tests.trace.pprof_profile import profile
from tests.trace.test_reader import OPERATIONS, run, small
from tests.trace.writer import BEGAN, EVENT, WALL, Writer, context

MOST_OF_JAVASCRIPT = 2**53


def moments_of(writer: Writer, path: Path) -> Moments:
    with TraceFile(writer.save(path)) as trace:
        return Moments(trace)


def exported(moments: Moments, form: str) -> bytes:
    out = io.BytesIO()
    FORMATS[form].write(moments, Chosen(moments.peak), out)
    return out.getvalue()


@pytest.fixture
def moments(tmp_path: Path) -> Moments:
    return moments_of(small(), tmp_path / "t")


# PyTorch's viewer


def check_snapshot(snapshot: Any) -> list[int]:
    """Everything that MemoryViz.js relies on. Returns the bytes alive after each event of memory, backwards."""
    assert {type(one) for one in snapshot["device_traces"]} == {list}
    segments: dict[int, int] = {}
    blocks: dict[int, int] = {}
    for segment in snapshot["segments"]:
        assert segment["address"] not in segments
        segments[segment["address"]] = segment["total_size"]
        assert sum(block["size"] for block in segment["blocks"]) == segment["total_size"]
        for block in segment["blocks"]:
            blocks[block["address"]] = block["size"]
    sums = [sum(blocks.values())]
    # The viewer walks back from the end: `simulate_memory`.
    for event in reversed(snapshot["device_traces"][0]):
        assert 0 < event["addr"] < event["addr"] + event["size"] < MOST_OF_JAVASCRIPT
        assert event["frames"]
        address, size = event["addr"], event["size"]
        if event["action"] == "segment_free":
            assert address not in segments
            segments[address] = size
        elif event["action"] == "free_completed":
            assert address not in blocks
            blocks[address] = size
        elif event["action"] == "free_requested":
            assert blocks[address] == size
        elif event["action"] == "alloc":
            assert blocks.pop(address) == size
            sums.append(sum(blocks.values()))
        elif event["action"] == "segment_alloc":
            assert segments.pop(address) == size
        if event["action"] == "free_completed":
            sums.append(sum(blocks.values()))
        ordered = sorted(segments.items())
        assert all(a + n <= b for (a, n), (b, _) in pairwise(ordered))
        # A block lies within a segment, or `find_segment` gives null and the page is blank.
        assert all(address in segments and size <= segments[address] for address, size in blocks.items())
    return sums


def test_memory_viz_has_what_its_viewer_needs(moments: Moments) -> None:
    raw = exported(moments, "memory-viz")
    snapshot = pickle.loads(raw)
    assert snapshot["device_traces"][0][1] == {
        "action": "alloc", "addr": snapshot["device_traces"][0][0]["addr"], "size": 4000, "stream": 0,
        "time_us": (BEGAN + 2_000_000) // 1000,
        "frames": [
            {"filename": "mlx", "line": 0, "name": "Matmul"},
            {"filename": "/home/me/train.py", "line": 12, "name": "step"},
            {"filename": "/home/me/train.py", "line": 30, "name": "main"},
        ],
    }  # fmt: skip
    assert max(check_snapshot(snapshot)) == moments.header.peak
    assert sum(segment["total_size"] for segment in snapshot["segments"]) == moments.header.active
    assert all(type(one) in (dict, list, str, int) for one in walk(snapshot))


def walk(value: Any) -> Any:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from walk(one)


def test_memory_viz_uses_the_opcodes_of_its_viewer(moments: Moments) -> None:
    """MemoryViz.js unpickles by itself, and knows these only."""
    known = {
        "PROTO", "APPEND", "APPENDS", "LIST", "TUPLE", "NEWFALSE", "NEWTRUE", "NONE", "BINGET", "BININT", "BININT1",
        "BININT2", "EMPTY_DICT", "EMPTY_LIST", "FRAME", "LONG1", "LONG_BINGET", "MARK", "MEMOIZE", "BINPUT",
        "LONG_BINPUT", "SETITEMS", "SETITEM", "DICT", "SHORT_BINUNICODE", "BINUNICODE", "STOP", "EMPTY_TUPLE",
        "TUPLE1", "TUPLE2", "TUPLE3", "BINFLOAT",
    }  # fmt: skip
    opcodes = list(pickletools.genops(exported(moments, "memory-viz")))
    assert {opcode.name for opcode, _, _ in opcodes} <= known
    assert next(argument for opcode, argument, _ in opcodes if opcode.name == "PROTO") in (2, 3, 4)


@given(OPERATIONS)
def test_memory_viz_of_any_trace_fits_together(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int, int]]
) -> None:
    writer = run(Writer(capacity=32), operations)
    moments = moments_of(writer, tmp_path_factory.mktemp("t") / "t")
    sums = check_snapshot(pickle.loads(exported(moments, "memory-viz")))
    # Buffers of no byte are drawn as of one.
    assert abs(sums[0] - writer.active) <= len(writer.blocks)
    # Of a torn event the rest makes no sense: it is left out.
    raw = bytearray(writer.whole())
    for place in range(len(raw) - EVENT * 32, len(raw), EVENT * 3):
        raw[place + 30] = 0
    path = tmp_path_factory.mktemp("t") / "t"
    path.write_bytes(raw)
    with TraceFile(path) as trace:
        torn = Moments(trace)
    check_snapshot(pickle.loads(exported(torn, "memory-viz")))


def test_memory_viz_appends_no_more_at_once_than_a_call_takes_arguments(tmp_path: Path) -> None:
    writer = Writer(capacity=4096)
    site = writer.site("Add")
    for number in range(1500):
        writer.allocate(number + 8, 512, site)
    raw = exported(moments_of(writer, tmp_path / "t"), "memory-viz")
    assert len(pickle.loads(raw)["device_traces"][0]) == 3000
    assert sum(1 for opcode, _, _ in pickletools.genops(raw) if opcode.name == "APPENDS") >= 4


def test_smaller_buffers_can_be_left_out(moments: Moments) -> None:
    out = {form: io.BytesIO() for form in ("memory-viz", "json", "perfetto")}
    for form, file in out.items():
        FORMATS[form].write(moments, Chosen(moments.peak, min_size=1000), file)
    snapshot = pickle.loads(out["memory-viz"].getvalue())
    check_snapshot(snapshot)
    assert {event["size"] for event in snapshot["device_traces"][0]} == {4000, 2000}
    found = json.loads(out["json"].getvalue())
    assert {event[3] for event in found["events"]} == {4000, 2000, 0}
    assert [one[1] for one in found["live"]] == [2000]
    assert len(slices_of(packets(out["perfetto"].getvalue()), "buffer")) == 2


# pprof


def test_pprof_is_read_by_protobuf(moments: Moments) -> None:
    found = profile().FromString(gzip.decompress(exported(moments, "pprof")))
    words = list(found.string_table)
    assert words[0] == ""
    types = [(words[one.type], words[one.unit]) for one in found.sample_type]
    assert types == [
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
    ]
    assert words[found.default_sample_type] == "inuse_space"
    assert (found.time_nanos, words[found.comment[0]]) == (WALL, "python train.py")
    functions = {one.id: (words[one.name], words[one.filename]) for one in found.function}
    places = {one.id: (*functions[one.line[0].function_id], one.line[0].line) for one in found.location}
    assert 0 not in functions | places
    samples = {
        tuple(places[number][0] for number in one.location_id): list(one.value) for one in found.sample
    }
    assert samples["Matmul", "step", "main"] == [1, 4000, 1, 4000]
    assert samples["Softmax", "step", "main"] == [1, 2000, 1, 2000]
    assert samples["Add", "implicit (.item(), printing, NumPy)"] == [0, 0, 1, 10]
    assert ("step", "/home/me/train.py", 12) in places.values()
    assert sum(one.value[1] for one in found.sample) == moments.header.peak
    label = found.sample[1].label[0]
    assert (words[label.key], words[label.str]) == ("phase", "train")


def test_pprof_names_no_template(tmp_path: Path) -> None:
    writer = Writer()
    where = context("train", "/a.py:3 f.<locals>.<lambda>", "/a.py:9 <module>")
    writer.allocate(8, 7, writer.site("Add", where))
    found = profile().FromString(gzip.decompress(exported(moments_of(writer, tmp_path / "t"), "pprof")))
    words = found.string_table
    names = [(words[one.name], words[one.system_name]) for one in found.function]
    assert names == [("Add", "Add"), ("f.locals.lambda", "f.<locals>.<lambda>"), ("module", "<module>")]


def test_the_same_trace_is_the_same_profile(moments: Moments) -> None:
    assert exported(moments, "pprof") == exported(moments, "pprof")


# Flame graphs


def test_folded_stacks_go_from_the_outermost_to_the_operation(moments: Moments) -> None:
    lines = exported(moments, "folded").decode().splitlines()
    assert lines == [
        "before the trace 100",
        "train;main (/home/me/train.py:30);step (/home/me/train.py:12);Matmul 4000",
        "train;main (/home/me/train.py:30);step (/home/me/train.py:12);Softmax 2000",
    ]


def test_a_name_cannot_break_a_folded_line(tmp_path: Path) -> None:
    writer = Writer()
    writer.allocate(8, 7, writer.site("a;b\n\x1b[31mc", context("x;y", "/a b;c.py:3 <lambda>")))
    (line,) = exported(moments_of(writer, tmp_path / "t"), "folded").decode().splitlines()
    assert line == "x,y;<lambda> (/a b,c.py:3);a,b␊␛[31mc 7"


# Perfetto


def packets(raw: bytes) -> list[Any]:
    trace = Trace.FromString(raw)
    # Whatever it does not know would go now.
    whole = trace.SerializeToString()
    trace.DiscardUnknownFields()
    assert trace.SerializeToString() == whole
    return list(trace.packet)


def slices_of(found: list[Any], title: str) -> list[tuple[str, int, int, dict[str, Any]]]:
    """Name, begin and end of each slice on the tracks of this name: each ends before the next one begins."""
    tracks = {one.track_descriptor.uuid for one in found if one.track_descriptor.name == title}
    slices = []
    for track in tracks:
        events = [one for one in found if one.track_event.track_uuid == track]
        assert [one.track_event.type for one in events] == [1, 2] * (len(events) // 2)
        times = [one.timestamp for one in events]
        assert times == sorted(times)
        for begin, end in zip(events[::2], events[1::2], strict=True):
            notes = {
                note.name: note.string_value or note.int_value for note in begin.track_event.debug_annotations
            }
            slices.append((begin.track_event.name, begin.timestamp, end.timestamp, notes))
    return sorted(slices, key=lambda one: one[1])


def counter(found: list[Any], title: str) -> list[int]:
    (track,) = (one.track_descriptor for one in found if one.track_descriptor.name == title)
    assert track.counter.unit == {"active": 3, "buffers": 2}[title]
    return [one.track_event.counter_value for one in found if one.track_event.track_uuid == track.uuid]


def test_perfetto_is_read_by_its_own_schema(tmp_path: Path) -> None:
    writer = Writer()
    train = context("train", "/a.py:1 f")
    writer.phase("load")
    writer.allocate(0x99, 64, writer.site("Load"))
    writer.phase("train")
    writer.begin(train)
    writer.allocate(0x10, 4000, writer.site("Matmul", train))
    writer.allocate(0x20, 500, writer.site("Add", train))
    writer.free(0x10)
    writer.end()
    found = packets(exported(moments_of(writer, tmp_path / "t"), "perfetto"))
    assert {one.timestamp_clock_id for one in found if one.timestamp} == {3}
    (clocks,) = (one.clock_snapshot for one in found if one.HasField("clock_snapshot"))
    assert clocks.primary_trace_clock == 3
    assert {one.clock_id: one.timestamp for one in clocks.clocks} == {3: BEGAN, 1: WALL}
    (process,) = (one.track_descriptor.process for one in found if one.track_descriptor.HasField("process"))
    assert (process.pid, process.process_name) == (4242, "python train.py")
    ms = [BEGAN + number * 1_000_000 for number in range(10)]
    assert counter(found, "active") == [0, 64, 64, 64, 4064, 4564, 564, 564]
    assert counter(found, "buffers") == [0, 1, 1, 1, 2, 3, 2, 2]
    assert [one[:3] for one in slices_of(found, "phase")] == [("load", ms[1], ms[3]), ("train", ms[3], ms[8])]
    assert slices_of(found, "step") == [("step 1", ms[4], ms[8], {"step": 1, "line": "/a.py:1 f"})]
    buffers = slices_of(found, "buffer")
    assert [one[:3] for one in buffers] == [
        ("Load", ms[2], ms[8]),
        ("Matmul", ms[5], ms[7]),
        ("Add", ms[6], ms[8]),
    ]
    assert buffers[1][3] == {"bytes": 4000, "line": "/a.py:1 f", "phase": "train"}


def test_a_long_trace_keeps_its_highest_and_lowest_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert POINTS > 10_000
    monkeypatch.setattr("mlxtop.trace.export.perfetto.POINTS", 20)
    writer = Writer(capacity=512)
    site = writer.site("Add")
    for number in range(100):
        writer.allocate(8, 100 + number, site)
        writer.free(8)
    found = packets(exported(moments_of(writer, tmp_path / "t"), "perfetto"))
    values = counter(found, "active")
    assert len(values) <= 20
    assert (min(values), max(values)) == (0, 199)


# JSON


def test_json_has_everything(moments: Moments) -> None:
    found = json.loads(exported(moments, "json"))
    assert len(found["events"]) == moments.ring.end
    assert found["events"][1] == ["allocated", 0.002, 0x20, 4000, 2, 0]
    assert [event[0] for event in found["events"]][:5] == [
        "step begins",
        "allocated",
        "allocated",
        "freed",
        "step ends",
    ]
    assert found["sites"][2]["stack"] == [
        ["/home/me/train.py", 12, "step"],
        ["/home/me/train.py", 30, "main"],
    ]
    assert [peak["bytes"] for peak in found["peaks"]] == [4100, 6100]
    assert found["peaks"][-1]["sites"] == {"0": [100, 0], "2": [4000, 1], "3": [2000, 1]}
    assert found["at"]["operations"][0] == {"name": "Matmul", "bytes": 4000, "buffers": 1}
    assert found["at"]["bytes"] == sum(part.bytes for part in by_operation(moments.peak, moments.sites))  # type: ignore[arg-type]
    assert len(found["live"]) == 3


@pytest.mark.parametrize("form", FORMATS)
def test_a_trace_of_nothing_can_be_exported(tmp_path: Path, form: str) -> None:
    exported(moments_of(Writer(), tmp_path / "t"), form)
