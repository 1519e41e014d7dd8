"""Runs first in every Python of the simulated Mac: see tests/mac/__init__.py. Without MLXTOP_TESTS_MAC it does
nothing."""

import _socket
import builtins
import io
import os
import platform
import select
import signal
import socket
import struct
import sys
import time
import types
from functools import wraps
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location

HIDDEN = ("/proc", "/sys", "/run")
LINUX_ONLY = (
    (os, "waitid waitid_result P_PIDFD pidfd_open eventfd memfd_create pipe2 splice posix_fadvise getrandom "
         "sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam unshare setns "
         "O_PATH O_TMPFILE copy_file_range getxattr setxattr"),
    (select, "epoll"),
    (signal, "sigwaitinfo sigtimedwait SIGPWR SIGSTKFLT SIGPOLL SIGRTMIN SIGRTMAX"),
    (socket, "SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK"),
    (_socket, "SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK"),
    (time, "pthread_getcpuclockid CLOCK_BOOTTIME"),
)  # fmt: skip
GIB = 2**30
DEVICE = {
    "device_name": "Apple M3 Max",
    "architecture": "applegpu_g15s",
    "memory_size": 128 * GIB,
    "max_recommended_working_set_size": 96 * GIB,
    "max_buffer_length": 72 * GIB,
    "resource_limit": 499000,
}


def pretend() -> None:
    _psutil()
    # The file with the facts of this Python's build is named after the platform.
    multiarch = getattr(sys.implementation, "_multiarch", "")
    os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = f"_sysconfigdata_{sys.abiflags}_linux_{multiarch}"
    sys.platform = "darwin"
    uname = os.uname_result(("Darwin", "mac.local", "24.5.0", "Darwin Kernel Version 24.5.0", "arm64"))
    os.uname = lambda: uname
    platform.mac_ver = lambda *_: ("15.5", ("", "", ""), "arm64")
    for module, names in LINUX_ONLY:
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for module, name in [
        (builtins, "open"), (io, "open"), (os, "open"), (os, "stat"), (os, "lstat"), (os, "listdir"),
        (os, "scandir"), (os, "access"), (os, "readlink"),
    ]:  # fmt: skip
        setattr(module, name, _hiding(getattr(module, name)))
    _sockets()
    # urllib asks the system for proxies through it.
    proxies = types.ModuleType("_scproxy")
    proxies._get_proxies, proxies._get_proxy_settings = dict, dict
    sys.modules["_scproxy"] = proxies
    sys.meta_path.insert(sys.meta_path.index(PathFinder), _Apples())


def _psutil() -> None:
    """psutil keeps the way it found here: its kind for macOS is no part of this wheel."""
    try:
        import psutil
    except ImportError:
        return
    times = psutil.Process.cpu_times
    psutil.Process.cpu_times = lambda self: times(self)._replace(children_user=0.0, children_system=0.0)


def _hiding(function):
    @wraps(function)
    def asked(path=".", *arguments, **options):
        if isinstance(path, (str, bytes, os.PathLike)) and _hidden(os.fsdecode(path)) and not _of_psutil():
            if function.__name__ == "access":
                return False
            raise FileNotFoundError(2, "No such file or directory", path)
        return function(path, *arguments, **options)

    return asked


def _hidden(path: str) -> bool:
    return any(path == place or path.startswith(place + "/") for place in HIDDEN)


def _of_psutil() -> bool:
    frame, depth = sys._getframe(2), 0
    while frame is not None and depth < 4:
        if frame.f_globals.get("__name__", "").startswith("psutil"):
            return True
        frame, depth = frame.f_back, depth + 1
    return False


def _sockets() -> None:
    plain = _socket.socket
    linux = plain.getsockopt

    def getsockopt(self, level, option, *size):
        if self.family == socket.AF_UNIX and (level, option) == (0, 1):  # SOL_LOCAL, LOCAL_PEERCRED
            _, uid, gid = struct.unpack("=iII", linux(self, socket.SOL_SOCKET, 17, 12))
            # struct xucred: a version, the user, how many groups, sixteen groups.
            return struct.pack("=IIhxx16I", 0, uid, 1, gid, *[0] * 15)[: size[0]]
        if self.family == socket.AF_UNIX and (level, option) == (0, 2):  # SOL_LOCAL, LOCAL_PEERPID
            return linux(self, socket.SOL_SOCKET, 17, 12)[:4]
        return linux(self, level, option, *size)

    def short(method):
        def asked(self, address):
            if self.family == socket.AF_UNIX and len(os.fsencode(address)) > 103:
                raise OSError("AF_UNIX path too long")
            return method(self, address)

        return asked

    methods = {
        "getsockopt": getsockopt,
        "bind": short(plain.bind),
        "connect": short(plain.connect),
    }
    # The agent takes the C type, which cannot be changed.
    _socket.socket = type("socket", (plain,), methods)
    for name, method in methods.items():
        setattr(socket.socket, name, method)


class _Apples:
    """Finds `mlx.core` where it is, and has it call its device Metal's."""

    def find_spec(self, name, path=None, target=None):
        if name == "truststore._macos":
            # Certificates from the keychain: a framework that is not here.
            return spec_from_file_location(name, f"{path[0]}/_openssl.py")
        if name != "mlx.core":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                module.device_info = lambda *_: dict(DEVICE)
                module.metal.device_info = lambda: dict(DEVICE)
                module.metal.is_available = lambda: True

            spec.loader.exec_module = exec_module
        return spec


if os.environ.get("MLXTOP_TESTS_MAC"):
    pretend()
