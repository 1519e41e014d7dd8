"""Where programs live on the simulated Mac."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil
import pytest

from tests.e2e.place import Place

HERE = Path(__file__).parent
LENGTH = len("/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/")


class Mac(Place):
    """`Place` on a Mac: what is started here believes to run on one. Skips the test where there is no C compiler."""

    def __init__(self, library: Path) -> None:
        super().__init__()
        temporary = f"{self.folder}/".ljust(LENGTH - 3, "x") + "/T/"
        Path(temporary).mkdir(parents=True)
        del self.env["XDG_RUNTIME_DIR"], self.env["XDG_STATE_HOME"]
        self.env |= {
            "MLXTOP_TESTS_MAC": str(self.folder),
            "PYTHONPATH": str(HERE / "site"),
            "LD_PRELOAD": str(library),
            "PATH": f"{HERE / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": temporary,
        }

    def processes(self, *but: int) -> set[int]:
        found = set()
        for pid in psutil.pids():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                mine = process.environ().get("MLXTOP_TESTS_MAC") == str(self.folder)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(pid)
        return found - set(but)


@lru_cache(maxsize=1)
def library() -> Path:
    """The library in a folder of its own that stays as long as the tests run; compiled once."""
    cc = shutil.which("cc")
    if sys.platform != "linux" or cc is None:
        pytest.skip("a Mac is simulated on Linux, with a C compiler")
    import atexit
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="mxlib", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "libsystem.so"
    subprocess.run(
        [cc, "-shared", "-fPIC", "-Wall", "-Werror", "-o", made, HERE / "libsystem.c", "-lpthread"],
        check=True,
    )
    return made
