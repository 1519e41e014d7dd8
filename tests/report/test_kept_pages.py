"""The pages about programs that died: private, few, and each of them whole."""

import stat
from pathlib import Path

import platformdirs
import pytest

from mlxtop.report import kept_pages


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_state_path", lambda _: tmp_path / "state")
    return tmp_path / "state"


def test_before_the_first_there_is_none() -> None:
    assert kept_pages.newest() is None


def test_the_newest_few_are_kept_and_only_their_user_reads_them(state: Path) -> None:
    at = 1_780_000_000.0
    for n in range(kept_pages.KEPT + 3):
        path = kept_pages.keep(f"death {n}\udcff\n", at + n, 42)
        assert kept_pages.newest() == path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(list(path.parent.iterdir())) == kept_pages.KEPT
    assert path.read_text() == f"death {kept_pages.KEPT + 2}\\udcff\n"
    # A second about the same process at the same moment takes its place.
    assert kept_pages.keep("again\n", at + n, 42) == path
    assert path.read_text() == "again\n"


def test_a_page_that_cannot_be_kept_leaves_nothing(state: Path) -> None:
    state.write_text("no folder")
    with pytest.raises(OSError, match="state"):
        kept_pages.keep("text", 0.0, 1)
