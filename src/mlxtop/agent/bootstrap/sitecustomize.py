"""Python runs this at start-up when `mlxtop run` put its folder on PYTHONPATH: the way into a program whose
environment has no mlxtop of its own. Then the program's own sitecustomize runs, or none, as without us.
"""

import os
import sys

# Out of sight first: the import at the end must find the program's own.
sys.modules["mlxtop_sitecustomize"] = sys.modules.pop(__name__)
_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if entry != _here]


def _wait() -> None:
    # Only to find the package: its modules are found beside it, and nothing else of ours comes into sight.
    folder = os.path.dirname(os.path.dirname(os.path.dirname(_here)))
    sys.path.insert(0, folder)
    try:
        from mlxtop.agent import boot
    finally:
        sys.path.remove(folder)
    boot.wait()


try:
    if sys.version_info >= (3, 11):
        _wait()
except Exception:
    pass

import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401 - the program's own; its absence is what Python expects to be told
