"""The words of a scheme's text, each with its place."""

import re
from dataclasses import dataclass

from madpipe.base.errors import InputError

ONE_WAY, BOTH_WAYS, PLUS, END_OF_CHAIN, NUMBER, NAME = "->", "<->", "+", ",", "number", "name"
_KINDS = (
    (BOTH_WAYS, r"<->|<=>|<-->|↔|⇌|⇄"),
    (ONE_WAY, r"-->|->|=>|→"),
    (PLUS, r"\+"),
    (END_OF_CHAIN, r"[,;\n]"),
    (NUMBER, r"\d+"),
    (NAME, r"[^\W\d]\w*[*']*"),
)
_TOKEN = re.compile("|".join(f"({pattern})" for _, pattern in _KINDS))


@dataclass(frozen=True)
class Token:
    """A word of the text."""

    kind: str
    text: str
    place: int  # of its first character, from 0


def tokens_of(text: str) -> list[Token]:
    """Cut a scheme into words.

    Raises
    ------
    InputError
        A character that belongs to no word of a scheme.
    """
    found: list[Token] = []
    place = 0
    while place < len(text):
        if text[place].isspace() and text[place] != "\n":
            place += 1
            continue
        match = _TOKEN.match(text, place)
        if match is None:
            raise fault(text, place, "an arrow (-> or <->), '+', ',' or a species", "write for example A->B->C")
        found.append(Token(_KINDS[(match.lastindex or 1) - 1][0], match.group(), place))
        place = match.end()
    return found


def fault(text: str, place: int, needed: str, advice: str) -> InputError:
    """Make the error of a scheme: what is needed at a place, what stands there, what to do."""
    shown = " ".join(text.split("\n"))
    came = repr(shown[place : place + 8].strip() or shown[place : place + 1]) if place < len(shown) else "its end"
    marked = f"{shown[:place]}>>>{shown[place:]}"
    return InputError(f"scheme {marked!r}: needs {needed} at character {place + 1}; {came} came; {advice}.")
