"""Stands in front of MLX's functions, and gives them back in whatever order those who do so leave."""

from __future__ import annotations

from _weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_buried: list[tuple[ref[Any], Any]] = []
"""Functions of those who left while others stood over them, and what is beneath each."""


class Replaced:
    """The functions that one of us has replaced. It is true while there are any."""

    def __init__(self) -> None:
        self._all: list[tuple[Any, str, Any, ref[Any]]] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def put(self, module: Any, name: str, wrapper: Any) -> None:
        """Puts `wrapper` in the place of a function of `module`."""
        # Not the wrapper itself: whoever comes over us looks whether it is referenced.
        self._all.append((module, name, getattr(module, name), ref(wrapper)))
        setattr(module, name, wrapper)

    def give_back(self) -> None:
        """Puts all functions back. Under somebody else, that is done as he leaves."""
        for module, name, function, wrapper in reversed(self._all):
            if getattr(module, name) is wrapper():
                setattr(module, name, _beneath(function))
            else:
                _buried.append((wrapper, function))
        self._all.clear()


def _beneath(function: Any) -> Any:
    for pair in _buried:
        if pair[0]() is function:
            _buried.remove(pair)
            return _beneath(pair[1])
    return function
