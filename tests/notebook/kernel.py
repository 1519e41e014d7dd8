"""A real kernel, and what its cells show."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Self

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

PATIENCE = 120.0


@dataclass
class Shown:
    """What a cell has shown, as a front end keeps it."""

    text: str = ""
    """All that is text, one after the other."""
    tables: list[str] = field(default_factory=list)
    """What mlxtop measured, as text."""
    html: list[str] = field(default_factory=list)
    """The same as HTML."""
    charts: list[str] = field(default_factory=list)
    """Every picture that was drawn, as HTML."""
    displays: set[str] = field(default_factory=set)
    error: str = ""
    strangers: int = 0
    """Pictures that were not sent in the cell's name."""
    status: str = ""


class Kernel:
    def __enter__(self) -> Self:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel()
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(self, code: str, interrupt_after: int | None = None) -> Shown:
        """Runs a cell. With `interrupt_after` it is interrupted once so many pictures were drawn."""
        shown, request = Shown(), self._client.execute(code)
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            mine, content = message["parent_header"].get("msg_id") == request, message["content"]
            match message["msg_type"]:
                case "status" if mine and content["execution_state"] == "idle":
                    break
                case "display_data" | "update_display_data":
                    self._take(shown, content, mine)
                    if len(shown.charts) == interrupt_after:
                        self._manager.interrupt_kernel()
                        interrupt_after = None
                case "stream" if mine:
                    shown.text += content["text"]
                case "execute_result" if mine:
                    shown.text += content["data"]["text/plain"]
                case "error" if mine:
                    shown.error = content["ename"]
                    shown.text += "\n".join(content["traceback"])
        shown.status = self._reply(request)["status"]
        return shown

    def _reply(self, request: str) -> dict[str, Any]:
        while True:
            message = self._client.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = message["content"]
                return content

    def _take(self, shown: Shown, content: dict[str, Any], mine: bool) -> None:
        html, text = content["data"]["text/html"], content["data"]["text/plain"]
        if "data:image/svg+xml" in html:
            shown.charts.append(html)
            shown.displays.add(content["transient"]["display_id"])
            shown.strangers += not mine
        else:
            shown.tables.append(text)
            shown.html.append(html)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def words(html: str) -> tuple[str, set[str]]:
    """What a person reads in a page, and its tags."""
    parser = _Words()
    parser.feed(html)
    return " ".join(parser.words), parser.tags
