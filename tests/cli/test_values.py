"""Values that no option may take: each is refused in one sentence, by every option of its kind."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from mlxtop.__main__ import main
from mlxtop.cli import values
from mlxtop.cli.main import COMMANDS, cli
from mlxtop.core.parsing import parse_json, whole
from mlxtop.sweep import store
from mlxtop.sweep.store import SweepFileError

NO_NUMBERS = (
    "nan",
    "-nan",
    "inf",
    "-inf",
    "1e999",
    "²",
    "①",
    "٣x",
    "",
    " ",
    "0x10",
    "-1",
    "9" * 5000,
    "\x1b[2J",
)
BAD: dict[type, tuple[str, ...]] = {
    values.CountParam: (*NO_NUMBERS, "1.5", "1_0", "9" * 18),
    values.SecondsParam: NO_NUMBERS,
    values.SizeParam: (*NO_NUMBERS, "٣", "9" * 19),
    values.BytesParam: (*NO_NUMBERS, "default", "unlimited", "1M/min"),
    values.RateParam: (
        *NO_NUMBERS,
        "1M",
        "/min",
        "1M/day",
        "-1M/s",
        "default/min",
        "unlimited/s",
        "9999999T/s",
    ),
    values.NumberParam: (*NO_NUMBERS, "k", "1.5k", "1 k", "9999999k", "2G", "²k"),
    values.RepeatParam: (*NO_NUMBERS, "0", "9" * 18),
    values.BudgetParam: (*NO_NUMBERS, "0", "16GB Mac"),
    values.ActionParam: ("", " ", "stop:", "limit:²", "limit:nan", "exec: "),
    values.LengthsParam: (*NO_NUMBERS, "4k,²k", "0", "9999999k"),
    values.FileParam: ("", " ", "a\0b", "/"),
    values.FolderParam: ("", " ", "a\0b", __file__, "/nowhere" * 100),
    values.NameParam: ("", " "),
}
OURS = (*BAD, click.Choice, click.types.UnprocessedParamType, click.types.BoolParamType, click.File)
HOSTILE = "x\x1b[2J\x07\x9b31m\x08"
TEXT_OPTIONS = {
    "--prompt",
    "--metric",
    "--limits",
    "--parameter",
    "--knob",
    "--prompt-tokens",
    "--tolerance",
    "--trace",
    "--fail-if",
}
"""These are any text, or are read as a whole by their command."""


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    context = click.Context(cli)
    commands = {"": cli, **{name: cli.get_command(context, name) for name in COMMANDS}}
    for name, command in commands.items():
        assert command is not None
        yield from ((name, parameter) for parameter in command.params)


@pytest.mark.parametrize(("command", "parameter"), parameters(), ids=lambda p: getattr(p, "name", p))
def test_every_option_is_of_a_kind_that_refuses_what_it_cannot_be(
    command: str, parameter: click.Parameter
) -> None:
    if set(parameter.opts) & TEXT_OPTIONS:
        return
    assert isinstance(parameter.type, OURS), f"{command} {parameter.opts}: give it a kind of cli/values.py"
    for text in BAD.get(type(parameter.type), ()):
        with pytest.raises(click.BadParameter) as refused:
            parameter.type(text, parameter, click.Context(cli))
        assert len(refused.value.message) < 250
        assert "Traceback" not in refused.value.message


@pytest.mark.parametrize(
    "words",
    [
        ("--interval", "nan"), ("--repeat", "²"), ("--record", ""), ("--max-tokens", "9" * 5000), ("--seed", "-1"),
        ("--adapter-path", ""), ("run", "--interval", "nan", "--record", "F", "--", "true"),
        ("run", "--log", "", "--", "true"), ("attach", "²"), ("attach", ""), ("attach", "9" * 40), ("replay", ""),
        ("report", ""), ("export", "", "--format", "csv"), ("fit", "--model", "m", "--within", "inf"),
        ("fit", "--model", "m", "--context", "²k"), ("sweep", "--tolerance", "nan"), ("sweep", "--prompt-tokens", "²"),
        ("sweep", "--limits", "²,0"), ("sweep", "--parameter", "kv-bits=²,4"), ("sweep", "--resume", ""), ("doctor", "²"),
        ("attach", HOSTILE), (HOSTILE,), (f"--{HOSTILE}",), ("--interval", HOSTILE), ("attach", "x" * 5000),
    ],
    ids=lambda words: repr(words)[:40],
)  # fmt: skip
def test_a_bad_word_is_refused_in_a_sentence(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["mlxtop", *words])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert "Traceback" not in err
    assert not set(err) & set("\x1b\x07\x9b\x08")
    assert len(err) < 500


@pytest.mark.parametrize("text", ["²", "", "٣", "-1", "+1", " 1", "1_0", "9" * 19])
def test_only_plain_digits_are_a_whole_number(text: str) -> None:
    assert whole(text) is None
    assert whole("042") == 42


DEEP = "[" * 100_000


def test_json_of_a_hundred_thousand_brackets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too deep"):
        parse_json(DEEP)
    file = tmp_path / "s.json"
    file.write_text(DEEP)
    with pytest.raises(SweepFileError, match="is not JSON"):
        store.read(file)


PLAN: dict[str, Any] = {
    "subject": "demo", "knobs": [{"name": "cache-limit", "values": [0, "default"]}], "lengths": [128],
    "max_tokens": 8, "rounds": 5, "tolerance": 0.02, "seed": 0, "metric": "tps", "pattern": "",
    "lower_is_better": False, "extra": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"rounds": "many"}, {"rounds": -1}, {"rounds": float("nan")}, {"tolerance": float("nan")}, {"tolerance": "2%"},
        {"seed": None}, {"max_tokens": 1.5}, {"subject": 5}, {"metric": []}, {"lengths": [float("inf")]},
        {"lower_is_better": "no"}, {"knobs": [{"name": "cache-limit", "values": [float("nan")]}]}, {"lengths": 5},
    ],
    ids=repr,
)  # fmt: skip
def test_a_sweep_to_resume_with_a_plan_that_is_none(tmp_path: Path, other: dict[str, Any]) -> None:
    file = tmp_path / "s.json"
    data = {"type": store.SIGN, "format": store.FORMAT, "plan": PLAN, "readings": [], "facts": {}}
    file.write_text(json.dumps(data))
    assert store.read(file).plan.rounds == 5
    file.write_text(json.dumps({**data, "plan": {**PLAN, **other}}))
    with pytest.raises(SweepFileError, match="is damaged"):
        store.read(file)
