"""The cause of a program's death, from the evidence that is left. Without evidence no cause is named.

The texts are MLX's own (`mlx/backend/*/allocator.cpp`, `mlx/backend/metal/device.cpp`, and the CUDA runtime's
`cudaGetErrorString`), Python's and the C++ runtime's.
"""

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlxtop.core.machine import LEVELS, System
from mlxtop.core.units import format_size

CauseKind = Literal[
    "buffer too large",
    "resource limit",
    "Metal out of memory",
    "CUDA out of memory",
    "allocation failed",
    "no memory outside MLX",
    "GPU error",
    "OOM killer",
    "jetsam",
    "memory pressure",
    "killed",
    "crash",
    "exception",
    "exit code",
    "unknown",
]
ABOUT_MEMORY: frozenset[CauseKind] = frozenset(
    (
        "buffer too large", "resource limit", "Metal out of memory", "CUDA out of memory",
        "allocation failed", "no memory outside MLX", "OOM killer", "jetsam", "memory pressure",
    )
)  # fmt: skip
ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
"""Signals by which a person, a service manager or a closed pipe ends a program."""
LAST_LINES, LAST_WORDS = 10, 5
"""Lines from the end: a traceback that ends among so many is why the program ended; without one it is told in
so many."""
NEAR = 0.9
"""The share of a container's limit from which on the limit is what the OOM killer enforced."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a process that has ended. `None` is what nobody knows."""

    status: int | None = None
    """Its exit code, negative for a signal."""
    in_order: bool = False
    """Whether its interpreter came to its end: it was not killed."""
    error: str | None = None
    """The exception that no code caught, as Python prints it: `RuntimeError: …`."""
    lines: Sequence[str] = ()
    """The last lines of its standard error, or of its output where both are one."""
    oom_kills: int | None = None
    """Processes of its container that the kernel's OOM killer ended just before."""
    machine_oom_kills: int | None = None
    """The same of the whole machine."""
    jetsam: str | None = None
    """The reason in macOS's report that it was ended to get memory back."""
    system: System | None = None
    """The last reading of the machine."""
    limit_hits: int | None = None
    """How often its container hit its memory limit just before."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a program died."""

    kind: CauseKind
    what: str
    """Without a capital and a full stop: it follows `the program ended with exit code 1: `."""
    evidence: tuple[str, ...] = ()
    """What this rests on, one line each. Foreign text: show it through `core.text.one_line`."""
    advice: tuple[str, ...] = ()
    """What to try, one sentence each."""

    @property
    def about_memory(self) -> bool:
        return self.kind in ABOUT_MEMORY


def find_cause(evidence: Evidence) -> Cause | None:
    """Returns why a program died; `None` when it ended as it should, or because it was asked to."""
    number = _signal(evidence)
    if _clean(evidence, number):
        return None
    if number in (None, signal.SIGABRT):
        found = _spoken(last_words(evidence))
        if found is not None:
            return found
    if number == signal.SIGKILL or _silent(evidence):
        return _killed(evidence, certain=number is not None)
    return _other(evidence, number)


def _signal(evidence: Evidence) -> int | None:
    """Returns the signal that ended it; a shell between reports 128 more."""
    status = evidence.status
    if status is None or 0 <= status <= 128:
        return None
    number = -status if status < 0 else status - 128
    return number if number in list(signal.Signals) or status < 0 else None


def _clean(evidence: Evidence, number: int | None) -> bool:
    if evidence.status is None:
        interrupted = evidence.error is not None and evidence.error.startswith("KeyboardInterrupt")
        return evidence.in_order and (evidence.error is None or interrupted)
    return evidence.status == 0 or number in ASKED


# What it said

_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_ABORTS = re.compile(r"\bterminating (?:due to|with) |\bterminate called |^Fatal Python error: ")


def last_words(evidence: Evidence) -> list[str]:
    """Returns the lines in which a program says why it ends: an uncaught exception, Python's or C++'s, or its
    last lines."""
    if evidence.error is not None:
        return [evidence.error]
    lines = [line.rstrip() for line in evidence.lines if line.strip()]
    aborts = [i for i, line in enumerate(lines) if _ABORTS.search(line)]
    if _signal(evidence) == signal.SIGABRT or _silent(evidence):
        # Stacks of all threads may follow.
        return lines[aborts[0] :] if aborts else []
    near = len(lines) - LAST_LINES
    for i in reversed(range(len(lines))):
        if lines[i].strip() == _TRACEBACK and _end(lines, i) >= near:
            return lines[_chain(lines, i) :]
    return lines[-LAST_WORDS:]


def _silent(evidence: Evidence) -> bool:
    """Whether it may have been killed: nobody knows its status, and it did not come to its end in order."""
    return evidence.status is None and not evidence.in_order


def _end(lines: Sequence[str], traceback: int) -> int:
    """Returns the index of the exception's own line: the first that is not indented."""
    after = range(traceback + 1, len(lines))
    return next((i for i in after if not lines[i].startswith((" ", "\t"))), len(lines) - 1)


def _chain(lines: Sequence[str], traceback: int) -> int:
    """Returns the index at which the chain of exceptions that ends with this traceback begins."""
    begin = traceback
    while begin > 0 and lines[begin - 1].strip() in _CHAINED:
        earlier = [i for i in range(begin - 1) if lines[i].strip() == _TRACEBACK]
        if not earlier:
            break
        begin = earlier[-1]
    return begin


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that names a cause."""

    kind: CauseKind
    pattern: re.Pattern[str]
    what: Callable[[re.Match[str]], str]
    advice: tuple[str, ...]


def _too_large(found: re.Match[str]) -> str:
    asked, most = (format_size(int(number)) for number in found.groups())
    return f"MLX asked for one buffer of {asked}, and the largest that this GPU gives is {most}"


def _resources(found: re.Match[str]) -> str:
    return f"MLX held {int(found[1]):,} GPU buffers, the limit (cached ones count)"


def _allocation(found: re.Match[str]) -> str:
    return f"MLX could not allocate {format_size(int(found[1]))}"


_SMALLER = (
    "Make the step smaller: a smaller batch, a shorter prompt, or a smaller --prefill-step-size of mlx-lm."
)
_LIMITS = (
    "Leave room for others: lower the cache limit (--cache-limit) and the memory limit (--memory-limit)."
)
_TEXTS = (
    _Text(
        "buffer too large",
        re.compile(
            r"\[metal::malloc\] Attempting to allocate (\d{1,20}) bytes which is greater than the maximum "
            r"allowed buffer size of (\d{1,20}) bytes"
        ),
        _too_large,
        (
            "No limit helps: this is the size of one array, not of all memory.",
            _SMALLER,
            "Attention scores grow with the square of the prompt: use mx.fast.scaled_dot_product_attention.",
        ),
    ),
    _Text(
        "resource limit",
        re.compile(r"\[metal::malloc\] Resource limit \((\d{1,20})\) exceeded"),
        _resources,
        (
            "Return cached buffers: call mx.clear_cache() between requests, or lower the cache limit.",
            "Evaluate more often: a long graph that is not computed makes many small buffers at once.",
            "Look for small arrays that accumulate: the census (w) lists them by holder.",
        ),
    ),
    _Text(
        "Metal out of memory",
        re.compile(r"kIOGPUCommandBufferCallbackErrorOutOfMemory"),
        lambda _: "Metal had no memory left to run a step on the GPU",
        (
            _LIMITS,
            _SMALLER,
            "Close other programs that use the GPU: all of them share its working set.",
        ),
    ),
    _Text(
        "GPU error",
        re.compile(r"\[METAL\] Command buffer execution failed: (.{1,200})"),
        lambda found: f"Metal stopped a step on the GPU: {found[1].rstrip('. ')}",
        (
            "This text does not speak of memory.",
            "If it is a timeout, evaluate more often, or use a smaller batch or prefill step.",
        ),
    ),
    _Text(
        "CUDA out of memory",
        re.compile(
            r"\bcu(?:da)?[A-Z]\w*.{0,200}out of memory|\bCUDA\b.{0,200}out of memory"
            r"|CUDA_ERROR_OUT_OF_MEMORY|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
        ),
        lambda _: "CUDA had no GPU memory left",
        (_LIMITS, _SMALLER, "nvidia-smi shows who else uses this GPU."),
    ),
    _Text(
        "allocation failed",
        re.compile(r"\[malloc(?:_or_wait)?\] Unable to allocate (\d{1,20}) bytes"),
        _allocation,
        (_SMALLER, _LIMITS),
    ),
    _Text(
        "no memory outside MLX",
        re.compile(
            r"^(?:\w+\.)*_?(?:Array)?MemoryError\b|\bstd::bad_alloc\b|\[Errno 12\] Cannot allocate memory"
        ),
        lambda _: "the system refused memory to code outside MLX",
        (
            "Look at what grows beside MLX: the footprint beyond active and cache.",
            "A limit on the process may be the cause: ulimit -v, or the container's limit.",
        ),
    ),
)  # fmt: skip


def _spoken(words: Sequence[str]) -> Cause | None:
    """Returns the cause that a program's last words name."""
    for text in _TEXTS:
        for line in reversed(words):
            found = text.pattern.search(line)
            if found is not None:
                return Cause(text.kind, text.what(found), (line.strip(),), text.advice)
    return None


# Who killed it


def _killed(evidence: Evidence, certain: bool) -> Cause:
    """Returns who killed a program that could say nothing. `certain`: it was SIGKILL."""
    if evidence.jetsam is not None:
        return Cause(
            "jetsam",
            f"macOS ended it to get memory back (jetsam: {evidence.jetsam})",
            ("macOS's JetsamEvent report names this process",),
            (
                _LIMITS,
                _SMALLER,
                "Close other programs: jetsam acts when the whole machine is short of memory.",
            ),
        )
    if evidence.oom_kills:
        return _oom_killed(evidence, evidence.oom_kills)
    if evidence.oom_kills is None and evidence.machine_oom_kills:
        return Cause(
            "OOM killer",
            "the kernel's OOM killer ended a process of this machine at that moment, probably this one",
            (f"oom_kill in /proc/vmstat grew by {evidence.machine_oom_kills}", *_pressure(evidence)),
            (_LIMITS, _SMALLER, "The kernel's log names the process: dmesg | grep -i oom."),
        )
    if evidence.system is not None and evidence.system.pressure == LEVELS[-1]:
        return Cause(
            "memory pressure",
            "it was killed while memory pressure was critical, probably by a daemon such as systemd-oomd",
            _pressure(evidence),
            (_LIMITS, _SMALLER, "The daemon's log names what it ended: journalctl -u systemd-oomd."),
        )
    proof = "no sign that memory ran out"
    if certain:
        return Cause("killed", f"somebody or something sent SIGKILL, with {proof}", _no_sign(evidence))
    return Cause("unknown", f"it was killed, or it called os._exit, with {proof}", _no_sign(evidence))


def _oom_killed(evidence: Evidence, kills: int) -> Cause:
    system = evidence.system or System()
    limit, used = system.cgroup_limit, system.cgroup_used
    proof = (f"the container's oom_kill grew by {kills}", *_pressure(evidence))
    near = limit is not None and used is not None and used >= NEAR * limit
    if limit is not None and (near or evidence.limit_hits):
        size = format_size(limit)
        # A reading before a large step says little.
        filled = f"used {format_size(used)} of {size}" if near else f"reached its limit of {size} just before"
        return Cause(
            "OOM killer",
            f"the kernel's OOM killer ended it: its container may use {size}",
            (f"the container {filled}", *proof),
            (
                "Raise the container's limit, or stay below it: --budget cgroup warns before.",
                _LIMITS,
                _SMALLER,
            ),
        )
    return Cause(
        "OOM killer",
        "the kernel's OOM killer ended it",
        proof,
        (_LIMITS, _SMALLER, "The kernel's log has the sizes: dmesg | grep -i oom."),
    )


def _pressure(evidence: Evidence) -> tuple[str, ...]:
    system = evidence.system
    if system is None or system.pressure in (None, LEVELS[0]):
        return ()
    stalled = "" if system.stalled is None else f": tasks waited for memory {system.stalled:.0%} of the time"
    return (f"memory pressure was {system.pressure}{stalled}",)


def _no_sign(evidence: Evidence) -> tuple[str, ...]:
    found = []
    if evidence.oom_kills == 0:
        found.append("the container's oom_kill did not grow")
    elif evidence.oom_kills is None and evidence.machine_oom_kills == 0:
        found.append("oom_kill in /proc/vmstat did not grow")
    if evidence.system is not None and evidence.system.pressure is not None:
        found.append(f"memory pressure was {evidence.system.pressure}")
    return tuple(found)


# The rest

_CRASHED = (
    "Run it with python -X faulthandler: it then prints where each thread was.",
    "On the CPU backend MLX crashes when the system refuses it memory: look at the sizes of the last step.",
)


_THREADS = "terminate called without an active exception"
"""What the GNU runtime says when C++ threads are still there at a program's end."""
_AT_ITS_END = (
    "Its interpreter had come to its end in order before: what is lost is its exit code.",
    "Let each thread that used MLX end with mx.synchronize(); mx.clear_streams(), and join it.",
)


def _other(evidence: Evidence, number: int | None) -> Cause:
    words = last_words(evidence)
    if number == signal.SIGABRT and evidence.in_order and _THREADS in words:
        what = "it crashed as it ended (SIGABRT): threads that had used MLX were still there"
        return Cause("crash", what, (_THREADS,), _AT_ITS_END)
    if number is not None:
        name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
        said = next((line.strip() for line in words if _ABORTS.search(line)), None)
        return Cause("crash", f"it crashed ({name})", (said,) if said else (), _CRASHED)
    if evidence.error is not None:
        return Cause("exception", evidence.error, (evidence.error,))
    raised = _exception(words)
    if raised is not None:
        return Cause("exception", raised, (raised,))
    return Cause("exit code", f"it ended itself with exit code {evidence.status}", tuple(words[-1:]))


def _exception(words: Sequence[str]) -> str | None:
    """Returns the line of a traceback that names the exception; `None` without a traceback."""
    starts = [i for i, line in enumerate(words) if line.strip() == _TRACEBACK]
    return words[_end(words, starts[-1])].strip() if starts else None
