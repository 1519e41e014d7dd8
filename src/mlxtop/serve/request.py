"""The head of an HTTP request."""

import re
from collections.abc import Mapping
from typing import NamedTuple

HEAD_MOST = 8_192
"""Bytes of the longest head that is read."""
_LINE = re.compile(r"([A-Z]{1,16}) ([!-~]{1,1024}) HTTP/1\.[01]")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
ONCE = ("host", "authorization")
"""Fields that count, of which a second one is a trick."""


class Request(NamedTuple):
    method: str
    path: str
    """Without what follows `?`."""
    fields: Mapping[str, str]
    """By their names in small letters; of several, all with commas between them."""


def parse(head: bytes) -> Request:
    """A request's head, its empty line included (RFC 9112, 2 to 5). Raises `ValueError` for anything else."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise ValueError("no request line")
    fields: dict[str, str] = {}
    for text in lines:
        name, colon, value = text.partition(":")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise ValueError("a field that is none")
        name, value = name.lower(), value.strip(" \t")
        if name in fields and name in ONCE:
            raise ValueError("a field that is there twice")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Request(line[1], line[2].partition("?")[0], fields)
