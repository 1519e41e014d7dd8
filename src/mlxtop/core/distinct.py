"""Named tuples of different types that are never equal."""

from typing import TypeVar

T = TypeVar("T")


def distinct(cls: type[T]) -> type[T]:
    """Has a named tuple equal only its own type: by itself it equals every tuple of the same values."""

    def equal(self: object, other: object) -> bool:
        return type(self) is type(other) and isinstance(self, tuple) and tuple.__eq__(self, other)

    def unequal(self: object, other: object) -> bool:
        return not equal(self, other)

    # A class that defines equality would else lose its hash.
    for name, method in (("__eq__", equal), ("__ne__", unequal), ("__hash__", tuple.__hash__)):
        setattr(cls, name, method)
    return cls
