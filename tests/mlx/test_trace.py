"""The trace in C against MLX's own counters: every program of its own process."""

import json
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxtop.mlx.trace import native
from tests.process import ROOT, python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(native.load() is None, reason="built without its part in C"),
]

PRELUDE = """
import ctypes, json, os, signal, subprocess, sys, threading
import mlx.core as mx
from mlxtop.mlx.trace import native, tracer
from mlxtop.mlx.trace.tracer import Tracer, TraceRefused

def settled():
    mx.synchronize()
    counters = trace.counters
    return [counters.active, counters.peak], [mx.get_active_memory(), mx.get_peak_memory()]

mx.reset_peak_memory()
trace = Tracer(sys.argv[1])
trace.start()
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "t.mlxtrace")


def test_sums_and_peak_are_those_of_mlx_through_a_training_run(file: str, soak: bool) -> None:
    """Real LoRA layers of mlx-lm in training; limits are set and the cache cleared meanwhile."""
    code = """
import mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs
from mlx_lm.tuner.utils import linear_to_lora_layers

model = Model(ModelArgs.from_dict(dict(model_type="llama", hidden_size=64, num_hidden_layers=2,
    intermediate_size=128, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=256)))
model.freeze()
linear_to_lora_layers(model, 2, {"rank": 4, "scale": 2.0, "dropout": 0.1})
optimizer = optim.Adam(1e-3)
step = nn.value_and_grad(model, lambda m, x: nn.losses.cross_entropy(m(x), x).mean())
found = []
for i in range(int(sys.argv[2])):
    loss, grads = step(model, mx.random.randint(0, 256, (2, 8 + i % 13)))
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, loss)
    if i % 10 == 7: mx.set_cache_limit((i % 3) << 20)
    if i % 15 == 11: mx.clear_cache()
    if i % 20 == 19: found.append(settled())
trace.stop()
print(json.dumps([found, trace.last.lost, mx.get_active_memory() > 0]))
"""
    steps = 1000 if soak else 60
    found, lost, alive = python(PRELUDE + code, file, str(steps), timeout=280)
    assert len(found) == steps / 20
    assert all(ours == mlx for ours, mlx in found)
    assert lost == 0
    assert alive


@pytest.fixture(scope="module")
def stress(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("stress") / "stress.so"
    source = Path(__file__).with_name("stress.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-lpthread"], check=True)
    return library


def test_four_threads_at_once_are_counted_to_the_byte(file: str, stress: Path, soak: bool) -> None:
    """A million allocations each with `--soak`; another thread sets limits and clears the cache meanwhile."""
    code = """
stress = ctypes.CDLL(sys.argv[2]).stress
stress.restype, pairs = ctypes.c_double, int(sys.argv[3])
mlx = os.path.join(os.path.dirname(mx.__file__), "lib", "libmlx.so")
find = getattr(ctypes.CDLL(mlx), "_ZN3mlx4core9allocator9allocatorEv")
done = threading.Event()
def meddle():
    while not done.is_set():
        mx.set_cache_limit(1 << 20), mx.clear_cache(), mx.set_cache_limit(1 << 16)
thread = threading.Thread(target=meddle)
thread.start()
stress(find, 4, ctypes.c_uint64(pairs), ctypes.c_uint64(3000))
done.set(), thread.join()
library, found = native.load(), settled()
from mlxtop.trace.reader import TraceFile
with TraceFile(trace.path) as written:
    most = written.header.most_buffers
print(json.dumps([found, trace.counters.allocations, trace.counters.buffers, most, native.walks(library)]))
"""
    pairs = 1_000_000 if soak else 100_000
    (ours, mlx), allocations, buffers, most, (checked, different) = python(
        PRELUDE + code, file, str(stress), str(pairs), timeout=280
    )
    assert ours == mlx
    # One was made to see whether the sums agree.
    assert allocations == 4 * pairs + 1
    assert buffers == 0
    # Each thread fills its places, 256 of them, and holds no more.
    assert 256 <= most <= 4 * 256 + 1
    assert checked > 50
    assert different == 0


def test_tens_of_thousands_of_live_buffers_are_each_kept_once(file: str) -> None:
    code = """
from mlxtop.trace.reader import TraceFile

def live():
    with TraceFile(trace.path) as found:
        rows = found.live()
        counts = found.now().count, found.header.most_buffers
        return len(rows), int(rows["size"].sum()), *counts, found.allocated()[1].sum() - found.frees()

kept = [mx.array([i, i]) for i in range(20_000)]
mx.eval(kept)
full, counters = live(), trace.counters
del kept[::3], kept[-100:]
fewer, left = live(), len(kept)
print(json.dumps([full, counters.buffers, counters.lost, fewer, left], default=int))
"""
    (full, size, count, most, known), buffers, lost, (fewer, _, counted, still, _), left = python(
        PRELUDE + code, file
    )
    assert (full, count, lost) == (buffers, buffers, 0)
    assert (buffers >= 20_000, size >= 20_000 * 8) == (True, True)
    assert fewer == counted == full - (20_000 - left)
    assert full <= most == still <= full + 100
    # Beside them a few are freed that were there before.
    assert full - 100 <= known <= full


OPERATIONS = {
    "mx.ones((64, 64)) @ mx.ones((64, 64))": "Matmul",
    "mx.softmax(x)": "Softmax|Subtract",
    "mx.sort(x)": "Sort",
    "mx.exp(x)": "Exp",
    "x + 3": "Add",
    "mx.concatenate([x, x])": "Concatenate",
    "mx.random.normal((64, 64))": "RandomBits",
    "mx.compile(lambda x: mx.exp(x) * 2 + mx.sin(x))(x)": "Compiled",
    "mx.take(x, mx.array([1, 2]), axis=0)": "Gather",
    "mx.quantize(x)[0]": "fast::Quantize",
    "mx.conv2d(mx.ones((1, 8, 8, 4)), mx.ones((4, 3, 3, 4)))": "Convolution",
    "mx.linalg.svd(x, stream=mx.cpu)[0]": r"SVD|svd_impl\(\)",
    "x.astype(mx.float16)": r"AsType|copy_cpu\(\)",
}


def test_operations_are_named_by_the_librarys_symbols(file: str) -> None:
    code = """
x = mx.random.uniform(shape=(64, 64)); mx.eval(x)
for text in json.loads(sys.argv[2]):
    mx.eval(eval(text))
trace.stop()
print(json.dumps(None))
"""
    python(PRELUDE + code, file, json.dumps(list(OPERATIONS)))
    names = _operations(Path(file).read_bytes())
    for text, wanted in OPERATIONS.items():
        assert any(re.fullmatch(wanted, name) for name in names), (text, names)


def _operations(content: bytes) -> set[str]:
    """The names of all sites, by the format."""
    strings, sites, used = (struct.unpack_from("<Q", content, at)[0] for at in (64, 88, 104))
    names = set()
    for i in range(used):
        at = strings + struct.unpack_from("<I", content, sites + 64 * i)[0]
        size = struct.unpack_from("<I", content, at)[0]
        names.add(content[at + 4 : at + 4 + size].decode())
    return names


def test_a_trace_ends_with_mlx_as_it_was_and_another_may_begin(file: str) -> None:
    code = """
import time
def work(): mx.eval(mx.ones((100, 100)) @ mx.ones((100, 100)))
work()
mx.synchronize()
one = trace.counters.allocations
trace.stop(); trace.stop()
work()
again = []
try: Tracer(sys.argv[1]).start()
except TraceRefused as error: again.append(str(error))
for i in range(3):
    trace = Tracer(f"{sys.argv[1]}.{i}"); trace.start()
    try: Tracer(sys.argv[1] + ".more").start()
    except TraceRefused as error: again.append(str(error))
    work(); mx.synchronize(); trace.stop(); again.append(trace.last.allocations)
child = os.fork()
if child == 0:
    mx.array([1.0, 2.0])
    os._exit(trace.is_on or trace.counters.allocations != trace.last.allocations)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps([one, again, code, os.path.exists(sys.argv[1] + ".more")]))
"""
    one, again, code, exists = python(PRELUDE + code, file)
    assert again[0] == f"No trace was written to {file}: The file exists already."
    assert again[1::2] == [f"No trace was written to {file}.more: A trace is running already."] * 3
    assert again[2::2] == [one] * 3
    assert code == 0
    assert not exists


def test_a_forks_child_is_not_traced_and_may_begin_one_of_its_own(file: str) -> None:
    code = """
arrays = [mx.array([1.0] * 100)]
read, write = os.pipe()
if os.fork() == 0:
    arrays.append(mx.array([2.0] * 100))
    before = trace.is_on
    own = Tracer(sys.argv[1] + ".child"); own.start()
    arrays.append(mx.array([3.0] * 100))
    os.write(write, json.dumps([before, own.counters.active, mx.get_active_memory()]).encode())
    own.stop()
    os._exit(0)
os.wait()
child = json.loads(os.read(read, 1000))
arrays.append(mx.array([4.0] * 100))
print(json.dumps([child, *settled()]))
"""
    (was_on, ours, mlx), parents, its = python(PRELUDE + code, file)
    assert not was_on
    assert ours == mlx == 1200
    assert parents == its


def test_a_killed_programs_trace_is_whole(file: str) -> None:
    code = """
print("go", flush=True)
while True:
    mx.eval(mx.ones((50, 50)) @ mx.ones((50, 50)))
"""
    program = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, file], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "go\n"
    # Until it has been around the ring's first page of events.
    while _number(file, 176) < 1000:
        assert program.poll() is None
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdout.close()
    content = Path(file).read_bytes()
    assert content[:8] == b"MLXTRACE"
    assert _number(file, 24) == 0
    assert "Matmul" in _operations(content)


def _number(file: str, offset: int) -> int:
    with Path(file).open("rb") as opened:
        opened.seek(offset)
        return int.from_bytes(opened.read(8), "little")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[str]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    yield str(folder / "t.mlxtrace")
    subprocess.run(["umount", folder], check=True)


def test_a_disk_without_room_is_known_beforehand(full_disk: str, file: str) -> None:
    code = """
trace.stop()
import resource
answers = []
for limit in (resource.RLIM_INFINITY, 1 << 20):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try: Tracer(sys.argv[2]).start()
    except TraceRefused as error: answers.append(str(error))
    answers.append(os.path.exists(sys.argv[2]))
print(json.dumps(answers))
"""
    refused = f"No trace was written to {full_disk}: "
    assert python(PRELUDE + code, file, full_disk) == [
        refused + "The disk has no room for the trace.", False,
        refused + "This program may not write a file of that size (ulimit -f).", False,
    ]  # fmt: skip


def test_an_mlx_without_symbols_is_refused_and_goes_on(file: str, tmp_path: Path) -> None:
    strip = shutil.which("strip")
    if strip is None or sys.platform != "linux":
        pytest.skip("no strip")
    code = """
import importlib.util, json, os, shutil, subprocess, sys
place = importlib.util.find_spec("mlx").submodule_search_locations[0]
copy = os.path.join(sys.argv[2], "mlx")
shutil.copytree(place, copy, ignore=shutil.ignore_patterns("include", "share"))
for name in os.listdir(os.path.dirname(place)):
    # Libraries that the wheel brings along.
    if name.startswith("mlx") and name.endswith(".libs"):
        os.symlink(os.path.join(os.path.dirname(place), name), os.path.join(sys.argv[2], name))
subprocess.run([sys.argv[3], "--strip-all", os.path.join(copy, "lib", "libmlx.so")], check=True)
sys.path.insert(0, sys.argv[2])
import mlx.core as mx
from mlxtop.mlx.trace.tracer import Tracer, TraceRefused
assert mx.__file__.startswith(sys.argv[2])
try: Tracer(sys.argv[1]).start()
except TraceRefused as error: print(json.dumps([str(error), (mx.ones(4) + 1).sum().item(), os.path.exists(sys.argv[1])]))
"""
    refused, result, exists = python(code, file, str(tmp_path), strip)
    assert refused == "MLX's library has no symbol table."
    assert result == 8
    assert not exists


def test_without_its_part_in_c_it_says_so(file: str) -> None:
    code = """
import json, sys
from mlxtop.mlx.trace import native, tracer
native.path = lambda: sys.argv[1]
print(json.dumps(tracer.refusal()))
"""
    assert python(code, file) == native.ABSENT
