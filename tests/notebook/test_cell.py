"""How a cell under `%%mlxtop` is changed, and what is left as it was."""

import ast

import pytest

from mlxtop.notebook.cell import Statements, as_line_magic

BEGIN = "get_ipython().run_line_magic('mlxtop', '--census')\n"


@pytest.mark.parametrize("first", ["%%mlxtop", "%%mlxtop --census"])
def test_the_first_line_alone_is_changed(first: str) -> None:
    assert as_line_magic([f"{first}\n", "x = 1\n"]) == [f"{first[1:]}\n", "x = 1\n"]


@pytest.mark.parametrize(
    "lines", [[], ["%%mlxtops\n"], ["%%time\n", "%%mlxtop\n"], ["%mlxtop f()\n"], ["x = 1"]]
)
def test_other_cells_stay(lines: list[str]) -> None:
    assert as_line_magic(lines) == lines


def test_each_statement_is_told_of() -> None:
    cell = f"{BEGIN}x = 1\nfor i in y:\n    x += i\n@f\ndef g():\n    return 3\nx"
    node = ast.fix_missing_locations(Statements().visit(ast.parse(cell)))
    calls = [ast.unparse(each) for each in node.body if "at(" in ast.unparse(each)]
    assert [call.partition("at(")[2] for call in calls] == ["2, 2)", "3, 4)", "5, 7)", "8, 8)"]
    lines = [each.lineno for each in node.body]
    assert lines == sorted(lines)
    assert isinstance(node.body[-1], ast.Expr)


def test_a_cell_that_is_not_measured_is_not_touched() -> None:
    cell = "x = 1\nget_ipython().run_line_magic('time', 'x')\nx"
    assert ast.dump(Statements().visit(ast.parse(cell))) == ast.dump(ast.parse(cell))
