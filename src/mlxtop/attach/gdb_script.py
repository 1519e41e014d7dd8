"""Runs in gdb's Python: attaches to the target, makes it execute some code, detaches.

mlxtop does not import it. gdb may embed any Python from 3.7 on, so it uses no newer syntax.

Input, in the environment: `MLXTOP_PID`; `MLXTOP_SOURCE`, the ASCII code that a new Python thread of the
target executes; `MLXTOP_UNTIL`, the `time.time()` after which nothing is started. Output, in lines that begin
with `mlxtop: `: `attached`, `calling`, then `pending`, `started` or `failed REASON`, finally `detached`. A
failure before `calling` leaves the target unchanged.

There are two methods. Where the main thread is decides which one is used:

- It waits in one of a few libc functions with the GIL released. It is then safe to take the GIL there and to
  start the thread through the C API. The main thread runs no bytecode, so no Python signal handler can run
  inside our call.
- Anywhere else: `Py_AddPendingCall`. It sets a flag and uses neither malloc nor the GIL; the main thread
  starts the new thread itself, between two bytecodes.

No debug symbols are needed: every function is called through a cast.

After a call gdb writes the floating-point registers back. Where it cannot (gdb before 14 on a CPU with AMX:
its buffer is too small, the kernel answers EFAULT), the function has run but `$orig_rax` stays -1, and a
restart code of the kernel reaches the program as the result of its system call. `writes_floats` tests this
before the first call, by changing a status flag; `Registers` then makes the calls instead of gdb.
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

# Blocking calls that Python makes with the GIL released and no malloc lock held.
IDLE = set(
    """clock_nanosleep nanosleep select pselect poll ppoll epoll_wait epoll_pwait accept accept4 connect
    read recv recvfrom recvmsg wait4 waitid waitpid pause sigwait sigwaitinfo sigtimedwait flock
    sem_wait sem_timedwait sem_clockwait fgets""".split()  # noqa: SIM905
)
# C++ code such as mx.eval waits in these for its work. Python itself waits in them for the GIL.
CONDITION = {"pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait"}
SEMAPHORES = {"PyThread_acquire_lock_timed", "_PySemaphore_Wait", "_PySemaphore_PlatformWait"}

RESTARTS = RESTART, RESTART_ALWAYS, RESTART_UNLESS_HANDLED, RESTART_BLOCK = 512, 513, 514, 516
EINTR, FUTEX = 4, 202
GENERAL = """rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags fs_base gs_base
    orig_rax""".split()  # noqa: SIM905
"""`orig_rax` must be last: gdb clears it when it writes another register for a call."""


def main() -> None:
    # Reading the symbols of every library would stop a large program for seconds.
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
        report("failed " + str(error))
        return
    report("attached")
    try_all(*("sharedlibrary " + name for name in ("libpython", r"/libc[-.]", r"/libpthread[-.]")))
    try:
        outcome = inject(os.environ["MLXTOP_SOURCE"], float(os.environ["MLXTOP_UNTIL"]))
    except Exception as error:
        outcome = "failed " + str(error)
    try_all("detach")
    report(outcome)
    report("detached")


def inject(source: str, until: float) -> str:
    threads = sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.ptid[1])
    main_thread = next(thread for thread in threads if thread.ptid[1] == thread.ptid[0])
    name, library = waits_in(main_thread)
    idle = name in IDLE or (name in CONDITION and library and "libpython" not in library)
    # A waiting thread cannot hold the lock that Py_AddPendingCall takes.
    others = (thread for thread in threads[:64] if thread is not main_thread)
    caller = (
        main_thread if idle else next((t for t in others if waits_in(t)[0] in IDLE | CONDITION), main_thread)
    )
    if time.time() > until:
        return "failed gdb was too slow"
    caller.switch()
    call = call_by_gdb if writes_floats() else Registers(caller)
    found = registers()
    report("calling")
    try:
        if idle and call("PyGILState_GetThisThreadState", POINTER) and not call("PyGILState_Check", INT):
            return start_thread(call, source)
        return leave_pending(call, source)
    finally:
        caller.switch()
        restore(found)
        interrupt_wait(found, name if caller is main_thread else "")


def leave_pending(call: Call, source: str) -> str:
    # The target runs this in __main__, so it defines no names and uses only __import__. `threading` must be
    # imported by the main thread, because it takes the first thread that imports it for the main thread.
    line = (
        "try:\n __import__('threading')\n"
        f" __import__('_thread').start_new_thread(__import__('builtins').exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )
    (address,), _ = write(call, line)
    run = int(gdb.parse_and_eval("(unsigned long)&PyRun_SimpleString"))
    if call("Py_AddPendingCall", INT, (POINTER, run), (POINTER, address)) != 0:
        return "failed the target's queue of pending calls is full"
    return "pending"


def start_thread(call: Call, source: str) -> str:
    addresses, size = write(
        call, "threading", "_thread", "start_new_thread", "builtins", "exec", "O(sN)", source
    )
    threading, thread, start_new_thread, builtins, execute, form, text = ((POINTER, at) for at in addresses)
    state = call("PyGILState_Ensure", INT)
    try:
        # As in leave_pending, the main thread must import it first. Usually it is imported already.
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
        call("munmap", INT, (POINTER, addresses[0]), (SIZE, size))
    return "started" if started else "failed the target could not start a thread"


def attribute(call: Call, module: tuple[str, int], name: tuple[str, int]) -> int:
    found = call("PyImport_AddModule", POINTER, module)
    return call("PyObject_GetAttrString", POINTER, (POINTER, found), name) if found else 0


def waits_in(thread: Any) -> tuple[str, str]:
    """Returns the libc function in which `thread` is, and the library that called it.

    The function is '' if the thread is not in libc; the library is '' if it is the executable.
    """
    thread.switch()
    frame, name = gdb.newest_frame(), ""
    for depth in range(8):
        library = library_of(frame)
        if not re.match(r"(libc|libpthread)[-.]", library):
            # With debug symbols libc's functions have internal names: __GI___poll, ___pthread_cond_wait.
            name = re.sub(r"^(__GI)?_*(libc_)?(new_)?", "", name)
            name = re.sub(r"(@.*|64|_time64|_2)$", "", name)
            return name or nameless(frame, depth), library
        name, frame = frame.name() or "", frame.older()
    return "", ""


def nameless(caller: Any, depth: int) -> str:
    """Returns 'sem_wait' or ''. sem_wait jumps to a static function, which has no name without debug symbols.

    It is the only such function called by Python's lock functions that waits in futex(2).
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
    """Writes C strings to new memory in the target. Returns the address of each, and the total size."""
    blob = b"".join(text.encode("ascii") + b"\0" for text in texts)
    size = (len(blob) + 4095) // 4096 * 4096
    # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS: a system call, not malloc.
    page = call("mmap", SIZE, (POINTER, 0), (SIZE, size), (INT, 3), (INT, 0x22), (INT, -1), ("long", 0))
    if page % 4096:
        raise gdb.error("no memory in the target")
    gdb.selected_inferior().write_memory(page, blob)
    return [page + sum(len(text) + 1 for text in texts[:i]) for i in range(len(texts))], size


def call_by_gdb(function: str, result: str, *arguments: tuple[str, int]) -> int:
    """Calls `function` on the selected thread while the others run. Arguments: C type, number."""
    types = ", ".join(kind for kind, _ in arguments) or VOID
    values = ", ".join(f"({kind}){value}" for kind, value in arguments)
    value = gdb.parse_and_eval(f"(({result} (*)({types})){function})({values})")
    return 0 if result == VOID else int(value)


class Registers:
    """Calls functions as gdb does, but saves the floating-point registers with ptrace(2). x86-64 only.

    gdb's Python runs on the tracing thread of gdb, so ptrace works. Raises `gdb.error`, with the target
    unchanged, if the registers cannot be written in this way either.
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
        # The kernel returns the size; with AMX it is 11 KiB.
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
            restore({**before, **fresh, "rax": 0, "rsp": stack, "rip": at, "orig_rax": -1})
            gdb.execute("continue", to_string=True)
            self._thread.switch()
            after = registers()
            if after["rip"] != self._entry:
                raise gdb.error(f"{function} did not return")
        finally:
            back.delete()
            self._thread.switch()
            restore(before)
            self._transfer(self.SET, self._size)
        value = after["rax"]
        return (value + 2**31) % 2**32 - 2**31 if result == INT else value % 2**64

    def _transfer(self, request: int, size: int) -> int:
        """Reads or writes the floating-point registers. Returns their size in bytes."""
        vector = (self._ctypes.c_size_t * 2)(self._ctypes.addressof(self._floats), size)
        if self._ptrace(request, self._thread.ptid[1], self.XSTATE, self._ctypes.addressof(vector)):
            raise gdb.error(NO_FLOATS)
        return int(vector[1])


NO_FLOATS = "this gdb cannot write the floating-point registers of this CPU"


def entry(pid: int) -> int:
    """Returns the entry point of process `pid`. No thread runs there again, so our calls return to it."""
    with open(f"/proc/{pid}/auxv", "rb") as file:
        words = memoryview(file.read()).cast("L").tolist()
    AT_ENTRY = 9
    return next(value for key, value in zip(words[::2], words[1::2]) if key == AT_ENTRY)  # noqa: B905


def writes_floats() -> bool:
    """Returns whether gdb can write floating-point registers. It toggles the flag for an inexact result."""
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
    """Returns the general registers of the selected thread; empty if this is not x86-64."""
    try:
        gdb.newest_frame().select()
        return {name: int(gdb.parse_and_eval("$" + name)) for name in GENERAL}
    except (gdb.error, ValueError):
        return {}


def restore(wanted: dict[str, int]) -> None:
    """Writes those general registers of the selected thread that differ from `wanted`."""
    have = registers()
    for name, value in wanted.items():
        if have[name] != value or (name == "orig_rax" and have != wanted):
            # Writing $rsp may make gdb select another frame.
            gdb.newest_frame().select()
            gdb.execute(f"set var ${name} = {value}")


def interrupt_wait(found: dict[str, int], name: str) -> None:
    """Ends a timed wait early with EINTR if the kernel could not restart it correctly. Python repeats it.

    The kernel keeps one restart block for each thread, and a wait inside our call may have overwritten it.
    select restarts with the time that was left, however long it was stopped. For the other restart codes the
    kernel repeats the system call, if `$orig_rax` still names it.
    """
    code = -found.get("rax", 0)
    if code not in RESTARTS or found["orig_rax"] < 0:
        return
    if code == RESTART_BLOCK or (code == RESTART_UNLESS_HANDLED and name in ("select", "pselect")):
        gdb.execute(f"set var $rax = -{EINTR}")
        gdb.execute("set var $orig_rax = -1")


def try_all(*commands: str) -> None:
    for command in commands:
        # It may fail: an older gdb lacks the command, or the target has ended.
        with contextlib.suppress(gdb.error):
            gdb.execute(command, to_string=True)


def report(text: str) -> None:
    os.write(1, ("mlxtop: " + " ".join(text.split()) + "\n").encode("ascii", "replace"))


main()
