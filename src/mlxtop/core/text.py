"""Foreign text made safe to show: what a model prints is text, never a terminal command."""

# Control characters become their pictures (U+2400…), so they are seen and do nothing.
_PICTURES: dict[int, str] = {code: chr(0x2400 + code) for code in range(0x20)}
_PICTURES[0x7F] = "␡"
_PICTURES.update(dict.fromkeys(range(0x80, 0xA0), "�"))
# Marks that reorder or hide what follows them on a terminal's line.
_PICTURES.update(dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029), "�"))
_PICTURES.update(dict.fromkeys((0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF), ""))
_LINE = {**_PICTURES, 0x09: "    "}
_BLOCK = {**_LINE, 0x0A: "\n"}


# Control sequences (CSI), strings (OSC, DCS, …) and two-letter escapes: ECMA-48, 5.3 to 5.6.
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"


FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def plain(text: str) -> str:
    """`text` without the escapes that colour it or move a cursor."""
    if "\x1b" not in text:
        return text
    # Imported here: the agent, which imports this file, has no use for it.
    import re

    return re.sub(_ESCAPES, "", text)


def one_line(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey."""
    return _settle(text.translate(_LINE))


def block(text: str) -> str:
    """`text` with its line ends kept (CRLF and lone CR count as one) and nothing a terminal would obey."""
    return _settle(text.replace("\r\n", "\n").replace("\r", "\n").translate(_BLOCK))


def cell(text: str) -> str:
    """`text` as a cell of a CSV file: on one line, and no formula for the spreadsheet that opens it.

    OWASP, "CSV Injection": an apostrophe before `=`, `+`, `-`, `@`, which tab and CR may not hide.
    """
    shown = one_line(text)
    return f"'{shown}" if shown.lstrip()[:1] in FORMULAS else shown


def shortened(value: object, most: int = 40) -> str:
    """What somebody typed, in as many letters as fit into a sentence."""
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _settle(text: str) -> str:
    """Drops lone surrogates and unassigned code points, whose width terminals disagree about."""
    if text.isascii() or text.isprintable():
        return text
    import unicodedata

    return "".join("�" if unicodedata.category(c) in ("Cs", "Cn", "Co") else c for c in text)
