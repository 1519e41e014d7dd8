"""Exports a recording as Parquet, in groups of rows as DuckDB, pandas and Polars like to read them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mlxtop.core.errors import MlxtopError
from mlxtop.core.sample import UNKNOWN
from mlxtop.recording import export
from mlxtop.recording.columns import STORED, Column, Table, named, stored, timestamps
from mlxtop.recording.export import HEADER, SIZES
from mlxtop.recording.reader import Recording, SessionInfo

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 100_000
"""Rows of a group, at least: a reader takes a group at a time, and many small ones are slow."""
COLUMNS = (*HEADER[:3], "timestamp", *HEADER[3:])


def write_parquet(recording: Recording, out: BinaryIO) -> None:
    """Writes the columns of `HEADER` and a `timestamp` in UTC, null where unknown.

    The file's metadata has the sessions' facts, and that of each column its unit. Raises `MlxtopError` if
    pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MlxtopError("Parquet needs pyarrow: pip install 'mlxtop[parquet]'.") from error

    sessions = export.each(recording)
    lines = export.as_json([export.session_line(about, label) for about, label in sessions])
    fields = [pa.field(name, _type(name), metadata=_unit(name)) for name in COLUMNS]
    schema = pa.schema(fields, metadata={"mlxtop.sessions": lines})
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for about, label in sessions:
            names = recording.phases(about.id)
            for group in _groups(stored(recording, about.id)):
                writer.write_table(_table(schema, about, label, names, group), row_group_size=2 * GROUP_ROWS)


def _groups(blocks: Iterator[Table]) -> Iterator[Table]:
    """Blocks joined to groups of rows."""
    found: list[Table] = []
    for block in blocks:
        found.append(block)
        if sum(len(one["time"]) for one in found) >= GROUP_ROWS:
            yield _joined(found)
            found = []
    if found:
        yield _joined(found)


def _joined(blocks: list[Table]) -> Table:
    return {name: np.concatenate([block[name] for block in blocks]) for name in STORED}


def _table(schema: "pa.Schema", about: SessionInfo, label: str, names: list[str], group: Table) -> "pa.Table":
    import pyarrow as pa

    seconds = group["time"] / 1e6
    columns: dict[str, Any] = {
        "session": pa.DictionaryArray.from_arrays(np.zeros(len(seconds), np.int32), [label]),
        "time_seconds": seconds,
        "unix_seconds": about.started + seconds,
        "timestamp": timestamps(about, group["time"]).astype("datetime64[us]"),
        "phase": named(group["phase"], names, None),
        **{f"{name}_bytes": _known(group[name]) for name in SIZES},
        "tokens": group["tokens"],
        "steps": group["steps"],
        "decode_seconds": group["decode"] / 1e6,
        "buffers": _known(group["buffers"]),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.table(arrays, schema=schema)


def _known(column: Column) -> "pa.Array":
    import pyarrow as pa

    return pa.array(column, mask=column == UNKNOWN)


def _type(name: str) -> "pa.DataType":
    import pyarrow as pa

    if name in ("session", "phase"):
        return pa.dictionary(pa.int32(), pa.string())
    if name == "timestamp":
        return pa.timestamp("us", tz="UTC")
    return pa.float64() if name.endswith("seconds") else pa.int64()


def _unit(name: str) -> dict[str, str] | None:
    unit = "byte" if name.endswith("_bytes") else "second" if name.endswith("_seconds") else None
    return None if unit is None else {"unit": unit}
