"""Lines of text as numbers, however they are parted and whatever the decimal sign."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass

_POINT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eEdDqQ][+-]?[0-9]{1,3}|[+-][0-9]{3})?")
_COMMA = re.compile(r"[+-]?([0-9]+,?[0-9]*|,[0-9]+)([eEdDqQ][+-]?[0-9]{1,3}|[+-][0-9]{3})?")
_NOTHING = re.compile(r"[+-]?(1\.#\w+|nan(\(.*\))?|inf(inity)?|n/?a|null|none|-+|\*+|\?+)", re.IGNORECASE)
_TOUCHING = re.compile(r"(?<=[0-9.])(?=[+-][0-9]*\.[0-9])")  # 0.0055-6.65E-01: columns of Fortran without a blank
_NO_E = re.compile(r"(?<=[0-9.])([+-][0-9]{3})$")  # 1.234-105: Fortran's exponents of three digits


@dataclass(frozen=True)
class Dialect:
    """What parts the numbers of a line, and their decimal sign."""

    words: Callable[[str], list[str]]
    number: re.Pattern[str]

    def values(self, line: str) -> list[float] | None:
        """Numbers of a line, NaN where one is missing; None where it holds words, or less than two numbers."""
        words = self.words(line)
        if len(words) - words.count("") < 2 or not self.number.fullmatch(words[0]):
            return None
        found = [self._value(word) for word in words]
        return None if None in found else [value for value in found if value is not None]

    def _value(self, word: str) -> float | None:
        """Number of a word; NaN where it says that there is none; None for other words."""
        if self.number.fullmatch(word):
            plain = re.sub("[dDqQ]", "e", word.replace(",", "."))
            return float(plain) if "e" in plain.lower() else float(_NO_E.sub(r"e\1", plain))
        return float("nan") if not word or _NOTHING.fullmatch(word) else None


def _blanks(line: str) -> list[str]:
    """Words between blanks and tabs."""
    return [word.strip('"') for word in _TOUCHING.sub(" ", line.replace("\u00a0", " ")).split()]


def _cells(mark: str) -> Callable[[str], list[str]]:
    """Words between marks; what stands in quotes may hold the mark."""

    def cells(line: str) -> list[str]:
        try:
            words = [word.strip().strip("\"'").strip() for word in next(csv.reader([line.strip(" ")], delimiter=mark))]
        except (csv.Error, StopIteration):
            return []
        return words[1:] if len(words) > 2 and not words[0] else words

    return cells


def _comma_and_blank(line: str) -> list[str]:
    """Words between a comma and a blank, where commas are decimal signs too."""
    return [word.strip() for word in re.split(r",\s+", line.strip().rstrip(","))]


DIALECTS = (  # the first of those that read most
    Dialect(_blanks, _POINT),
    Dialect(_comma_and_blank, _COMMA),
    Dialect(_cells(","), _POINT),
    Dialect(_cells(";"), _POINT),
    Dialect(_cells("\t"), _POINT),
    Dialect(_cells("|"), _POINT),
    Dialect(_blanks, _COMMA),
    Dialect(_cells(";"), _COMMA),
    Dialect(_cells("\t"), _COMMA),
    Dialect(_cells(","), _COMMA),  # decimal commas in quotes
)
