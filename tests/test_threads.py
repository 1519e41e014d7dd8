"""Our threads beside Python's own: what a newer Python keeps in a thread must not be overwritten by us."""

import ast
import threading

from tests.process import ROOT

NEWER = {"_context", "_handle", "_os_thread_handle"}
"""What `threading.Thread` keeps in Python 3.13 and 3.14, and does not in 3.11."""


def _written(thread: ast.ClassDef) -> set[str]:
    methods = {node.name for node in ast.walk(thread) if isinstance(node, ast.FunctionDef)}
    kept = {
        node.attr
        for node in ast.walk(thread)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    return methods | kept


def test_no_thread_overwrites_what_is_python_s() -> None:
    python_s = {*vars(threading.Thread()), *dir(threading.Thread), *NEWER} - {"__init__", "run"}
    ours = {
        node.name: _written(node)
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        if any("Thread" in ast.unparse(base) or "AgentClient" in ast.unparse(base) for base in node.bases)
    }
    assert {"Engine", "Sampler", "AgentClient", "RunFleet"} <= ours.keys()
    assert {name: written & python_s for name, written in ours.items() if written & python_s} == {}
