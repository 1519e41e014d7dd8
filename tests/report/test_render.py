"""What every page relies on: foreign text stays text, a mistyped name is an error, Jinja waits until it is needed."""

import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from mlxtop.report.render import _environment

HOSTILE = "\"'><script>alert(1)</script>\n\x1b[31m\u2028"


def rendered(template: str, value: object) -> str:
    return _environment().from_string(template).render(value=value)


@pytest.mark.parametrize("template", ["{{ value }}", '<p title="{{ value }}">'])
def test_foreign_text_is_text_on_one_line(template: str) -> None:
    text = rendered(template, HOSTILE)
    assert not {"\n", "\x1b", "\u2028", "'"} & set(text)
    assert "<script" not in text
    assert rendered("{{ value }}", "a < b & c") == "a &lt; b &amp; c"


def test_data_ends_no_script() -> None:
    assert rendered("{{ value | tojson }}", {"b": HOSTILE, "a": 1}).startswith(
        '{"b":"\\"\\u0027\\u003e\\u003cscript'
    )


def test_what_nobody_knows_is_a_dash() -> None:
    for template in ("{{ value }}", "{{ value | size }}", "{{ value | delta }}", "{{ value | number }}"):
        assert rendered(template, None) == "—"


def test_a_mistyped_name_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        rendered("{{ valeu }}", 1)
    with pytest.raises(UndefinedError):
        rendered("{{ value.size }}", 1)


@pytest.mark.usefixtures("processes")
def test_jinja_is_loaded_only_when_a_page_is_written() -> None:
    code = (
        "import sys, mlxtop.cli.main, mlxtop.cli.report, mlxtop.cli.sweep_runner, mlxtop.report.page;"
        "sys.exit(bool({'jinja2', 'markupsafe'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
