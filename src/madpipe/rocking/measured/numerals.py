"""Numbers as people of all countries write them: which sign is the decimal one, and which parts thousands."""

import re
from collections.abc import Sequence

import numpy as np

from madpipe.base.errors import InputError

_SPACES = re.compile("(?<=[0-9])[\u00a0\u2009\u202f' \u2019](?=[0-9]{3}(?![0-9]))")  # thousands: blank, apostrophe
_GROUP = "['\u00a0\u2009\u202f \u2019][0-9]{3}(?![0-9])"
_NUMBER = re.compile(rf"[+-]?([0-9]+([.,][0-9]+|{_GROUP})*[.,]?|[.,][0-9]+)([eEdD][+-]?[0-9]+)?")
_NOTHING = re.compile(r"[+-]?(nan|inf(inity)?|n/?a|-+|\*+)", re.IGNORECASE)
_SEVERAL = 3  # whole numbers and grouped ones, each, that tell a column of grouped numbers


def is_number(word: str) -> bool:
    """Whether a word is a number, or stands where one is missing."""
    return bool(_NUMBER.fullmatch(word) or _NOTHING.fullmatch(word))


def decimal_sign(angles: Sequence[str]) -> str:
    """Decimal sign of a table, by its angles, which have decimals: the last of comma and point in them."""
    signs = [max(word.rfind(","), word.rfind(".")) for word in angles]
    found = {word[place] for word, place in zip(angles, signs, strict=True) if place >= 0}
    return "," if found == {","} else "."


def numbers(words: Sequence[str], decimal: str, name: str) -> np.ndarray:
    """Read a column of numbers.

    Parameters
    ----------
    words:
        What stands in the column.
    decimal:
        Decimal sign of the table, see :func:`decimal_sign`; the other of comma and point parts thousands, and so may a
        blank or an apostrophe within a number.
    name:
        Of the column, for messages.

    Raises
    ------
    InputError
        A comma or point that is neither a decimal sign nor before three digits; points that part thousands in a table
        whose decimal sign is a point.
    """
    group = "." if decimal == "," else ","
    plain = [_SPACES.sub("", word.strip()) for word in words]
    grouped = re.compile(rf"[+-]?[0-9]{{1,3}}(\{group}[0-9]{{3}})+(\{decimal}[0-9]*)?")
    wrong = [word for word in plain if group in word and not grouped.fullmatch(word)]
    if wrong:
        raise InputError(
            f"numbers of one table need one decimal sign; in {name} {wrong[0]!r} has {group!r} where others have "
            f"{decimal!r}; write all with a decimal point, and none with signs that part thousands."
        )
    if decimal == "." and _parts_thousands(plain):
        raise InputError(
            f"{name} needs numbers without signs that part thousands; {_grouped(plain)[0]!r} beside whole numbers "
            "below 1000 is taken for one with such a sign; remove it."
        )
    try:
        return np.array([_value(word.replace(group, "").replace(decimal, ".")) for word in plain])
    except ValueError as error:
        raise InputError(f"{name} needs numbers; {error}; mend it.") from error


def _grouped(words: Sequence[str]) -> list[str]:
    """Words with a point before exactly three digits, or several such."""
    return [word for word in words if re.fullmatch(r"[1-9][0-9]{0,2}(\.[0-9]{3})+", word)]


def _parts_thousands(words: Sequence[str]) -> bool:
    """Whether points part thousands: all numbers are whole ones of three digits at most, or have groups of three."""
    whole = [word for word in words if re.fullmatch(r"[0-9]{1,3}", word)]
    grouped = _grouped(words)
    return len(whole) >= _SEVERAL and len(grouped) >= _SEVERAL and len(whole) + len(grouped) == len(words)


def _value(word: str) -> float:
    """Number of a word; NaN where one is missing."""
    return float(re.sub("[dD]", "e", word)) if _NUMBER.fullmatch(word) else float("nan")
