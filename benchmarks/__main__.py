"""`python -m benchmarks [NAME ...]`: all benchmarks, or those named, in one table."""

import argparse
from importlib import import_module

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
    "attach",
    "recording",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} [default: all]")
    names = parser.parse_args().names or NAMES
    if strangers := set(names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(strangers))}; there are {', '.join(NAMES)}.")
    table = Table()
    for name in names:
        for figure in import_module(f"benchmarks.{name}").measure():
            table.add(figure)
    table.end()


if __name__ == "__main__":
    main()
