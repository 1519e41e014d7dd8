"""Spares the programs of the tests what transformers does at every import: it reads 1,600 of its own files.

That takes 0.7 s of the 1.2 s that the import of mlx-lm takes, in hundreds of programs. `make` runs this
file once: it keeps what transformers found, and a copy of this file, in the environment of the tests. Only
programs that have TRANSFORMERS_SCAN in their environment use it: tests set that, benchmarks do not.
"""

import sys
from typing import Any

NAME = "transformers.utils.import_utils"


class Finder:
    """Shows `then` the module called `NAME` as soon as it is imported."""

    def __init__(self, then: Any) -> None:
        self.then = then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != NAME:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec: Any = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            self.then(module)

        spec.loader.exec_module = exec_module
        return spec


def use(module: Any) -> None:
    """Answers from what was kept, if it is of this version."""
    import pickle
    from pathlib import Path

    version, found = pickle.loads(Path(__file__).with_suffix(".pickle").read_bytes())
    if version == sys.modules["transformers"].__version__:  # type: ignore[attr-defined]
        real = module.define_import_structure
        module.define_import_structure = lambda path, prefix=None: (
            found.get((str(path), prefix)) or real(path, prefix)
        )


def keep() -> None:
    """Keeps what transformers finds for mlx-lm, and tells each start of Python of this file."""
    import os
    import pickle
    import shutil
    import sysconfig
    from pathlib import Path

    found: dict[tuple[str, str | None], Any] = {}

    def watch(module: Any) -> None:
        real = module.define_import_structure
        module.define_import_structure = lambda path, prefix=None: found.setdefault(
            (str(path), prefix), real(path, prefix)
        )

    sys.meta_path.insert(0, Finder(watch))
    # As mlx-lm does it: nobody misses PyTorch.
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    import transformers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401

    folder = Path(sysconfig.get_path("purelib"))
    (folder / "transformers_scan.pickle").write_bytes(pickle.dumps((transformers.__version__, found)))
    shutil.copy(__file__, folder)
    asks = 'import os; "TRANSFORMERS_SCAN" in os.environ and __import__("transformers_scan")\n'
    (folder / "transformers_scan.pth").write_text(asks)


if __name__ == "__main__":
    keep()
else:
    sys.meta_path.insert(0, Finder(use))
