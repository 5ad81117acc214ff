"""The one exception that means: the input is at fault, not the program."""

import unicodedata

_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, separators of lines and paragraphs


class InputError(ValueError):
    """What is required, what came, what to do: one line for the person who supplied the input."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def one_line(error: BaseException) -> str:
    """Shorten a library's message to its first line."""
    return " ".join(str(error).split())[:200]


def is_control(character: str) -> bool:
    """Tell whether a character is none that a line of text can show."""
    return unicodedata.category(character) in _CONTROLS


def printable(text: object) -> str:
    """Give a text, such as a path, on one line: control characters are written as escapes."""
    return "".join(one.encode("unicode_escape").decode() if is_control(one) else one for one in str(text))
