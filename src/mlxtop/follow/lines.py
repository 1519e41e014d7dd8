"""Bytes to whole lines of text, whatever the pieces in which they come."""

import codecs

LONGEST = 2**16
"""Characters after which a line without an end is taken as it is."""
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def encoding_of(head: bytes) -> tuple[str, int]:
    """The encoding of a stream that begins with `head`, and the bytes of its byte order mark.

    Without a mark it is UTF-8, unless every second byte is zero, as in what a Windows console writes.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    even, odd = head[0:64:2], head[1:64:2]
    if len(odd) >= 2 and not any(odd) and all(even):
        return "utf-16-le", 0
    if len(odd) >= 2 and not any(even) and all(odd):
        return "utf-16-be", 0
    return "utf-8", 0


class Lines:
    """Takes bytes; gives whole lines. `encoding` of a stream that is not read from its beginning."""

    def __init__(self, encoding: str | None = None) -> None:
        self._head: bytes | None = b"" if encoding is None else None
        self._decode = codecs.getincrementaldecoder(encoding or "utf-8")("replace").decode
        self._tail: list[str] = []
        self._length = 0
        """Characters in `_tail`."""

    def feed(self, data: bytes) -> str:
        """The lines that are whole now, each with its end. One that redraws itself comes in pieces."""
        if self._head is not None:
            self._head += data
            if len(self._head) < 4 and not self._head.endswith(b"\n"):
                return ""
            data, self._head = self._begin(self._head), None
        return self._whole(self._decode(data))

    def finish(self) -> str:
        """What is left when nothing more comes."""
        head, self._head = self._head, None
        text = self._decode(self._begin(head)) if head else ""
        text = "".join([*self._tail, text, self._decode(b"", True)])
        self._tail, self._length = [], 0
        return text

    def _begin(self, head: bytes) -> bytes:
        encoding, mark = encoding_of(head)
        self._decode = codecs.getincrementaldecoder(encoding)("replace").decode
        return head[mark:]

    def _whole(self, text: str) -> str:
        end = text.rfind("\n") + 1
        # What stands before a lone CR is drawn over. One at the end may be half of a CRLF.
        end = max(end, text.rfind("\r", end, len(text) - 1) + 1)
        if not end and self._length + len(text) > LONGEST:
            end = len(text)
        if not end:
            self._tail.append(text)
            self._length += len(text)
            return ""
        found = "".join([*self._tail, text[:end]])
        rest = text[end:]
        self._tail, self._length = ([rest], len(rest)) if rest else ([], 0)
        return found
