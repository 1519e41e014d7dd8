"""Which metrics and labels the board and the rules speak of."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mlxtop.serve import metrics as m

FOLDER = Path(__file__).parents[2] / "monitoring"
BOARD: dict[str, Any] = json.loads((FOLDER / "grafana" / "dashboards" / "mlxtop.json").read_text("utf-8"))
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))["groups"][0]["rules"]

TARGET = {"instance", "job"}
"""The labels that Prometheus itself adds."""
SUFFIXES = ("_bucket", "_sum", "_count")


class Matcher(NamedTuple):
    metric: m.Metric
    label: str
    values: tuple[str, ...]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def board_queries() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in BOARD["annotations"]["list"])
    yield from (variable["query"] for variable in BOARD["templating"]["list"] if variable["type"] == "query")


def rule_queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)


def declared(name: str) -> m.Metric:
    """The metric that a query names. Raises `KeyError` for one that is not declared."""
    known = {metric.name: metric for metric in m.METRICS}
    base = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
    if base in known and known[base].kind == "histogram":
        return known[base]
    return known[name]


def metrics(query: str) -> set[m.Metric]:
    return {declared(name) for name in re.findall(r"\bmlx_\w+", re.sub(r'"[^"]*"', '""', query))}


def matchers(query: str) -> Iterator[Matcher]:
    for name, inside in re.findall(r"\b(mlx_\w+)\{([^}]*)\}", query):
        for label, value in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', inside):
            yield Matcher(declared(name), label, tuple(value.split("|")))


def grouped(query: str) -> set[str]:
    """The labels that a query groups or joins by."""
    lists = re.findall(r"\b(?:by|on|without|group_left)\s*\(([^)]*)\)", query)
    return {label for found in lists for label in re.findall(r"\w+", found)}
