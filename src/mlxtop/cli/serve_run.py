"""How `mlxtop serve` runs: until a signal ends it, or nothing can be watched any more."""

import asyncio
import resource
from contextlib import suppress
from typing import NamedTuple

from mlxtop.cli.hard_exit import hard_exit, tell
from mlxtop.cli.signals import ENDING, heeded
from mlxtop.core.budget import BudgetSpec
from mlxtop.core.files import OutputError
from mlxtop.ipc import sockets
from mlxtop.serve.address import Address
from mlxtop.serve.exposition import Exposition
from mlxtop.serve.server import Guard, Server
from mlxtop.serve.textfile import EVERY, Textfile
from mlxtop.serve.watch import Watch

LOOK_EVERY = 1.0
"""Seconds between two looks whether all is well."""
FIRST = 2.0
"""Seconds until the file is written first."""
FILES = 65_536
"""Descriptors that a thousand programs and their scrapers never use up."""


class Sinks(NamedTuple):
    """Where the metrics go."""

    address: Address | None
    guard: Guard
    told: str
    """Who may read, in a few words."""
    file: Textfile | None


def run(sinks: Sinks, every: float, budget: BudgetSpec | None) -> None:
    """Serves, and ends the process."""
    _raise_descriptors()
    sockets.remove_stale()
    watch = Watch(every, budget)
    exposition = Exposition(watch.sessions)
    code = asyncio.run(_serve(sinks, watch, exposition))
    watch.stop()
    hard_exit(code)


async def _serve(sinks: Sinks, watch: Watch, exposition: Exposition) -> int:
    """Returns the exit code."""
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in heeded(ENDING):
        loop.add_signal_handler(number, over.set)
    # What a client does wrong is no news.
    loop.set_exception_handler(lambda *_: None)
    server = None
    if sinks.address is not None:
        server = Server(sinks.address, sinks.guard, exposition.page)
        await server.open()
        scheme = "http" if sinks.guard.tls is None else "https"
        tell(f"serving at {scheme}://{server.address}/metrics, {sinks.told}")
    watch.start()
    writer = asyncio.create_task(_write(sinks.file, exposition)) if sinks.file is not None else None
    try:
        return await _look(over, watch, server)
    finally:
        if server is not None:
            await server.close()
        if writer is not None:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


async def _look(over: asyncio.Event, watch: Watch, server: Server | None) -> int:
    told: str | None = None
    while not over.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_EVERY)
        if watch.failure is not None:
            tell(watch.failure)
            return 1
        if server is not None and server.problem is not None and server.problem != told:
            told = server.problem
            tell(told)
    return 0


async def _write(file: Textfile, exposition: Exposition) -> None:
    told = False
    try:
        # By then the programs that run have been met.
        await asyncio.sleep(FIRST)
        while True:
            try:
                await asyncio.to_thread(lambda: file.write(exposition.text()))
                if not told:
                    tell(f"writing {file.path} every {EVERY:g} seconds")
                told = True
            except OutputError as error:
                # The disk may have room again in a moment.
                tell(str(error))
            await asyncio.sleep(EVERY)
    finally:
        with suppress(OutputError):
            file.remove()


def _raise_descriptors() -> None:
    """Each program and each scraper takes one; the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
