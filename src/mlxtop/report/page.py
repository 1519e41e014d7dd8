"""The page: what its templates lay out, put together."""

import time

from mlxtop.recording.export import labels
from mlxtop.recording.reader import Recording
from mlxtop.report.chart_data import chart_data
from mlxtop.report.render import render
from mlxtop.report.sections import GAINS, ended, session_view, wall_clock
from mlxtop.report.session_summary import SessionSummary, summarize


def page(recording: Recording) -> str:
    """The whole page, HTML. Reads the recording once: some 3 µs a sample."""
    names = labels(recording.sessions)
    began = min(about.started for about in recording.sessions)
    count = len(recording.sessions)
    stories = [
        summarize(recording, about, names[about.id], about.started - began, count)
        for about in recording.sessions
    ]
    end = max(each.end for each in stories)
    return render(
        "report/templates/report.html",
        recording=recording,
        size=recording.path.stat().st_size,
        title=_title(recording, stories),
        began=wall_clock(began),
        now=wall_clock(time.time()),
        span=end,
        ended=ended(stories[0]),
        command=" ".join(map(str, stories[0].about.command)),
        # Seconds of the widest column; 0 where each sample is drawn.
        width=max(each.trace.width for each in stories),
        gains=GAINS,
        sessions=[session_view(each) for each in stories],
        data={
            "began": began,
            "end": end,
            "top": max(max(each.trace.hi["total"], default=0) for each in stories),
            "sessions": [chart_data(each) for each in stories],
        },
    )


def _title(recording: Recording, stories: list[SessionSummary]) -> str:
    title = stories[0].about.title
    return f"{title} and {len(stories) - 1} more" if len(stories) > 1 else title or recording.path.name
