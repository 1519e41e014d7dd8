"""The cause of a death: each text that names one, and all the deaths for which nothing says that memory ran out."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.analysis.post_mortem import ABOUT_MEMORY, Cause, Evidence, find_cause
from mlxtop.core.machine import System

GIB = 2**30
TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "train.py", line 88, in <module>',
    "    mx.eval(loss)",
)
TOO_LARGE = (
    "RuntimeError: [metal::malloc] Attempting to allocate 28611722496 bytes which is greater than the maximum "
    "allowed buffer size of 9534832640 bytes."
)
RESOURCES = "RuntimeError: [metal::malloc] Resource limit (499000) exceeded."
METAL = (
    "libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command buffer "
    "execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
)
TIMEOUT = METAL.replace(
    "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)",
)
CUDA = "RuntimeError: cudaMallocAsync(&data, size, stream) failed: out of memory"
ALLOCATION = "RuntimeError: [malloc] Unable to allocate 268435456 bytes."


def cause(**known: object) -> Cause:
    found = find_cause(Evidence(**known))  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        (
            TOO_LARGE,
            "buffer too large",
            "one buffer of 26.65 GiB, and the largest that this GPU gives is 8.88 GiB",
        ),
        (RESOURCES, "resource limit", "499,000 GPU buffers"),
        (CUDA, "CUDA out of memory", "no GPU memory left"),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "CUDA out of memory",
            "CUDA",
        ),
        ("RuntimeError: CUDA_ERROR_OUT_OF_MEMORY", "CUDA out of memory", "CUDA"),
        ("RuntimeError: CUBLAS_STATUS_ALLOC_FAILED", "CUDA out of memory", "CUDA"),
        (ALLOCATION, "allocation failed", "256.0 MiB"),
        (
            "RuntimeError: [malloc_or_wait] Unable to allocate 9663676416 bytes.",
            "allocation failed",
            "9.00 GiB",
        ),
        ("MemoryError", "no memory outside MLX", "outside MLX"),
        (
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000,)",
            "no memory outside MLX",
            "outside MLX",
        ),
        ("OSError: [Errno 12] Cannot allocate memory", "no memory outside MLX", "outside MLX"),
    ],
)
def test_an_exception_names_its_cause(line: str, kind: str, what: str) -> None:
    told = cause(status=1, in_order=True, error=line)
    assert (told.kind, told.evidence) == (kind, (line,))
    assert what in told.what
    assert told.about_memory
    assert told.advice
    # Attached, nobody knows the exit code; under `run` there may be standard error alone.
    assert cause(in_order=True, error=line) == told
    assert cause(status=1, lines=("step 7", *TRACEBACK, line)) == told
    warned = "resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown"
    assert cause(status=1, lines=(*TRACEBACK, line, warned, "  warnings.warn(")) == told


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (METAL, "Metal out of memory"),
        (METAL.replace("due to", "with"), "Metal out of memory"),
        (TIMEOUT, "GPU error"),
        ("libc++abi: terminating due to uncaught exception of type std::bad_alloc: std::bad_alloc", "no memory outside MLX"),
        ("libc++abi: terminating due to uncaught exception of type std::runtime_error: [malloc_or_wait] Unable to allocate 7 bytes.", "allocation failed"),
    ],
)  # fmt: skip
def test_an_abort_names_its_cause(line: str, kind: str) -> None:
    for status in (-signal.SIGABRT, 128 + signal.SIGABRT):
        told = cause(status=status, lines=("step 7", line))
        assert (told.kind, told.evidence) == (kind, (line,))
    # What faulthandler prints after it may be long.
    stacks = ["Fatal Python error: Aborted", "", *['  File "x.py", line 3 in f'] * 40]
    assert cause(status=-6, lines=(line, *stacks)).kind == kind
    # Attached to a program whose output is in a log: nobody knows its status.
    assert cause(lines=(line,)).kind == kind


def test_the_gnu_runtime_tells_it_in_two_lines() -> None:
    lines = ("terminate called after throwing an instance of 'std::runtime_error'", f"  what():  {CUDA[14:]}")
    assert cause(status=-6, lines=lines).kind == "CUDA out of memory"


def test_a_timeout_of_the_gpu_is_not_about_memory() -> None:
    told = cause(status=-6, lines=(TIMEOUT,))
    assert not told.about_memory
    assert "Caused GPU Timeout Error" in told.what


def test_the_cause_of_an_exception_is_found_in_its_chain() -> None:
    chained = "The above exception was the direct cause of the following exception:"
    lines = (*TRACEBACK, TOO_LARGE, "", chained, "", *TRACEBACK, "ValueError: generation failed")
    assert cause(status=1, lines=lines).kind == "buffer too large"
    # One that was dealt with before is none.
    lines = (*TRACEBACK, TOO_LARGE, "retrying", *["step"] * 20, *TRACEBACK, "KeyError: 'x'")
    told = cause(status=1, lines=lines)
    assert (told.kind, told.what) == ("exception", "KeyError: 'x'")


@pytest.mark.parametrize(
    "status", [0, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGPIPE, 130, 143]
)
def test_who_ends_in_order_or_is_asked_to_did_not_die(status: int) -> None:
    assert find_cause(Evidence(status=status, lines=(TOO_LARGE,), oom_kills=3)) is None


def test_a_crash_at_the_end_is_told_from_one_before() -> None:
    lines = ("bye", "terminate called without an active exception")
    told = cause(status=-signal.SIGABRT, in_order=True, lines=lines)
    assert told.what == "it crashed as it ended (SIGABRT): threads that had used MLX were still there"
    assert told.evidence == lines[1:]
    assert cause(status=-signal.SIGABRT, lines=lines).what == "it crashed (SIGABRT)"


def test_without_a_status_the_interpreters_last_message_is_an_end_in_order() -> None:
    assert find_cause(Evidence(in_order=True, lines=(TOO_LARGE,), oom_kills=3)) is None
    assert find_cause(Evidence(in_order=True, error="KeyboardInterrupt")) is None


CONTAINER = System(cgroup_limit=4 * GIB, cgroup_used=4 * GIB - 2**20, pressure="critical", stalled=0.4)
KILLED = -signal.SIGKILL


@pytest.mark.parametrize("status", [KILLED, 137, None])
def test_the_oom_killer_is_known_by_its_counter(status: int | None) -> None:
    told = cause(status=status, oom_kills=1, system=CONTAINER)
    assert (told.kind, told.what) == (
        "OOM killer",
        "the kernel's OOM killer ended it: its container may use 4.00 GiB",
    )
    assert told.evidence == (
        "the container used 4.00 GiB of 4.00 GiB",
        "the container's oom_kill grew by 1",
        "memory pressure was critical: tasks waited for memory 40% of the time",
    )
    # It was read before a large step.
    early = System(cgroup_limit=4 * GIB, cgroup_used=3 * GIB)
    told = cause(status=status, oom_kills=1, limit_hits=2, system=early)
    assert told.what == "the kernel's OOM killer ended it: its container may use 4.00 GiB"
    assert told.evidence[0] == "the container reached its limit of 4.00 GiB just before"
    assert "may use" not in cause(status=status, oom_kills=1, limit_hits=0, system=early).what
    # The machine ran out, not the container.
    roomy = System(cgroup_limit=64 * GIB, cgroup_used=4 * GIB)
    assert cause(status=status, oom_kills=1, system=roomy).what == "the kernel's OOM killer ended it"
    assert "probably" in cause(status=status, machine_oom_kills=2).what


def test_an_oom_kill_elsewhere_on_the_machine_is_no_evidence() -> None:
    assert cause(status=KILLED, oom_kills=0, machine_oom_kills=5).kind == "killed"


def test_pressure_alone_makes_it_probable() -> None:
    told = cause(status=KILLED, oom_kills=0, system=CONTAINER)
    assert told.kind == "memory pressure"
    assert "probably" in told.what


def test_jetsam_is_known_by_its_report() -> None:
    told = cause(status=KILLED, jetsam="vm-pageshortage")
    assert (told.kind, told.about_memory) == ("jetsam", True)
    assert "vm-pageshortage" in told.what


@pytest.mark.parametrize(
    ("evidence", "kind", "what"),
    [
        (Evidence(status=KILLED), "killed", "no sign that memory ran out"),
        (Evidence(status=KILLED, oom_kills=0, system=System(pressure="warning")), "killed", "no sign"),
        # What it had said before it was killed is not why.
        (Evidence(status=KILLED, lines=(*TRACEBACK, TOO_LARGE)), "killed", "no sign"),
        (Evidence(lines=(*TRACEBACK, TOO_LARGE)), "unknown", "no sign"),
        (Evidence(), "unknown", "it was killed, or it called os._exit"),
        (Evidence(status=-signal.SIGSEGV, lines=(ALLOCATION,), oom_kills=1), "crash", "it crashed (SIGSEGV)"),
        (Evidence(status=-signal.SIGABRT, lines=(ALLOCATION,)), "crash", "it crashed (SIGABRT)"),
        (Evidence(status=-40), "crash", "it crashed (signal 40)"),
        (Evidence(status=1, in_order=True, error="KeyError: 'x'", oom_kills=2), "exception", "KeyError: 'x'"),
        (
            Evidence(status=1, lines=(*TRACEBACK, "KeyError: 'x'"), system=CONTAINER),
            "exception",
            "KeyError: 'x'",
        ),
        (Evidence(status=3, oom_kills=1, system=CONTAINER), "exit code", "exit code 3"),
        (Evidence(status=1, lines=(ALLOCATION, *["going on"] * 5)), "exit code", "exit code 1"),
        (Evidence(status=1, in_order=True, error="ValueError: out of memory, or so"), "exception", "or so"),
    ],
)
def test_no_death_is_for_want_of_memory_without_evidence(evidence: Evidence, kind: str, what: str) -> None:
    found = find_cause(evidence)
    assert found is not None
    assert (found.kind, found.about_memory) == (kind, False)
    assert what in found.what


LINES = st.lists(
    st.sampled_from(
        [*TRACEBACK, TOO_LARGE, METAL, TIMEOUT, ALLOCATION, "MemoryError", "KeyError: 1", "", "step 1"]
    ),
    max_size=30,
)


@given(
    st.none() | st.integers(-64, 255),
    st.booleans(),
    st.none() | st.text(),
    LINES | st.lists(st.text()),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
)
def test_whatever_is_known_a_cause_has_what_it_rests_on(
    status: int | None,
    in_order: bool,
    error: str | None,
    lines: list[str],
    oom_kills: int | None,
    of_machine: int | None,
) -> None:
    found = find_cause(Evidence(status, in_order, error, lines, oom_kills, of_machine))
    if status == 0:
        assert found is None
    if found is not None and found.kind in ABOUT_MEMORY:
        assert found.evidence
        said = found.evidence[0] in {line.strip() for line in (*lines, error or "")}
        assert said or oom_kills or of_machine
