"""The first lines of mlxtop in somebody else's program: they wait until it imports MLX.

They run in every Python that is started with `MLXTOP` in its environment, most of which never see MLX:
so they import next to nothing, and whatever goes wrong here stays here.
"""

from __future__ import annotations

import os
import sys

from mlxtop.ipc import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")

_waits = False


def wait() -> None:
    """Has the agent start when the program imports MLX. Called twice, it waits once."""
    global _waits
    if _waits or sys.version_info < (3, 11):
        return
    _waits = True
    try:
        _tidy()
        _line_buffer()
        _leave_sign()
        if "mlx.core" in sys.modules:
            start(late=True)
        else:
            sys.meta_path.insert(0, _Waiter())
    except Exception:
        pass


def start(late: bool = False) -> None:
    """Starts the agent now. `late` says that the program may have set limits before."""
    try:
        from mlxtop.agent.agent import start

        start(os.environ.get(environment.RUN, ""), late)
    except Exception as error:
        _leave_message(error)


def watch() -> None:
    """Starts the agent in this process, so that `mlxtop attach PID` and `mlxtop top` find it.

    Further calls have no effect. Imports MLX: changes of its limits are seen from here on. Raises
    `NoBackendError` if MLX or its backend is not installed.
    """
    from mlxtop.mlx import backend

    backend.load()
    start(late=True)


def _leave_message(error: Exception) -> None:
    """Leaves a line for the viewer: the program itself must not notice."""
    try:
        from mlxtop.core.errors import MlxtopError
        from mlxtop.ipc import sockets

        sockets.leave_message(
            str(error) if isinstance(error, MlxtopError) else f"{type(error).__name__}: {error}"
        )
    except Exception:
        pass


def _tidy() -> None:
    """Takes the way that led here out of the program's sight.

    Called by `mlxtop.pth`, nothing on PYTHONPATH is needed any more, here or in a child. Called by our
    sitecustomize, in an environment without mlxtop, only the variable stays, for the children.
    """
    ours = [entry for entry in sys.path if _ours(entry)]
    for entry in ours:
        sys.path.remove(entry)
    if "mlxtop_sitecustomize" not in sys.modules and "PYTHONPATH" in os.environ:
        rest = [entry for entry in os.environ["PYTHONPATH"].split(os.pathsep) if not _ours(entry)]
        if rest:
            os.environ["PYTHONPATH"] = os.pathsep.join(rest)
        else:
            del os.environ["PYTHONPATH"]


def _ours(entry: str) -> bool:
    return entry.replace(os.sep, "/").endswith("mlxtop/agent/bootstrap")


def _leave_sign() -> None:
    """Leaves an empty file for the viewer of `mlxtop run`: a Python was started that it can watch."""
    folder, run = os.environ.get(environment.SOCKETS), os.environ.get(environment.RUN, "")
    if folder and run != "1":
        os.close(
            os.open(f"{folder}/{run}{environment.STARTED}", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        )


def _line_buffer() -> None:
    """Where the output is the log of `mlxtop run` in a terminal's place, lines come when they are written."""
    log = os.environ.get(environment.LOG)
    if not log or sys.stdout is None or not os.path.exists(log):
        return
    if os.path.samestat(os.fstat(1), os.stat(log)):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper at start-up


class _Waiter:
    """A finder that finds nothing, but learns that `mlx.core` is being imported."""

    _looks = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "mlx.core" or self._looks:
            return None
        self._looks = True
        try:
            for finder in sys.meta_path:
                spec = finder.find_spec(name, path, target) if finder is not self else None
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]  # it does what a loader does
                    return spec
        finally:
            self._looks = False
        return None


class _Loader:
    """Loads as the real loader does, then starts the agent."""

    def __init__(self, loader: Any, waiter: _Waiter) -> None:
        self._loader = loader
        self._waiter = waiter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self._loader.exec_module(module)
        module.__loader__ = module.__spec__.loader = self._loader
        if self._waiter in sys.meta_path:
            sys.meta_path.remove(self._waiter)
            start()
