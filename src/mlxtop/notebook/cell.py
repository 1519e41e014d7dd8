"""How a cell under `%%mlxtop` is run: as any other cell, by IPython itself.

Its first line becomes `%mlxtop OPTIONS`, which measures from there to the cell's end. So `await`, tracebacks,
line numbers, the last value and its number are the cell's own. Before each statement a call tells its lines:
memory also rises outside of `mx.eval`.
"""

import ast

NAME = "mlxtop"


def as_line_magic(lines: list[str]) -> list[str]:
    """Makes `%%mlxtop` a line of its cell."""
    first = lines[0].rstrip() if lines else ""
    if first.partition(" ")[0] != f"%%{NAME}":
        return lines
    return [f"{first[1:]}\n", *lines[1:]]


# While a cell is typed in a terminal it must look like what it is: it ends with an empty line.
as_line_magic.has_side_effects = True  # type: ignore[attr-defined]


class Statements(ast.NodeTransformer):
    """Puts a call before each statement of a cell that is measured, and touches no other cell."""

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Module) and (
            places := [i for i, each in enumerate(node.body) if _begins(each)]
        ):
            head, rest = node.body[: places[0] + 1], node.body[places[0] + 1 :]
            node.body = [*head, *(each for statement in rest for each in (_call(statement), statement))]
        return node


def _begins(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(ast.Call(ast.Attribute(attr="run_line_magic"), [ast.Constant(value), *_])):
            return bool(value == NAME)
    return False


def _call(statement: ast.stmt) -> ast.stmt:
    last = statement.end_lineno or statement.lineno
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    call = ast.parse(f"__import__('mlxtop.notebook').notebook.at({first}, {last})").body[0]
    for node in ast.walk(call):
        ast.copy_location(node, statement)
    return call
