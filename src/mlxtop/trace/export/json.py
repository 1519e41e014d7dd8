"""A trace as JSON, with everything in it: see docs/reference/trace-file.md."""

import json
from typing import Any, BinaryIO

from mlxtop.trace import layout
from mlxtop.trace.composition import Composition
from mlxtop.trace.export.chosen import Chosen
from mlxtop.trace.moments import Moments
from mlxtop.trace.sites import Site
from mlxtop.trace.summary import summary

KINDS = {
    layout.ALLOCATED: "allocated",
    layout.FREED: "freed",
    layout.STEP_BEGINS: "step begins",
    layout.STEP_ENDS: "step ends",
    layout.PHASE: "phase",
}
EVENTS_AT_ONCE = 2**16


def write(moments: Moments, chosen: Chosen, out: BinaryIO) -> None:
    """Writes one object. Its events come last, a line each: kind, seconds, address, size, site, thread."""
    header = moments.header
    peaks = [_composition(moments, one) for one in moments.kept]
    head: dict[str, Any] = {
        "version": layout.VERSION,
        **summary(moments, chosen.at).to_json(),
        "sites": [_site(moments, site) for site in moments.sites],
        "peaks": peaks,
        "live": [
            [address, size, header.since_origin(time) if time else None, site, thread]
            for address, size, time, site, thread in chosen.live(moments.live).tolist()
        ],
    }
    text = json.dumps(head)
    out.write(text[:-1].encode() + b', "events": [')
    events, before = chosen.events(moments.ring.events), b"\n"
    for first in range(0, len(events), EVENTS_AT_ONCE):
        rows = [
            f'["{KINDS[kind]}", {header.since_origin(time)}, {address}, {size}, '
            f"{_where(moments, kind, site)}, {thread}]"
            for time, address, size, site, thread, kind, _ in events[first : first + EVENTS_AT_ONCE].tolist()
        ]
        out.write(before + ",\n".join(rows).encode())
        before = b",\n"
    out.write(b"\n]}\n")


def _where(moments: Moments, kind: int, site: int) -> int | str:
    """A site's number, or the name of a phase, as JSON. A step has no site: what it allocates has."""
    if kind <= layout.FREED:
        return site
    return json.dumps(moments.text(site)) if kind == layout.PHASE else "null"


def _site(moments: Moments, site: Site) -> dict[str, Any]:
    sizes, counts = moments.allocated
    return {
        "operation": site.name,
        "line": site.line,
        "phase": site.phase or None,
        "stack": [[frame.path, frame.line, frame.function] for frame in site.stack],
        "live_bytes": int(moments.now.bytes[site.index]),
        "live_buffers": int(moments.now.buffers[site.index]),
        "allocated_bytes": int(sizes[site.index]),
        "allocations": int(counts[site.index]),
    }


def _composition(moments: Moments, one: Composition) -> dict[str, Any]:
    shares = zip(one.bytes.tolist(), one.buffers.tolist(), strict=True)
    return {
        "seconds": moments.header.since_origin(one.time_ns),
        "bytes": one.total,
        "sites": {str(site): list(share) for site, share in enumerate(shares) if any(share)},
    }
