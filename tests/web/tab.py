"""One tab, spoken for by aiohttp: it types, and keeps the picture that a person would see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pyte
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

PATIENCE = 40.0


class Tab:
    """The picture at the other end of `socket`."""

    def __init__(self, socket: ClientWebSocketResponse, columns: int, rows: int) -> None:
        self.socket = socket
        self.said: list[object] = []
        """What came beside the picture."""
        self._picture = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._picture)

    @property
    def text(self) -> str:
        return "\n".join(self._picture.display)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.socket.send_json(["stdin", key])

    async def until(self, text: str, there: bool = True) -> None:
        """Reads until `text` is on the screen, or is not."""
        while (text in self.text) is not there:
            assert await self._read(), f"the tab ended without {text!r}:\n{self.text}"

    async def heard(self, kind: str) -> object:
        """What comes with the next message of that kind."""
        while not self.said or (last := self.said.pop(0))[0] != kind:  # type: ignore[index]
            assert await self._read(), f"the tab ended without {kind}"
        return last[1]  # type: ignore[index]

    async def ended(self) -> None:
        """Reads until the server closes the tab."""
        while await self._read():
            pass

    async def _read(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.receive()
        if message.type == WSMsgType.BINARY:
            self._stream.feed(message.data)
        elif message.type == WSMsgType.TEXT:
            self.said.append(message.json())
        else:
            return False
        return True


@asynccontextmanager
async def opened(
    client: ClientSession, address: str, columns: int = 120, rows: int = 40
) -> AsyncIterator[Tab]:
    """A tab at the address that mlxtop printed. It is closed afterwards."""
    size = {"width": str(columns), "height": str(rows)}
    async with client.ws_connect(f"{address}ws", params=size) as socket:
        yield Tab(socket, columns, rows)
