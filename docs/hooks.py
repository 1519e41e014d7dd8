"""What MkDocs takes from the program itself: keys, tables of recordings, metrics, pictures."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from textual.binding import Binding
from textual.keys import format_key

from mlxtop.recording import schema
from mlxtop.serve.metrics import METRICS

ROOT = Path(__file__).parent.parent
KEYS = re.compile(r"^::: keys (?P<module>[\w.]+):(?P<owner>\w+)$", re.MULTILINE)
SCHEMA = "::: recording-schema"
METRICS_TABLE = "::: metrics"


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Adds the pictures, so that pages link to them as to any other file."""
    for picture in sorted(
        path for kind in ("svg", "png") for path in (ROOT / "screenshots").glob(f"*.{kind}")
    ):
        files.append(File.generated(config, f"screenshots/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces `::: keys MODULE:CLASS` by the keys of that screen, `::: recording-schema` by its columns, and
    `::: metrics` by what `mlxtop serve` tells."""
    markdown = KEYS.sub(lambda found: _key_table(found["module"], found["owner"]), markdown)
    markdown = markdown.replace(METRICS_TABLE, _metrics()) if METRICS_TABLE in markdown else markdown
    return markdown.replace(SCHEMA, _schema()) if SCHEMA in markdown else markdown


def _metrics() -> str:
    """Every metric with its type, its labels and what it says."""
    rows = ["| metric | type | labels beside `session` | |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels[1:])
        values = f": {', '.join(metric.values)}" if metric.values else ""
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels}{values} | {_cell(metric.help)} |")
    return "\n".join(rows)


def _schema() -> str:
    """The columns of every table and view of a recording."""
    with closing(sqlite3.connect(":memory:")) as database:
        schema.create(database)
        found = database.execute(
            "SELECT m.type || ' ' || m.name, group_concat('`' || c.name || '`', ', ')"
            " FROM sqlite_schema m, pragma_table_xinfo(m.name) c WHERE m.type IN ('table', 'view')"
            " GROUP BY m.rowid ORDER BY m.rowid, c.cid"
        )
        rows = [f"| {name} | {columns} |" for name, columns in found]
    return "\n".join(["| | columns |", "|---|---|", *rows])


def _key_table(module: str, owner: str) -> str:
    rows = [f"| {' '.join(names)} | {meaning} |" for names, meaning in keys(module, owner)]
    return "\n".join(["| key | what it does |", "|---|---|", *rows])


def keys(module: str, owner: str) -> Iterator[tuple[list[str], str]]:
    """The keys of each binding as `<kbd>` elements, and its sentence in the help on the screen."""
    for binding in getattr(import_module(module), owner).BINDINGS:
        assert isinstance(binding, Binding)
        first, *others = binding.key.split(",")
        shown = [binding.key_display or format_key(first), *map(format_key, others)]
        yield [f"<kbd>{_cell(key)}</kbd>" for key in dict.fromkeys(shown)], _cell(binding.tooltip)


def _cell(text: str) -> str:
    return escape(text).replace("|", "&#124;").replace("[", "&#91;").replace("]", "&#93;")
