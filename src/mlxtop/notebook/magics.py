"""`%%mlxtop` for a cell, `%mlxtop` for a statement."""

import ast
import re
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import HTML, DisplayHandle, display

from mlxtop.core.errors import MlxtopError
from mlxtop.notebook.cell import NAME, Statements, as_line_magic
from mlxtop.notebook.holders import Holders
from mlxtop.notebook.measurement import Measurement
from mlxtop.notebook.places import Places
from mlxtop.notebook.result import Result

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlxtop.notebook.live import Show

_OPTIONS = re.compile(r"((?:\s*--\S*)*)")


@magics_class
class MlxtopMagics(Magics):
    """One for a shell. `install` once."""

    shell: "InteractiveShell"

    def __init__(self, shell: "InteractiveShell") -> None:
        super().__init__(shell)
        self._statements = Statements()
        self._places = Places(self._number)
        self._running: Measurement | None = None
        self._inside = 0
        """How many executions run within the measured one."""

    def install(self) -> None:
        self.shell.register_magics(self)
        self.shell.input_transformers_cleanup.append(as_line_magic)
        self.shell.ast_transformers.append(self._statements)
        self.shell.events.register("pre_execute", self._enter)
        self.shell.events.register("post_execute", self._leave)

    def remove(self) -> None:
        self.shell.events.unregister("pre_execute", self._enter)
        self.shell.events.unregister("post_execute", self._leave)
        self.shell.ast_transformers.remove(self._statements)
        self.shell.input_transformers_cleanup.remove(as_line_magic)
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop(NAME, None)

    @line_cell_magic
    @magic_arguments()
    @argument(
        "--census",
        action="store_true",
        help="Count the arrays before and after: what stayed, and who holds it.",
    )
    @argument("--no-chart", action="store_true", help="Show no chart while the cell runs.")
    @argument("statement", nargs="*", help="What to measure; without one, the rest of the cell.")
    def mlxtop(self, line: str, cell: str | None = None) -> object:
        """Measures MLX's memory: the peak and the line that made it, what stayed, and the time.

        %%mlxtop as the first line of a cell measures the cell, %mlxtop STATEMENT a statement.
        """
        __tracebackhide__ = True
        found = _OPTIONS.match(line)
        assert found is not None
        options, statement = parse_argstring(self.mlxtop, found[1]), line[found.end() :].strip()
        if cell is not None:
            # A script that was made of a notebook calls it so.
            self.shell.run_cell(f"%%{NAME} {line}\n{cell}").raise_error()
            return None
        tree = ast.parse(statement, "<mlxtop>")
        self._start(options, sys._getframe(1))
        return self._run(tree) if statement else None

    def _run(self, tree: ast.Module) -> object:
        """Runs a measured statement; returns its value if it is an expression."""
        __tracebackhide__ = True
        *_, last = tree.body
        try:
            if not isinstance(last, ast.Expr):
                exec(compile(tree, "<mlxtop>", "exec"), self.shell.user_ns)
                return None
            exec(compile(ast.Module(tree.body[:-1], []), "<mlxtop>", "exec"), self.shell.user_ns)
            return eval(compile(ast.Expression(last.value), "<mlxtop>", "eval"), self.shell.user_ns)
        finally:
            self._stop()

    def _start(self, options: Any, cell: FrameType) -> None:
        if self._running is not None:
            raise UsageError("mlxtop measures already: one cell at a time.")
        try:
            running = Measurement(
                self._places, cell, options.census, None if options.no_chart else self._show()
            )
        except MlxtopError as error:
            raise UsageError(str(error)) from error
        running.start()
        self._inside, self._running = 0, running

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            display(Result(running.stop(), Holders(self.shell.user_ns)))

    def at(self, first: int, last: int) -> None:
        """The measured cell comes to its statement in these lines."""
        if self._running is not None and not self._inside:
            self._running.at(first, last)

    def _enter(self) -> None:
        self._inside += 1

    def _leave(self) -> None:
        if self._inside:
            self._inside -= 1
        else:
            self._stop()

    def _show(self) -> "Show | None":
        """Shows HTML where a notebook is, which a kernel serves; a terminal shows none."""
        if getattr(self.shell, "kernel", None) is None:
            return None
        shown: DisplayHandle | None = None

        def show(html: str) -> None:
            nonlocal shown
            if shown is None:
                shown = display(HTML(html), display_id=True)
            else:
                shown.update(HTML(html))

        return show

    def _number(self, path: str) -> str | None:
        """IPython calls a cell `In[5]`. Colab's, which is older, has only the table."""
        compiler = self.shell.compile
        if hasattr(compiler, "format_code_name"):
            found = compiler.format_code_name(path)
            return None if found is None else found[1].removeprefix("In[").removesuffix("]")
        number = getattr(compiler, "_filename_map", {}).get(path)
        return None if number is None else str(number)
