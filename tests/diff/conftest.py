from pathlib import Path

import pytest

from mlxtop.recording.export import write_jsonl
from mlxtop.recording.reader import Recording
from tests.diff.made import higher_peak, leak, recorded, slower_decode, unchanged


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings of one run: `same`, and those with something planted; `same.jsonl` is its export."""
    folder = tmp_path_factory.mktemp("runs")
    for change in (unchanged, leak, higher_peak, slower_decode):
        recorded(folder / f"{change.__name__}.mlxtop", change)
    with (folder / "unchanged.jsonl").open("w") as out:
        recording = Recording(folder / "unchanged.mlxtop")
        write_jsonl(recording, out)
        recording.close()
    return folder
