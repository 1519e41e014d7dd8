"""The `mlxtop` command as it is, but that it may be stopped and let go.

python -m benchmarks.subjects.viewer ARGUMENT ...
"""

from benchmarks.subjects import ignore_rests
from mlxtop.__main__ import main

if __name__ == "__main__":
    ignore_rests()
    main()
