"""Runs inside gdb's own Python: attaches to the target, plants a little code, lets go.

Not imported by mlxtop, and gdb may bring another Python than ours (3.7 or newer), so it is kept plain.

In, as environment: `MLXTOP_PID`; `MLXTOP_SOURCE`, ASCII, what a new Python thread of the target is to
execute; `MLXTOP_UNTIL`, the `time.time()` after which nothing is begun. Out, each on a line after `mlxtop: `:
`attached`, `calling`, then `pending` or `started` or `failed REASON`, at last `detached`.

Two ways, chosen by where the main thread stands:

- It waits in one of a short list of libc's functions with the GIL released: then it is safe to take the GIL
  there and to start the thread through the C API. No bytecode runs on the main thread, so no Python signal
  handler can go off inside our call.
- Anywhere else: `Py_AddPendingCall`, which sets a flag and touches neither malloc nor the GIL; the main
  thread starts the thread itself, between two bytecodes.

No debug symbols are assumed: every function is called through a cast.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Any

import gdb  # type: ignore[import-untyped]

POINTER, INT, SIZE, VOID = "void *", "int", "unsigned long", "void"

# Blocking calls that are made with the GIL released and nothing of malloc's in hand.
IDLE = set(
    """clock_nanosleep nanosleep select pselect poll ppoll epoll_wait epoll_pwait accept accept4 connect
    read recv recvfrom recvmsg wait4 waitid waitpid pause sigwait sigwaitinfo sigtimedwait flock
    sem_wait sem_timedwait sem_clockwait fgets""".split()  # noqa: SIM905
)
# C++ waits like this for its work, mx.eval for one, but Python itself for the GIL.
CONDITION = {"pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait"}

RESTART_BLOCK, RESTART_UNLESS_HANDLED, EINTR = 516, 514, 4


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
    say("calling")
    caller.switch()
    try:
        if idle and call("PyGILState_GetThisThreadState", POINTER) and not call("PyGILState_Check", INT):
            return start_thread(source)
        return leave_pending(source)
    finally:
        mend(caller, name if caller is main_thread else "")


def leave_pending(source: str) -> str:
    # The target runs this in __main__: no name is set there, and none but __import__ relied upon. `threading`
    # takes the thread that imports it first for the main thread, so that has to be the main thread.
    line = (
        "try:\n __import__('threading')\n"
        f" __import__('_thread').start_new_thread(__import__('builtins').exec, ({source!a}, {{}}))\n"
        "except: pass\n"
    )
    (place,), _ = write(line)
    run = int(gdb.parse_and_eval("(unsigned long)&PyRun_SimpleString"))
    if call("Py_AddPendingCall", INT, (POINTER, run), (POINTER, place)) != 0:
        return "failed the target's queue of pending calls is full"
    return "pending"


def start_thread(source: str) -> str:
    places, size = write("threading", "_thread", "start_new_thread", "builtins", "exec", "O(sN)", source)
    threading, thread, start_new_thread, builtins, execute, form, text = ((POINTER, at) for at in places)
    state = call("PyGILState_Ensure", INT)
    try:
        # As in leave_pending: first imported here. It was imported long ago, as a rule.
        imported = call("PyImport_ImportModule", POINTER, threading)
        start = attribute(thread, start_new_thread)
        run = attribute(builtins, execute)
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


def attribute(module: tuple[str, int], name: tuple[str, int]) -> int:
    found = call("PyImport_AddModule", POINTER, module)
    return call("PyObject_GetAttrString", POINTER, (POINTER, found), name) if found else 0


def waits_in(thread: Any) -> tuple[str, str]:
    """The libc function that `thread` called and has not come back from, and the library that called it.

    '' for the function when it is not in libc, for the library when it is the executable.
    """
    thread.switch()
    frame, name = gdb.newest_frame(), ""
    for _ in range(8):
        library = library_of(frame)
        if not re.match(r"(libc|libpthread)[-.]", library):
            # With debug symbols libc's functions show their inner names: __GI___poll, ___pthread_cond_wait.
            name = re.sub(r"^(__GI)?_*(libc_)?(new_)?", "", name)
            return re.sub(r"(@.*|64|_time64|_2)$", "", name), library
        name, frame = frame.name() or "", frame.older()
    return "", ""


def library_of(frame: Any) -> str:
    return (gdb.solib_name(frame.pc()) or "").rpartition("/")[2] if frame else ""


def write(*texts: str) -> tuple[list[int], int]:
    """Puts C strings into fresh memory of the target: the address of each, and the size of it all."""
    blob = b"".join(text.encode("ascii") + b"\0" for text in texts)
    size = (len(blob) + 4095) // 4096 * 4096
    # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS: a plain system call, never malloc.
    page = call("mmap", SIZE, (POINTER, 0), (SIZE, size), (INT, 3), (INT, 0x22), (INT, -1), ("long", 0))
    if page % 4096:
        raise gdb.error("no memory in the target")
    gdb.selected_inferior().write_memory(page, blob)
    return [page + sum(len(text) + 1 for text in texts[:i]) for i in range(len(texts))], size


def call(function: str, result: str, *arguments: tuple[str, int]) -> int:
    """Calls `function` on the selected thread; the others run meanwhile. Arguments are C type and number."""
    types = ", ".join(kind for kind, _ in arguments) or VOID
    values = ", ".join(f"({kind}){value}" for kind, value in arguments)
    value = gdb.parse_and_eval(f"(({result} (*)({types})){function})({values})")
    return 0 if result == VOID else int(value)


def mend(thread: Any, name: str) -> None:
    """Lets a timed wait end early with EINTR where going on would go wrong; Python then goes on.

    The kernel keeps one restart block for each thread, which a wait inside our call may have overwritten; and
    select goes on with the time that was left, however long it has been stopped.
    """
    thread.switch()
    try:
        result = -int(gdb.parse_and_eval("(long)$rax"))
        if result == RESTART_BLOCK or (result == RESTART_UNLESS_HANDLED and name in ("select", "pselect")):
            gdb.execute(f"set var $rax = -{EINTR}")
            gdb.execute("set var $orig_rax = -1")
    except gdb.error:
        pass  # not x86-64


def try_all(*commands: str) -> None:
    for command in commands:
        # It may fail: this gdb does not know the command, or the target has ended.
        with contextlib.suppress(gdb.error):
            gdb.execute(command, to_string=True)


def say(text: str) -> None:
    os.write(1, ("mlxtop: " + " ".join(text.split()) + "\n").encode("ascii", "replace"))


main()
