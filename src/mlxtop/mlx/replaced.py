"""Gives MLX its own functions back, in whatever order those who replaced them leave."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _weakref import ref
    from typing import Any

_buried: list[tuple[ref[Any], Any]] = []
"""Functions of those who left while others stood over them, and what is beneath each."""


def give_back(module: Any, name: str, wrapper: ref[Any], function: Any) -> None:
    """Puts `function` in the place of `wrapper`. Under somebody else, that is done as he leaves."""
    if getattr(module, name) is wrapper():
        setattr(module, name, _beneath(function))
    else:
        _buried.append((wrapper, function))


def _beneath(function: Any) -> Any:
    for pair in _buried:
        if pair[0]() is function:
            _buried.remove(pair)
            return _beneath(pair[1])
    return function
