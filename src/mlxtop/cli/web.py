"""The options `--web`, `--web-port` and `--web-control`."""

from typing import TYPE_CHECKING, Any

from mlxtop.cli.hard_exit import tell
from mlxtop.core.errors import UsageError

if TYPE_CHECKING:
    from mlxtop.web.host import Host


def parse_web(values: dict[str, Any], headless: bool = False) -> "Host | None":
    """Takes the web options out of click's values, and listens. `None`: the screen is the terminal's.

    Raises `UsageError`.
    """
    web, control, port = (values.pop(name) for name in ("web", "web_control", "web_port"))
    if not web:
        if control or port is not None:
            raise UsageError("--web-control and --web-port need --web.")
        return None
    if headless:
        raise UsageError("--web shows a screen: it goes with neither --headless nor --json.")
    try:
        from mlxtop.web.host import Host
    except ImportError as error:
        raise UsageError("--web needs textual-serve: pip install 'mlxtop[web]'.") from error
    return Host(control, port, tell)
