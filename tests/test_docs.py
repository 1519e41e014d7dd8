"""README and docs/ name only commands, options, keys, pages and pictures that exist."""

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from html import unescape
from pathlib import Path

import click
import pytest
from textual.keys import format_key
from textual.screen import Screen

import mlxtop.tui.screens as screens
from mlxtop import api
from mlxtop.cli.main import cli
from mlxtop.core.events import KINDS
from mlxtop.notebook.magics import MlxtopMagics
from mlxtop.recording import schema
from mlxtop.tui.app import MlxtopApp
from tests.process import mlxtop

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src/mlxtop"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
RAW = "https://raw.githubusercontent.com/mlxtop/mlxtop/main/"
BLOB = "https://github.com/mlxtop/mlxtop/blob/main/"
COMMAND = re.compile(r"^(?:    |\| `)(?:uvx )?(mlxtop\b[^`\n]*)", re.MULTILINE)
SPAN = re.compile(r"`(mlxtop(?: [^`\n]+)?)`")
OPTION = re.compile(r"`(--[\w-]+)")
METRICS = re.compile(r"`(mlx/[\w/]+)`")
PATH = re.compile(r"`(\w[\w.-]*/[\w./-]*)(?:::\w+)?`")
FOLDER = re.compile(r"^      (\w+(?:\.py|/)) ", re.MULTILINE)
CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SQL = re.compile(r"^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)
KEY = re.compile(r"<kbd>(.+?)</kbd>")
# Keys of a line of text and of dialogs, which belong to no screen.
ANYWHERE = {"Enter", "Escape", "Tab"}
FILES = ("long.txt", "s.json", "night.mlxtop", "bug.mlxtop")


def each(pattern: re.Pattern[str]) -> Iterator[object]:
    for page in PAGES:
        for found in dict.fromkeys(pattern.findall(page.read_text())):
            yield pytest.param(found, id=f"{page.stem}: {found}")


def parse(arguments: list[str]) -> None:
    """Has click read a command line as if it were run, and runs nothing. Raises `click.UsageError`."""
    context = cli.make_context("mlxtop", list(arguments))
    given = [*context._protected_args, *context.args]
    if given:
        name, command, rest = cli.resolve_command(context, given)
        assert command is not None
        command.make_context(name, rest, parent=context)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands read is there."""
    for name in FILES:
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)


def words(line: str) -> list[str]:
    """The arguments of a command line, without a comment, a redirection, the next command of a pipe and `…`."""
    alone = re.split(r" [|&>](?: |$)", line)[0].replace("PID", "4242")
    return [word for word in shlex.split(alone, comments=True)[1:] if word != "…"]


@pytest.mark.parametrize("line", each(COMMAND))
def test_a_command_can_be_run_as_it_is_written(line: str) -> None:
    parse(words(line))


@pytest.mark.parametrize("line", each(SPAN))
def test_a_command_in_a_sentence_exists(line: str) -> None:
    # In a sentence it may stand without what it needs; `--help` ends in `Exit`.
    with suppress(click.MissingParameter, click.exceptions.NoArgsIsHelpError, click.exceptions.Exit):
        parse(words(line))


def test_what_cannot_be_run_is_found() -> None:
    for wrong in ("mlxtop atach 4242", "mlxtop run --budgt 3G -- ls", "mlxtop export night --format xml"):
        with pytest.raises(click.UsageError):
            parse(shlex.split(wrong)[1:])


def options(command: click.Command = cli) -> set[str]:
    found = {name for p in command.params for name in p.opts}
    if isinstance(command, click.Group):
        context = click.Context(command)
        below = [command.get_command(context, name) for name in command.list_commands(context)]
        found.update(*(options(one) for one in below if one))
    return found


def magic_options() -> set[str]:
    """Those of `%%mlxtop` in a notebook."""
    return set(MlxtopMagics.mlxtop.parser._option_string_actions)


@pytest.mark.parametrize("option", each(OPTION))
def test_an_option_exists(option: str, pytestconfig: pytest.Config) -> None:
    assert option in options() | magic_options() or hasattr(
        pytestconfig.option, option.strip("-").replace("-", "_")
    )


def bound() -> set[str]:
    """Every key that the application or a screen binds, as it is shown."""
    owners = [MlxtopApp, *_below(Screen)]
    bindings = [b for owner in owners for b in owner.BINDINGS if not isinstance(b, tuple)]
    return {shown for b in bindings for shown in (b.key_display, *map(format_key, b.key.split(","))) if shown}


def _below(kind: type) -> Iterator[type]:
    for file in Path(screens.__file__).parent.glob("*.py"):
        __import__(f"{screens.__name__}.{file.stem}")
    for child in kind.__subclasses__():
        if child.__module__.startswith("mlxtop."):
            yield child
        yield from _below(child)


@pytest.mark.parametrize("key", each(KEY))
def test_a_key_is_bound(key: str) -> None:
    assert unescape(key) in bound() | ANYWHERE


def test_a_key_that_nobody_binds_is_found() -> None:
    assert not {"z", "F5"} & bound()


@pytest.mark.parametrize("path", each(PATH))
def test_a_file_or_a_folder_exists(path: str) -> None:
    assert (
        path == "build/docs"
        or (ROOT / path).exists()
        or (PACKAGE / path).exists()
        or path in METRICS.findall(api.metrics.__doc__ or "")
    )


def test_the_layout_is_the_package() -> None:
    drawn = FOLDER.findall((ROOT / "docs/how-it-works.md").read_text())
    folders = [path.parent.name + "/" for path in PACKAGE.glob("*/__init__.py")]
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    assert sorted(drawn) == sorted(folders + modules)


@pytest.mark.usefixtures("mlx_unwrapped")
@pytest.mark.parametrize("code", each(CODE))
def test_an_example_in_python_runs(code: str) -> None:
    exec(code, {"work": lambda: None, "step": lambda: None})


@pytest.mark.parametrize("query", each(SQL))
def test_a_query_fits_a_recording(query: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        schema.create(database)
        database.execute(query)


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= 6_000


def test_the_readme_links_where_the_package_index_can_follow() -> None:
    """A relative link leads nowhere on the package index; ours are addresses of files that exist."""
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)
    ours = [link.removeprefix(base) for base in (RAW, BLOB) for link in links if link.startswith(base)]
    assert len(ours) > 5
    assert [path for path in ours if not (ROOT / path).is_file()] == []


def test_the_readme_has_the_command_that_ci_runs() -> None:
    command = (ROOT / ".ci/run").read_text().splitlines()[-1]
    assert f"`{command}`" in (ROOT / "README.md").read_text()


def described(text: str, kind: str) -> dict[str, set[str]]:
    """The rows of the table of this type of line: the words of the first cell, each with those of its whole row."""
    section = text.split(f'## `"type": "{kind}"`')[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [(re.findall(r"`(\w+)`", row.split("|")[1]), re.findall(r"`(\w+)`", row)) for row in rows]
    return {name: set(row) for names, row in cells for name in names}


@pytest.mark.usefixtures("processes")
def test_json_is_as_it_is_described() -> None:
    text = (ROOT / "docs/reference/json.md").read_text()
    done = mlxtop("--json", "--prompt", "hello", "--max-tokens", "4", "--repeat", "1", "--cache-limit", "20M")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for kind in ("session", "sample", "summary"):
        line = next(line for line in lines if line["type"] == kind)
        assert set(line) - {"type"} == set(described(text, kind)), kind
    events = [line for line in lines if line["type"] == "event"]
    kinds = described(text, "event")
    assert {"facts", "phase", "limit", "mark", "generation"} <= {event["kind"] for event in events}
    assert set(kinds) == set(KINDS.values())
    # Of these the fields differ from machine to machine.
    told = [event for event in events if event["kind"] not in ("facts", "system")]
    for event in told:
        assert set(event) - {"type", "time", "kind"} <= kinds[event["kind"]], event
