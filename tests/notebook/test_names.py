"""Lines and holders in the words of a notebook's user."""

import sys
from types import FrameType

import pytest

from mlxtop.notebook.holders import Holders
from mlxtop.notebook.places import Places, Statement

OUT = {5: [1, 2], 6: "six"}
VARIABLES = {"Out": OUT, "_oh": OUT, "_": OUT[6], "_5": OUT[5], "x": OUT[5], "y": 3}


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        ("y in __main__", "y"),
        ("x in __main__", "x, also Out[5]"),
        ("x.0 in __main__", "x.0, also Out[5]"),
        ("_5.0 in __main__", "Out[5].0"),
        ("Out.6 in __main__", "Out[6]"),
        ("_ in __main__", "Out[6]"),
        ("__ in __main__", "__"),
        ("_private in __main__", "_private"),
        ("model in __main__: layers.0.weight", "model: layers.0.weight"),
        ("h in train.py:8 step()", "h in train.py:8 step()"),
        (
            "ZMQInteractiveShell._trait_values[…].error_in_exec: ValueError keeps h",
            "the last cell: ValueError keeps h",
        ),
        ("TerminalInteractiveShell.user_ns_hidden._.0", "one of the last values that IPython keeps"),
    ],
)
def test_holders(holder: str, name: str) -> None:
    assert Holders(VARIABLES).name(holder) == name


def test_what_ipython_keeps_is_told_once() -> None:
    holders = Holders(VARIABLES)
    note = holders.note(["_5.0 in __main__", "_5.1 in __main__", "y in __main__", "_6 in __main__"])
    assert "here Out[5], Out[6]." in note
    assert holders.note(["y in __main__", "Model: weight"]) == ""


def _stack(*paths: str) -> FrameType:
    """The frame that functions of the files `paths`, the outermost first, lead to."""
    functions = []
    for path in paths:
        names: dict[str, object] = {"__name__": path}
        exec(compile("def f(*rest):\n    return rest[0](*rest[1:])\n", path, "exec"), names)
        functions.append(names["f"])
    frame = functions[0](*functions[1:], sys._getframe)  # type: ignore[operator]
    assert isinstance(frame, FrameType)
    return frame


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (["c5"], "cell 5, line 2 in f()"),
        (["c5", "lib/mlx_lm/generate.py"], "cell 5, line 2 in f() (mlx_lm/generate.py:2)"),
        (["c5", "c4", "c3"], "cell 3, line 2 in f(), from cell 5, line 2 in f()"),
        (["c5", "c3", "a/b.py"], "cell 3, line 2 in f(), from cell 5, line 2 in f() (a/b.py:2)"),
        (["a/b.py"], "a/b.py:2"),
    ],
)
def test_places(paths: list[str], text: str) -> None:
    places = Places(lambda path: path[1:] if path[1:].isdigit() else None)
    assert places.text(places.of(_stack(*paths))) == text


def test_statements() -> None:
    places = Places(lambda path: path[1:])
    assert places.text(Statement("c5", 3, 3)) == "cell 5, line 3"
    assert places.text(Statement("c5", 3, 9)) == "cell 5, lines 3 to 9"
