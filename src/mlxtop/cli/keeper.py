"""Keeps a page about the watched program that died."""

from typing import TYPE_CHECKING

from mlxtop.cli.hard_exit import tell

if TYPE_CHECKING:
    from mlxtop.sessions.remote import RemoteSession


class Keeper:
    """Call it with each session that died. It keeps one page: about the first death, or the first for want of
    memory, for the others often follow from that one."""

    def __init__(self) -> None:
        self._rank = 0
        self._told: str | None = None

    def __call__(self, session: "RemoteSession") -> None:
        from mlxtop.report import kept_pages
        from mlxtop.report.post_mortem import page

        death = session.death
        if death is None:
            return
        rank = 2 if death.cause.about_memory else 1 if session.state.run_peak > 0 else 0
        if rank <= self._rank:
            return
        self._rank = rank
        # How it ended is told anyway.
        why = f"{session.title} died: {death.text}. " if death.text != death.how else ""
        try:
            kept_pages.keep(page(session, death), death.time, session.pid)
        except Exception as error:
            # Whatever it is, the others are watched on.
            self._told = f"{why}The page about its end could not be kept: {error}."
        else:
            self._told = f"{why}mlxtop report --last shows its last two minutes."

    def tell(self) -> None:
        """Prints what died of what, and where its page is. Prints nothing if nothing died."""
        if self._told is not None:
            tell(self._told)
