"""`%load_ext mlxtop`: measures a cell of a notebook, or of an IPython terminal, with `%%mlxtop`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlxtop.notebook.magics import MlxtopMagics

_loaded: "MlxtopMagics | None" = None


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Adds `%%mlxtop` and `%mlxtop` to an IPython shell; `%load_ext mlxtop` calls it."""
    global _loaded
    from mlxtop.notebook.magics import MlxtopMagics

    if _loaded is None:
        _loaded = MlxtopMagics(shell)
        _loaded.install()


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Takes them away again; `%unload_ext mlxtop` calls it."""
    global _loaded
    if _loaded is not None:
        _loaded.remove()
        _loaded = None


def at(first: int, last: int) -> None:
    """The measured cell comes to its statement in these lines: IPython calls it, see `cell.Statements`."""
    if _loaded is not None:
        _loaded.at(first, last)
