"""The JSON that an agent writes and reads, without `json`: that compiles patterns as it is imported.

That would be a fifth of what starting the agent costs. Imported when a viewer comes, by the agent's thread,
it could leave a fork's child with a module whose import nobody ends.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CONSTANTS = {None: "null", True: "true", False: "false"}
_WORDS: dict[str, object] = {word: value for value, word in _CONSTANTS.items()}
_WORDS |= {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf")}
_NO_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""Which JSON does not have, and `json` writes and reads all the same."""
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SPACE, _MARKS, _NUMBER, _HEX = " \t\r\n", "{}:,", "0123456789+-.eE", "0123456789abcdefABCDEF"


def write(value: object) -> str:
    """What reads as `json.dumps` would have it, without spaces. What is no plain data becomes its text."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None or value is True or value is False:
        return _CONSTANTS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quoted(str(name))}:{write(one)}" for name, one in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(write, value)) + "]"
    if isinstance(value, float):
        number = float.__repr__(value)
        return _NO_NUMBERS.get(number, number)
    return _quoted(str(value))


def read(text: str) -> dict[str, object]:
    """An object of texts, numbers, `true`, `false` and `null`: what a viewer says. Raises `ValueError`."""
    tokens = list(_tokens(text))
    fields = len(tokens) // 4
    if "".join([kind for kind, _ in tokens]) != "{" + ",".join(["=:="] * fields) + "}":
        raise ValueError("no object of single values")
    values = [value for _, value in tokens]
    return {_name(name): value for name, value in zip(values[1:-1:4], values[3::4], strict=True)}


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if " " <= letter <= "~":
        return letter
    code = ord(letter)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _tokens(text: str) -> Iterator[tuple[str, object]]:
    """What kind each is, `=` for a value, and the value."""
    at = 0
    while at < len(text):
        letter = text[at]
        if letter in _SPACE:
            at += 1
        elif letter in _MARKS:
            at += 1
            yield letter, None
        elif letter == '"':
            value, at = _string(text, at + 1)
            yield "=", value
        else:
            word = ""
            while text[at : at + 1].isalnum() or text[at : at + 1] in tuple("+-."):
                word += text[at]
                at += 1
            yield "=", _word(word)


def _string(text: str, at: int) -> tuple[str, int]:
    """The string that begins `at` the letter after its quote, and where the rest begins."""
    letters = []
    while (letter := text[at : at + 1]) != '"':
        if letter < " ":
            raise ValueError("no end of a text")
        if letter == "\\":
            letter, at = _escape(text, at + 1)
        letters.append(letter)
        at += 1
    # Two escapes of 16 bits may be one letter.
    return "".join(letters).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"), at + 1


def _escape(text: str, at: int) -> tuple[str, int]:
    """What follows a backslash, and where its last letter is."""
    letter = text[at : at + 1]
    if letter in _ESCAPES:
        return _ESCAPES[letter], at
    digits = text[at + 1 : at + 5]
    if letter != "u" or len(digits) < 4 or not set(digits) <= set(_HEX):
        raise ValueError("no such escape")
    return chr(int(digits, 16)), at + 4


def _word(word: str) -> object:
    if word in _WORDS:
        return _WORDS[word]
    if not word or not set(word) <= set(_NUMBER):
        raise ValueError("no value")
    return float(word) if set(word) & set(".eE") else int(word)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a name was expected")
    return value
