"""The server with its guards and its tabs, over real connections. A recording is what it shows."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from mlxtop.core.commands import AddMark, Command
from mlxtop.core.errors import UsageError
from mlxtop.sessions.replay import ReplayFleet
from mlxtop.web import server, viewer
from mlxtop.web.app import REFUSED, View
from mlxtop.web.read_only import read_only
from mlxtop.web.server import Server, listener
from tests.web.tab import opened

RECORDING = Path(__file__).parents[1] / "data/recording-0.1.0.mlxtop"
FIRST = "since"
"""A word that every dashboard of a recording has."""


class Served:
    """A server of this process, and what it shows: the same for every tab."""

    def __init__(self, control: bool) -> None:
        self.fleet = ReplayFleet(RECORDING)
        self.server = Server(control, 0)
        self.over = asyncio.Event()
        self.address = self.server.address

    @property
    def viewers(self) -> int:
        return len(self.server._viewers)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(40):
            while not what():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(control: bool = False) -> AsyncIterator[tuple[Served, ClientSession]]:
    served = Served(control)
    task = asyncio.create_task(
        served.server.serve(lambda: View(fleet=served.fleet), "a recording", served.over)
    )
    async with ClientSession() as client:
        yield served, client
    served.over.set()
    await task
    assert served.viewers == 0


async def test_nothing_without_the_token() -> None:
    async with serving() as (served, client):
        token = served.address.rstrip("/").rpartition("/")[2]
        base = served.address.removesuffix(f"{token}/")
        wrong = "x" * len(token)
        for given in (wrong, token[:-1], "", "%ff", f"{token}x"):
            for path in (f"{given}/", f"{given}/ws", f"{given}/static/js/textual.js", f"download/{given}/k"):
                async with client.get(base + path) as answer:
                    assert answer.status == 403, path
        async with client.get(base) as answer:
            assert answer.status == 403
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect(f"{base}{wrong}/ws")
        assert refused.value.status == 403


async def test_other_sites_are_refused() -> None:
    async with serving() as (served, client):
        port = served.address.split(":")[2].partition("/")[0]
        for headers in (
            {"Host": "evil.example"},
            {"Host": f"evil.example:{port}"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "["},
            {"Origin": "http://evil.example"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": "null"},
        ):
            async with client.get(served.address, headers=headers) as answer:
                assert answer.status == 403, headers
            with pytest.raises(WSServerHandshakeError) as refused:
                await client.ws_connect(f"{served.address}ws", headers=headers)
            assert refused.value.status == 403, headers
        # Through a forwarded port it has another name, and is the same.
        for host in ("localhost:9000", "[::1]:9000", f"127.0.0.1:{port}"):
            headers = {"Host": host, "Origin": f"http://{host}"}
            async with client.get(served.address, headers=headers) as answer:
                assert f"ws://{host}/" in await answer.text()


async def test_the_page_is_whole_without_a_network() -> None:
    async with serving() as (served, client):
        async with client.get(served.address) as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert re.findall(r"https?://", page) == []
        assert "default-src 'none'" in policy
        assert "http" not in policy
        for path in re.findall(r'"(static/[^"]+)"', page):
            async with client.get(served.address + path) as answer:
                assert answer.status == 200, path
        for path in ("static/", "static/..%2Fserver.py", "static/%2Fetc%2Fpasswd", "static/js"):
            async with client.get(served.address + path) as answer:
                assert answer.status in (403, 404), path


async def test_tabs_see_the_same_and_are_their_own() -> None:
    async with (
        serving() as (served, client),
        opened(client, served.address) as one,
        opened(client, served.address, columns=80, rows=24) as other,
    ):
        await one.until(FIRST)
        await other.until(FIRST)
        assert served.viewers == 2
        await one.press("?")
        await one.until("How to read the screen")
        await one.press("\x1b")
        await one.until("How to read the screen", there=False)
        await other.press("g")
        await other.until("active")
        assert "How to read the screen" not in other.text
        await one.socket.send_json(["resize", {"width": 60, "height": 20}])
        await one.socket.send_json(["ping", 7])
        assert await one.heard("pong") == 7
        await one.press("q")
        await one.ended()
        await served.until(lambda: served.viewers == 1)


async def test_a_read_only_tab_changes_nothing() -> None:
    async with serving() as (served, client), opened(client, served.address) as tab:
        await tab.until(FIRST)
        marks = len(served.fleet.members()[0].state.marks)
        for key in "mrcldnswGAMb[]i":
            await tab.press(key)
        await tab.until("read-only")
        # The last of them has been taken by then.
        await tab.press("?")
        await tab.until("How to read the screen")
        assert "Set a mark" not in tab.text
        assert len(served.fleet.members()[0].state.marks) == marks


async def test_control_is_given_when_asked_for() -> None:
    async with serving(control=True) as (served, client), opened(client, served.address) as tab:
        await tab.until(FIRST)
        marks = len(served.fleet.members()[0].state.marks)
        await tab.press("m")
        await served.until(lambda: len(served.fleet.members()[0].state.marks) == marks + 1)


def test_a_read_only_session_carries_out_no_command() -> None:
    refused: list[None] = []
    member = ReplayFleet(RECORDING).members()[0]
    session = read_only(member, lambda: refused.append(None))
    assert session.title == member.title
    assert not set(get_args(Command)) & session.capabilities
    before = len(member.state.marks)
    assert session.submit(AddMark("x", "keyboard")) != session.submit(AddMark("y", "keyboard"))
    assert (len(member.state.marks), len(refused)) == (before, 2)
    assert "--web-control" in REFUSED


async def test_tabs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_VIEWERS", 2)
    async with serving() as (served, client):
        async with opened(client, served.address), opened(client, served.address):
            await served.until(lambda: served.viewers == 2)
            with pytest.raises(WSServerHandshakeError) as refused:
                await client.ws_connect(f"{served.address}ws")
            assert refused.value.status == 503
            async with client.get(served.address) as answer:
                assert answer.status == 503
                assert "close one" in await answer.text()
        await served.until(lambda: served.viewers == 0)
        async with opened(client, served.address) as tab:
            await tab.until(FIRST)


async def test_a_closed_tab_leaves_nothing_behind() -> None:
    async with serving() as (served, client):
        member = served.fleet.members()[0]
        before = len(asyncio.all_tasks())
        async with opened(client, served.address) as tab:
            await tab.until(FIRST)
            assert member._listeners
        await served.until(lambda: served.viewers == 0 and len(asyncio.all_tasks()) <= before)
        assert not member._listeners


async def test_nonsense_harms_nobody_else() -> None:
    async with serving() as (served, client), opened(client, served.address) as tab:
        for nonsense in (
            "{", "[]", "[" * 9_000, "x" * 2**17,
            '["resize", {"width": 1000000000, "height": -1}]', '["stdin", "\\ud800\\u0000\\u001b["]',
        ):  # fmt: skip
            async with opened(client, served.address) as hostile:
                await hostile.socket.send_str(nonsense)
                await hostile._read()
        await tab.until(FIRST)
        await tab.press("?")
        await tab.until("How to read the screen")
        await served.until(lambda: served.viewers == 1)


async def test_a_browser_that_takes_nothing_loses_its_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "MOST_PENDING", 1_000)
    async with serving() as (served, client), opened(client, served.address) as tab:
        await tab.ended()
        await served.until(lambda: served.viewers == 0)


async def test_a_picture_is_saved_where_the_browser_is() -> None:
    async with serving() as (served, client), opened(client, served.address) as tab:
        await tab.until(FIRST)
        await tab.press("p")
        key = await tab.heard("deliver_file_start")
        url = f"{served.address.rpartition('/')[0].rpartition('/')[0]}/download/{key}"
        async with client.get(url) as answer:
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert (await answer.text()).startswith("<svg")
        async with client.get(url) as answer:
            assert answer.status == 404


def test_a_port_that_is_taken_is_told() -> None:
    with listener(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} .*--web-port"):
            listener(port)
