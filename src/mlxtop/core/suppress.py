"""`contextlib.suppress` for the agent: that module takes longer to import than the agent's largest."""

from __future__ import annotations


class suppress:
    """A `with` block that ends, and the program goes on, at the first of such errors."""

    def __init__(self, *errors: type[BaseException]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._errors)
