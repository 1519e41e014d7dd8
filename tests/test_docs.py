"""README and docs/ name only commands, options, keys, pages and pictures that exist."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from pathlib import Path

import click
import pytest
from textual.keys import format_key
from textual.screen import Screen

import mlxtop.tui.screens as screens
from mlxtop.cli.main import cli
from mlxtop.tui.app import MlxtopApp

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
RAW = "https://raw.githubusercontent.com/mlxtop/mlxtop/main/"
BLOB = "https://github.com/mlxtop/mlxtop/blob/main/"
COMMAND = re.compile(r"^(?:    |\| `)(?:uvx )?(mlxtop\b[^`\n]*)", re.MULTILINE)
SPAN = re.compile(r"`(mlxtop(?: [^`\n]+)?)`")
OPTION = re.compile(r"`(--[\w-]+)")
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
    """The arguments of a command line, without a comment, the next command of a pipe and `…`."""
    alone = re.split(r" [|&](?: |$)", line)[0].replace("PID", "4242")
    return [word for word in shlex.split(alone, comments=True)[1:] if word != "…"]


@pytest.mark.parametrize("line", each(COMMAND))
def test_a_command_can_be_run_as_it_is_written(line: str) -> None:
    parse(words(line))


@pytest.mark.parametrize("line", each(SPAN))
def test_a_command_in_a_sentence_exists(line: str) -> None:
    # In a sentence it may stand without what it needs; `--help` ends in `Exit`.
    with suppress(click.MissingParameter, click.exceptions.Exit):
        parse(words(line))


def test_what_cannot_be_run_is_found() -> None:
    for wrong in ("mlxtop atach 4242", "mlxtop sweep --budgt 3G", "mlxtop export night --format xml"):
        with pytest.raises(click.UsageError):
            parse(shlex.split(wrong)[1:])


def options() -> set[str]:
    context = click.Context(cli)
    groups = [cli, *(cli.get_command(context, name) for name in cli.list_commands(context))]
    return {name for command in groups if command for p in command.params for name in p.opts}


@pytest.mark.parametrize("option", each(OPTION))
def test_an_option_exists(option: str) -> None:
    assert option in options()


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
