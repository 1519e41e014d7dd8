"""Reading the objects of a foreign program without running any of its code.

No property, `__getattr__`, `__len__`, `__eq__` or `__repr__` of theirs runs: only the interpreter's own
descriptors are asked.
"""

import sys
import types
from collections import Counter, deque
from typing import Any

Found = tuple[str, Any]
"""A name or a path, and what was found there."""

NOBODY = "—"
OTHERS = "[…]"
"""Stands for an index or a key."""
MRO: Any = vars(type)["__mro__"]
NAME: Any = vars(type)["__name__"]
MEMBERS: Any = vars(type)["__dict__"]
GLOBALS: Any = vars(types.ModuleType)["__dict__"]
_ANONYMOUS = (dict, list, tuple, set, frozenset, deque)


def class_of(module: str, name: str) -> type | None:
    """A class of a module that the program has imported already."""
    found = sys.modules.get(module)
    if not derives(type(found), types.ModuleType):
        return None
    cls: Any = GLOBALS.__get__(found).get(name)
    return cls if derives(type(cls), type) else None


def derives(cls: type, *bases: type | None) -> bool:
    """`issubclass`, but no metaclass is asked."""
    return any(base is found for found in MRO.__get__(cls) for base in bases)


def layout_of(cls: type) -> tuple[Any, list[Found]]:
    """The interpreter's own descriptor of the instance's dict, if there is one, and those of its slots."""
    attributes, slots = None, []
    for base in MRO.__get__(cls):
        for name, member in MEMBERS.__get__(base).items():
            if type(member) is types.MemberDescriptorType:
                slots.append((name, member))
            elif name == "__dict__" and type(member) is types.GetSetDescriptorType and base is not type:
                attributes = attributes or member
    return attributes, slots


def key_name(key: Any) -> str:
    if type(key) is int:
        return str(key)
    return text(key) or class_name(type(key))


def text(thing: Any) -> str:
    """A string as a plain `str`, whatever it was derived from; empty for anything else."""
    return str.__str__(thing) if derives(type(thing), str) else ""


def class_name(cls: type) -> str:
    return text(NAME.__get__(cls))


def class_module(cls: type) -> str:
    return text(MEMBERS.__get__(cls).get("__module__"))


def join(path: str, key: str) -> str:
    if not path or not key:
        return path or key
    return path + key if key.startswith("[") else f"{path}.{key}"


def numbered(things: list[Any]) -> list[tuple[Any, str]]:
    """Each with the name of its class, and a number where there are several."""
    names = [class_name(type(thing)) for thing in things]
    totals, seen = Counter(names), Counter[str]()
    out = []
    for thing, name in zip(things, names, strict=True):
        seen[name] += 1
        out.append((thing, f"{name} {seen[name]} of {totals[name]}" if totals[name] > 1 else name))
    return out


def is_anonymous(owner: Any) -> bool:
    """Whether it is a plain container, and not the variables of a module."""
    plain = any(type(owner) is container for container in _ANONYMOUS)
    return plain and not (type(owner) is dict and "__builtins__" in owner)


def telling_first(names: dict[str, Any]) -> dict[str, Any]:
    """The variables of a module; those that IPython gives names of its own (`_5`, `_`, `Out`) come last."""
    if "_oh" not in names:
        return names
    return dict(sorted(names.items(), key=lambda item: _ipythons(text(item[0]))))


def _ipythons(name: str) -> int:
    return 3 if name in ("Out", "_oh") else 0 if not name.startswith("_") else 1 if name[1:].isdigit() else 2


def module_file(names: dict[str, Any]) -> str:
    return file_name(text(names.get("__file__")) or text(names.get("__name__")))


def file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2] or NOBODY
