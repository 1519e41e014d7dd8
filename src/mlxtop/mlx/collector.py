"""Python's cyclic collector: run when asked for, kept off while a census counts what it would free."""

from __future__ import annotations

import gc
import os

from mlxtop.mlx import backend

NEVER = 2_147_483_029
"""A threshold that is never reached, and that no program sets: it tells what we set from what others set."""
_usual: tuple[int, int, int] | None = None
"""The program's thresholds, while ours stand."""


def collect() -> tuple[int, int]:
    """Runs it: the objects it found, and the bytes that are not active any more."""
    active = backend.load().get_active_memory
    before = active()
    objects = gc.collect()
    return objects, before - active()


class HeldOff:
    """In a `with` the collector does not run by itself.

    It is not switched off: what the program reads by `gc.isenabled` and changes by `gc.disable` or
    `gc.enable` meanwhile stays the program's, and so do thresholds that it sets.
    """

    def __enter__(self) -> None:
        global _usual
        if gc.get_threshold()[0] != NEVER:
            _usual = gc.get_threshold()
            gc.set_threshold(NEVER, *_usual[1:])

    def __exit__(self, *_: object) -> None:
        _let_go()


def _let_go() -> None:
    global _usual
    if _usual is not None and gc.get_threshold()[0] == NEVER:
        gc.set_threshold(*_usual)
    _usual = None


# A fork beside a census: in the child nobody would ever let go.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
