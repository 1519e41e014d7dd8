"""Jetsam's reports, in the form that Apple documents."""

import json

from mlxtop.system import jetsam

HEAD = '{"bug_type":"298","timestamp":"2026-05-15 11:35:46.00 +0200","os_version":"macOS 26.4 (25E246)"}'
PROCESSES = [
    {"pid": 963, "name": "Python", "rpages": 1_200_000, "reason": "vm-pageshortage", "states": ["active"]},
    {"pid": 964, "name": "Safari", "rpages": 90_000, "states": ["frontmost"]},
    {"pid": 965, "reason": 7},
    "nonsense",
]
REPORT = HEAD + "\n" + json.dumps({"pageSize": 16384, "processes": PROCESSES}, indent=2)


def test_only_a_process_that_was_ended_has_a_reason() -> None:
    assert [jetsam.parse(REPORT, pid) for pid in (963, 964, 965, 1)] == ["vm-pageshortage", None, None, None]


def test_what_is_no_report_names_nobody() -> None:
    for text in ("", HEAD, HEAD + "\n{", HEAD + "\n[]", HEAD + '\n{"processes": 3}', "\n" + "[" * 100_000):
        assert jetsam.parse(text, 963) is None
