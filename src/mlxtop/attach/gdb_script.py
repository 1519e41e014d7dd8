"""Runs inside gdb's own Python: attaches to the target, plants a little code, lets go.

Not imported by mlxtop, and gdb may bring another Python than ours (3.7 or newer), so it is kept plain.

In, as environment: `MLXTOP_PID`; `MLXTOP_SOURCE`, ASCII, what a new Python thread of the target is to
execute; `MLXTOP_UNTIL`, the `time.time()` after which nothing is begun. Out, each on a line after `mlxtop: `:
`attached`, `calling`, then `pending` or `started` or `failed REASON`, at last `detached`. What fails before
`calling` has changed nothing in the target.

Two ways, chosen by where the main thread stands:

- It waits in one of a short list of libc's functions with the GIL released: then it is safe to take the GIL
  there and to start the thread through the C API. No bytecode runs on the main thread, so no Python signal
  handler can go off inside our call.
- Anywhere else: `Py_AddPendingCall`, which sets a flag and touches neither malloc nor the GIL; the main
  thread starts the thread itself, between two bytecodes.

No debug symbols are assumed: every function is called through a cast.

gdb's own calls end with writing the floating-point registers back. Where it cannot (gdb before 14 on a CPU
with AMX: its buffer is too small, the kernel answers EFAULT) the function has run and `$orig_rax` stays -1:
so a restart code of the kernel reaches the program as the result of its system call. This is tried before
the first call, by a change to a status flag; there the calls are made by `Registers`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from typing import Any

import gdb  # type: ignore[import-untyped]

Call = Callable[..., int]

POINTER, INT, SIZE, VOID = "void *", "int", "unsigned long", "void"

# Blocking calls that are made with the GIL released and nothing of malloc's in hand.
IDLE = set(
    """clock_nanosleep nanosleep select pselect poll ppoll epoll_wait epoll_pwait accept accept4 connect
    read recv recvfrom recvmsg wait4 waitid waitpid pause sigwait sigwaitinfo sigtimedwait flock
    sem_wait sem_timedwait sem_clockwait fgets""".split()  # noqa: SIM905
)
# C++ waits like this for its work, mx.eval for one, but Python itself for the GIL.
CONDITION = {"pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait"}
SEMAPHORES = {"PyThread_acquire_lock_timed", "_PySemaphore_Wait", "_PySemaphore_PlatformWait"}

RESTARTS = RESTART, RESTART_ALWAYS, RESTART_UNLESS_HANDLED, RESTART_BLOCK = 512, 513, 514, 516
EINTR, FUTEX = 4, 202
GENERAL = """rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags fs_base gs_base
    orig_rax""".split()  # noqa: SIM905
"""The last one last: gdb clears it where it writes another one for a call."""


def main() -> None:
    # Reading the symbols of every library would hold a large program for seconds.
    try_all(
        *("set confirm off", "set pagination off", "set width 0", "set language c"),
        *(
            "set auto-load off",
            "set auto-solib-add off",
            "set debuginfod enabled off",
            "set unwindonsignal on",
        ),
        *("handle all nostop noprint pass", "handle SIGINT nostop noprint pass"),
    )
    try:
        gdb.execute("attach " + os.environ["MLXTOP_PID"], to_string=True)
    except gdb.error as error:
        say("failed " + str(error))
        return
    say("attached")
    try_all(*("sharedlibrary " + name for name in ("libpython", r"/libc[-.]", r"/libpthread[-.]")))
    try:
        outcome = plant(os.environ["MLXTOP_SOURCE"], float(os.environ["MLXTOP_UNTIL"]))
    except Exception as error:
        outcome = "failed " + str(error)
    try_all("detach")
    say(outcome)
    say("detached")


def plant(source: str, until: float) -> str:
    threads = sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.ptid[1])
    main_thread = next(thread for thread in threads if thread.ptid[1] == thread.ptid[0])
    name, library = waits_in(main_thread)
    idle = name in IDLE or (name in CONDITION and library and "libpython" not in library)
    # A thread that waits cannot hold the lock that Py_AddPendingCall takes.
    others = (thread for thread in threads[:64] if thread is not main_thread)
    caller = (
        main_thread if idle else next((t for t in others if waits_in(t)[0] in IDLE | CONDITION), main_thread)
    )
    if time.time() > until:
        return "failed gdb was too slow"
    caller.switch()
    call = call_by_gdb if writes_floats() else Registers(caller)
    found = registers()
    say("calling")
    try:
        if idle and call("PyGILState_GetThisThreadState", POINTER) and not call("PyGILState_Check", INT):
            return start_thread(call, source)
        return leave_pending(call, source)
    finally:
        caller.switch()
        put_back(found)
        mend(found, name if caller is main_thread else "")


def leave_pending(call: Call, source: str) -> str:
    # The target runs this in __main__: no name is set there, and none but __import__ relied upon. `threading`
    # takes the thread that imports it first for the main thread, so that has to be the main thread.
    line = (
        "try:\n __import__('threading')\n"
        f" __import__('_thread').start_new_thread(__import__('builtins').exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )
    (place,), _ = write(call, line)
    run = int(gdb.parse_and_eval("(unsigned long)&PyRun_SimpleString"))
    if call("Py_AddPendingCall", INT, (POINTER, run), (POINTER, place)) != 0:
        return "failed the target's queue of pending calls is full"
    return "pending"


def start_thread(call: Call, source: str) -> str:
    places, size = write(
        call, "threading", "_thread", "start_new_thread", "builtins", "exec", "O(sN)", source
    )
    threading, thread, start_new_thread, builtins, execute, form, text = ((POINTER, at) for at in places)
    state = call("PyGILState_Ensure", INT)
    try:
        # As in leave_pending: first imported here. It was imported long ago, as a rule.
        imported = call("PyImport_ImportModule", POINTER, threading)
        start = attribute(call, thread, start_new_thread)
        run = attribute(call, builtins, execute)
        started = 0
        if imported and start and run:
            fresh = call("PyDict_New", POINTER)
            values = (POINTER, start), form, (POINTER, run), text, (POINTER, fresh)
            started = call("PyObject_CallFunction", POINTER, *values)
        if not started:
            call("PyErr_Clear", VOID)
        for thing in filter(None, (started, run, start, imported)):
            call("Py_DecRef", VOID, (POINTER, thing))
    finally:
        call("PyGILState_Release", VOID, (INT, state))
        call("munmap", INT, (POINTER, places[0]), (SIZE, size))
    return "started" if started else "failed the target could not start a thread"


def attribute(call: Call, module: tuple[str, int], name: tuple[str, int]) -> int:
    found = call("PyImport_AddModule", POINTER, module)
    return call("PyObject_GetAttrString", POINTER, (POINTER, found), name) if found else 0


def waits_in(thread: Any) -> tuple[str, str]:
    """The libc function that `thread` called and has not come back from, and the library that called it.

    '' for the function when it is not in libc, for the library when it is the executable.
    """
    thread.switch()
    frame, name = gdb.newest_frame(), ""
    for depth in range(8):
        library = library_of(frame)
        if not re.match(r"(libc|libpthread)[-.]", library):
            # With debug symbols libc's functions show their inner names: __GI___poll, ___pthread_cond_wait.
            name = re.sub(r"^(__GI)?_*(libc_)?(new_)?", "", name)
            name = re.sub(r"(@.*|64|_time64|_2)$", "", name)
            return name or nameless(frame, depth), library
        name, frame = frame.name() or "", frame.older()
    return "", ""


def nameless(caller: Any, depth: int) -> str:
    """sem_wait, or '': it jumps to a static function of libc, which has no name without debug symbols.

    Python's functions for its locks call no other that is so and waits by futex(2).
    """
    asleep = (
        caller is not None
        and depth > 0
        and caller.name() in SEMAPHORES
        and registers().get("orig_rax") == FUTEX
    )
    return "sem_wait" if asleep else ""


def library_of(frame: Any) -> str:
    return (gdb.solib_name(frame.pc()) or "").rpartition("/")[2] if frame else ""


def write(call: Call, *texts: str) -> tuple[list[int], int]:
    """Puts C strings into fresh memory of the target: the address of each, and the size of it all."""
    blob = b"".join(text.encode("ascii") + b"\0" for text in texts)
    size = (len(blob) + 4095) // 4096 * 4096
    # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS: a plain system call, never malloc.
    page = call("mmap", SIZE, (POINTER, 0), (SIZE, size), (INT, 3), (INT, 0x22), (INT, -1), ("long", 0))
    if page % 4096:
        raise gdb.error("no memory in the target")
    gdb.selected_inferior().write_memory(page, blob)
    return [page + sum(len(text) + 1 for text in texts[:i]) for i in range(len(texts))], size


def call_by_gdb(function: str, result: str, *arguments: tuple[str, int]) -> int:
    """Calls `function` on the selected thread; the others run meanwhile. Arguments are C type and number."""
    types = ", ".join(kind for kind, _ in arguments) or VOID
    values = ", ".join(f"({kind}){value}" for kind, value in arguments)
    value = gdb.parse_and_eval(f"(({result} (*)({types})){function})({values})")
    return 0 if result == VOID else int(value)


class Registers:
    """Calls functions as gdb does, but keeps the floating-point registers by ptrace(2) itself. x86-64 only.

    gdb's Python runs on the thread of gdb that is the tracer. Raises `gdb.error`, with nothing done to the
    target, where those registers cannot be written in this way either.
    """

    GET, SET, XSTATE = 0x4204, 0x4205, 0x202
    ARGUMENTS = "rdi", "rsi", "rdx", "rcx", "r8", "r9"
    RED_ZONE = 128

    def __init__(self, thread: Any) -> None:
        try:
            import ctypes

            self._ptrace = ctypes.CDLL(None).ptrace
        except (ImportError, OSError, AttributeError):
            raise gdb.error(NO_FLOATS) from None
        self._ptrace.argtypes = ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_void_p
        self._ptrace.restype = ctypes.c_long
        self._ctypes, self._thread = ctypes, thread
        # The kernel says how much it has; with AMX it is 11 KiB.
        self._floats = ctypes.create_string_buffer(1 << 16)
        self._size = self._transfer(self.GET, len(self._floats))
        self._transfer(self.SET, self._size)
        self._entry = entry(thread.ptid[0])

    def __call__(self, function: str, result: str, *arguments: tuple[str, int]) -> int:
        at = int(gdb.parse_and_eval(f"(unsigned long)&{function}"))
        before = registers()
        stack = ((before["rsp"] - self.RED_ZONE) & ~15) - 8
        gdb.selected_inferior().write_memory(stack, self._entry.to_bytes(8, "little"))
        fresh = dict(zip(self.ARGUMENTS, (value for _, value in arguments)))  # noqa: B905
        back = gdb.Breakpoint(f"*{self._entry}", internal=True)
        back.thread, back.silent = self._thread.num, True
        try:
            put_back({**before, **fresh, "rax": 0, "rsp": stack, "rip": at, "orig_rax": -1})
            gdb.execute("continue", to_string=True)
            self._thread.switch()
            after = registers()
            if after["rip"] != self._entry:
                raise gdb.error(f"{function} did not return")
        finally:
            back.delete()
            self._thread.switch()
            put_back(before)
            self._transfer(self.SET, self._size)
        value = after["rax"]
        return (value + 2**31) % 2**32 - 2**31 if result == INT else value % 2**64

    def _transfer(self, request: int, size: int) -> int:
        """Reads or writes the floating-point registers; how many bytes they take."""
        where = (self._ctypes.c_size_t * 2)(self._ctypes.addressof(self._floats), size)
        if self._ptrace(request, self._thread.ptid[1], self.XSTATE, self._ctypes.addressof(where)):
            raise gdb.error(NO_FLOATS)
        return int(where[1])


NO_FLOATS = "this gdb cannot write the floating-point registers of this CPU"


def entry(pid: int) -> int:
    """Where process `pid` began to run: no thread comes there again, so it is where our calls return to."""
    with open(f"/proc/{pid}/auxv", "rb") as file:
        words = memoryview(file.read()).cast("L").tolist()
    AT_ENTRY = 9
    return next(value for key, value in zip(words[::2], words[1::2]) if key == AT_ENTRY)  # noqa: B905


def writes_floats() -> bool:
    """Whether gdb can write floating-point registers, tried with the flag for an inexact result."""
    try:
        status = int(gdb.parse_and_eval("$mxcsr"))
    except (gdb.error, ValueError):
        return True  # not x86-64
    try:
        gdb.execute(f"set var $mxcsr = {status ^ 0x20}")
    except gdb.error:
        return False
    gdb.execute(f"set var $mxcsr = {status}")
    return True


def registers() -> dict[str, int]:
    """The general registers of the selected thread; none where this is not x86-64."""
    try:
        gdb.newest_frame().select()
        return {name: int(gdb.parse_and_eval("$" + name)) for name in GENERAL}
    except (gdb.error, ValueError):
        return {}


def put_back(wanted: dict[str, int]) -> None:
    """Writes those general registers of the selected thread that are not as wanted."""
    have = registers()
    for name, value in wanted.items():
        if have[name] != value or (name == "orig_rax" and have != wanted):
            # Writing $rsp may have gdb select another frame.
            gdb.newest_frame().select()
            gdb.execute(f"set var ${name} = {value}")


def mend(found: dict[str, int], name: str) -> None:
    """Lets a timed wait end early with EINTR where going on would go wrong; Python then goes on.

    The kernel keeps one restart block for each thread, which a wait inside our call may have overwritten; and
    select goes on with the time that was left, however long it has been stopped. The others of the kernel's
    restart codes begin the system call again, as long as `$orig_rax` says which it was.
    """
    code = -found.get("rax", 0)
    if code not in RESTARTS or found["orig_rax"] < 0:
        return
    if code == RESTART_BLOCK or (code == RESTART_UNLESS_HANDLED and name in ("select", "pselect")):
        gdb.execute(f"set var $rax = -{EINTR}")
        gdb.execute("set var $orig_rax = -1")


def try_all(*commands: str) -> None:
    for command in commands:
        # It may fail: this gdb does not know the command, or the target has ended.
        with contextlib.suppress(gdb.error):
            gdb.execute(command, to_string=True)


def say(text: str) -> None:
    os.write(1, ("mlxtop: " + " ".join(text.split()) + "\n").encode("ascii", "replace"))


main()
