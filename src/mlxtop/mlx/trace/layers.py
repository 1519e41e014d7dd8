"""Names the layer that allocates: each call of an `nn.Module` evaluates its result before it returns.

MLX is lazy, so there is no other way to tell a layer's allocations from the next one's. It changes what is
measured: speed, fusion and peaks.
"""

import sys
import threading
import weakref
from functools import wraps
from importlib import import_module
from types import FunctionType
from typing import Any

from mlxtop.mlx import backend
from mlxtop.mlx.hooks import outside
from mlxtop.mlx.trace.tracer import Tracer

NO_STEP = 0
"""The number of a layer's step: no step of the program's has it."""


class _Calls(threading.local):
    """The calls that are under way on this thread."""

    def __init__(self) -> None:
        self.modules: list[Any] = []
        self.left_alone = False
        """Nothing is evaluated now, as within `mx.compile`: up to the end of the outermost call."""


class Layers:
    """Has a trace name the layers of a program, while it is installed."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._calls = _Calls()
        self._names: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._wrapped: list[tuple[Any, Any, Any]] = []
        self._module: Any = None
        self._mx: Any = backend.load()
        self._checkpoint: Any = self._mx.checkpoint
        self._our_checkpoint: Any = wraps(self._checkpoint)(lambda fun: self._checkpoint(self._alone(fun)))
        # Not the agent's: a layer is no step of the program's.
        self._evaluate: Any = self._mx.eval
        while hasattr(self._evaluate, "__wrapped__"):
            self._evaluate = self._evaluate.__wrapped__

    def install(self) -> None:
        """Wraps `__call__` of each class of modules, now and later. Raises what `mlx.nn` raises."""
        # The program may be in the midst of importing mlx.nn: this module is whole, or comes now.
        module: Any = import_module("mlx.nn.layers.base").Module

        def added(cls: Any, /, **arguments: Any) -> None:
            super(module, cls).__init_subclass__(**arguments)
            if self._module is not None:
                self._wrap(cls)

        self._module = module
        module.__init_subclass__ = classmethod(added)
        self._mx.checkpoint = self._our_checkpoint
        self._wrap_all(module)

    def remove(self) -> None:
        """Gives the classes and MLX their own functions back, where nobody has replaced ours."""
        self._module = None
        if self._mx.checkpoint is self._our_checkpoint:
            self._mx.checkpoint = self._checkpoint
        for cls, function, ours in self._wrapped:
            if vars(cls).get("__call__") is ours:
                cls.__call__ = function
        self._wrapped.clear()

    def _wrap_all(self, cls: Any) -> None:
        for one in cls.__subclasses__():
            self._wrap(one)
            self._wrap_all(one)

    def _wrap(self, cls: Any) -> None:
        function = vars(cls).get("__call__")
        if not isinstance(function, FunctionType) or any(cls is known for known, *_ in self._wrapped):
            return

        @wraps(function)
        def layer(module: Any, /, *args: Any, **kwargs: Any) -> Any:
            modules = self._calls.modules
            # A class's `super().__call__` is the same layer.
            if self._module is None or self._calls.left_alone or (modules and modules[-1] is module):
                return function(module, *args, **kwargs)
            return self._call(function, module, args, kwargs)

        self._wrapped.append((cls, function, layer))
        cls.__call__ = layer

    def _call(self, function: Any, module: Any, args: Any, kwargs: Any) -> Any:
        calls = self._calls
        # What the caller has built is the caller's.
        self._settle((args, kwargs))
        token = self._begin(module)
        calls.modules.append(module)
        try:
            result = function(module, *args, **kwargs)
            self._settle(result)
            return result
        finally:
            calls.modules.pop()
            calls.left_alone = calls.left_alone and bool(calls.modules)
            if token is not None:
                self._tracer.end(token)

    def _alone(self, function: Any) -> Any:
        """`function` with nothing evaluated in it: what a checkpoint is there to free would be kept."""

        @wraps(function)
        def alone(*args: Any, **kwargs: Any) -> Any:
            calls = self._calls
            calls.left_alone = True
            try:
                return function(*args, **kwargs)
            finally:
                calls.left_alone = bool(calls.modules)

        return alone

    def _settle(self, arrays: Any) -> None:
        # Removed within a call: this is a fork's child, where an evaluation may wait for ever.
        if self._calls.left_alone or self._module is None:
            return
        try:
            self._evaluate(arrays)
        except Exception:
            # A function is being transformed. Any other error the program's own evaluation meets again.
            self._calls.left_alone = True

    def _begin(self, module: Any) -> int | None:
        try:
            frame = outside(sys._getframe(2))
            return self._tracer.begin(frame, "", NO_STEP, self._name(module))
        except Exception:
            # A module of the program's may have its own ways to list what is in it.
            return None

    def _name(self, module: Any) -> str:
        """The path from the outermost module that was called; a class's name where there is none."""
        modules = self._calls.modules
        if self._known(module) is None:
            root = modules[0] if modules else module
            for path, one in root.named_modules():
                self._learn(one, path or type(one).__name__)
        if (known := self._known(module)) is not None:
            return known
        return self._learn(module, type(module).__name__)

    def _known(self, module: Any) -> str | None:
        # Another module may have the address by now.
        reference, name = self._names.get(id(module), (None, ""))
        return name if reference is not None and reference() is module else None

    def _learn(self, module: Any, name: str) -> str:
        self._names[id(module)] = weakref.ref(module), name
        return name
