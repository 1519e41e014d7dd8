"""The terminal's section, asked of a terminal that we play ourselves."""

import os
import re
import threading

import pytest

from mlxtop.doctor import keys, terminal
from mlxtop.doctor.finding import Section, Verdict

_ASKED = re.compile(r"\r([^\r\x1b]?)\x1b\[6n")


class Answers(threading.Thread):
    """The far end of a pseudo-terminal: it says where the cursor is, as if `wide` took two columns."""

    def __init__(self, wide: str, silent: bool = False) -> None:
        super().__init__(daemon=True)
        self._master, self.fd = os.openpty()
        self._wide, self._silent = wide, silent

    def run(self) -> None:
        seen = ""
        while True:
            try:
                seen += os.read(self._master, 1024).decode()
            except OSError:
                return
            while not self._silent and (asked := _ASKED.search(seen)):
                seen = seen[asked.end() :]
                column = 1 + (2 if asked[1] in self._wide else 1) if asked[1] else 1
                os.write(self._master, f"\x1b[1;{column}R".encode())

    def close(self) -> None:
        os.close(self.fd)
        # Its reader first: what is opened next may get the number of what is closed here.
        self.join()
        os.close(self._master)


@pytest.mark.parametrize(("wide", "verdict"), [("", Verdict.OK), ("✕", Verdict.MISSING)])
def test_a_sign_that_takes_two_columns_is_found(wide: str, verdict: Verdict) -> None:
    end = Answers(wide)
    end.start()
    found = terminal._glyphs(Section("Terminal"), end.fd)
    end.close()
    assert found.verdict is verdict
    assert wide in found.value


def test_a_terminal_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ANSWERS_WITHIN", 0.1)
    end = Answers("", silent=True)
    end.start()
    found = terminal._glyphs(Section("Terminal"), end.fd)
    end.close()
    assert found.verdict is Verdict.MISSING


async def test_keys_that_do_not_arrive_are_named() -> None:
    app = keys.KeyCheck()
    async with app.run_test() as pilot:
        await pilot.press("left_square_bracket", "M", "pageup")
        await pilot.press("ctrl+c")
    arrived = app.return_value
    assert arrived is not None
    assert {"left_square_bracket", "M", "pageup"} <= arrived
    assert "m" not in arrived


def test_every_key_of_the_dashboard_is_asked_for() -> None:
    shown = keys.keys()
    assert {"left_square_bracket": "[", "pageup": "PgUp", "question_mark": "?"}.items() <= shown.items()
