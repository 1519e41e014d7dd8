"""`python -m benchmarks [NAME ...]`: all benchmarks, or those named, in one table."""

import argparse
import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.measure import Table

NAMES = (
    "startup",
    "keys",
    "sample",
    "screen",
    "throughput",
    "watch",
    "agent",
    "fleet",
    "follow",
    "attach",
    "recording",
    "trace",
    "trace_file",
    "trace_events",
    "trace_layers",
    "sweep",
    "gpu",
)


FIGURES = Path(__file__).with_name("FIGURES.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} [default: all]")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="[default: benchmarks/FIGURES.md, of all]"
    )
    options = parser.parse_args()
    if strangers := set(options.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(strangers))}; there are {', '.join(NAMES)}.")
    table, failed = Table(), []
    for name in options.names or NAMES:
        try:
            for figure in import_module(f"benchmarks.{name}").measure():
                table.add(figure)
        except Exception:
            # The others are worth their minutes all the same.
            traceback.print_exc()
            failed.append(name)
    table.end(options.markdown or (None if options.names else FIGURES))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
