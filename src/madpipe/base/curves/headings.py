"""Columns of a table by their headings: which is q, which the intensity, and in what unit."""

import re
from dataclasses import dataclass, replace

from madpipe.base.curves.units import found_inverse_lengths, inverse_length
from madpipe.base.errors import InputError

_UNIT = re.compile(r"\s*[\[({<]\s*([^\])}>]*?)\s*[\])}>]\s*$")
_UNDERSCORED = re.compile(
    r"[_ ]((?:1/)?(?:nm|A|Ang|angstrom|cm)(?:\^?-1|-1|inv|_inv|1)?|nm-1|A-1|invnm|invA|per_nm|per_A|counts|arb)$"
)
_KINDS = (  # first that fits; of lower case, without unit
    ("angle", r"(2|two)[\s_-]*(th|theta|θ|ϑ)\w*|tth|angle|theta|2th"),
    ("slit_length", r"dql|delta_?ql|slit_?length|dqy?_?slit"),
    ("slit_width", r"dqw|slit_?width"),
    ("shadow", r"shadow.*|beam_?stop.*"),
    ("mean", r"(q_?mean|mean_?q|<q>|qbar|mean q|avg_?q)"),
    (
        "dq",
        r"(d_?q|dx|q_?dev|q_?err(or)?s?|q_?std|sigma_?[_(]?\s*q\)?|sig_?q|sq|q_?sigma|s_?q|δq|Δq|σ_?q|"
        r"delta_?q|q_?res(olution)?|res(olution)?|std\.? ?dev\.? ?q|q_?uncertainty|"
        r"(err|error|std|sigma|uncertainty)[ _]?q|dq/?2?|fwhm.*)",
    ),
    (
        "model",
        r".*(model|fit|calc|theor|reg\b|_reg|i_?reg|j_?reg|back|bkg|bgd|residual|resid|diff|chi|smooth|desmear|norm).*",
    ),
    (
        "sigma",
        r"(d_?i(\(q\))?|dy|i_?dev|sigma?s?|sig|σ.*|s\.?d\.?|std.*|e|esd|err.*|error.*|"
        r"(i|intensity|iq|i\(q\)|j|y|exp)?[_ ]*(err(or)?s?|std(dev)?|sigma|sig|unc\w*|esd|dev|sd)"
        r"(\s*\(?\[?i?\(?q?\)?\)?\]?)?|δi.*|Δi.*|delta_?i.*|"
        r"uncert.*|unc|.*[_ ]su([_ ].*)?|(err|error|std|sigma|sig|uncertainty) ?\([qs]\)|sigma[_ ]\S+|sig_\S+|"
        r"d_?i_\S+|sigma_?[_(]?\s*i.*|s_?i|si|fehler|erreur|ei|ierr.*|\+/-|±|i_?err.*|experimental error)",
    ),
    (
        "q",
        r"(\|?q\|?(_?(vec|vector|abs|values?|axis|mod|modulus|exp|bin\w*|center|centre))?|q\.?|s|sexp|s_?exp|h|k|x|x_?axis|"
        r"mod[_(]?q\)?|abs\(?q\)?|(wave|scattering|momentum)[\s_-]*(vector|transfer|trans\w*).*|qx|q_?values?|r?adial.*|streuvektor.*|data_?x)",
    ),
    (
        "intensity",
        r"(i|iq|i_?\(?[qs]\)?|i0?_?(abs|sub|exp|avg|mean|sample|corr)?|intens.*|int\.?|y|y_?axis|j|j_?exp|iexp.*|i_?exp.*|"
        r"exp(_?|\s*)int.*|exp|counts?|cts|signal|data(_?y)?|abs.*|cross.*section.*|d?.?sigma/d.?omega.*|dσ/dω.*|"
        r"i[_ ]\S+|int_\S+|dsdw|dsigma.*|scattering( intensity)?|scattered.*|sub.*|sample|value|absolute.*|i_?\w*ev)",
    ),
    ("index", r"(#|no\.?|index|idx|point|pt|n|id|row|)"),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)


@dataclass(frozen=True)
class Heading:
    """One column's name as the file has it, its unit ("" where unsaid) and what it is ("" where unknown)."""

    name: str
    unit: str
    kind: str


def headings_of(above: tuple[str, ...], width: int) -> tuple[Heading, ...] | None:
    """Find what stands above a table as its heading; None where no line names q and an intensity.

    Parameters
    ----------
    above:
        Lines before the numbers.
    width:
        How many columns there are.
    """
    stacked = _stacked(above, width)
    if stacked is not None:
        return stacked
    for number in range(len(above) - 1, max(len(above) - 9, -1), -1):
        line = re.sub(r"^([\s#%!;*'/]+|WAVES(/\w+)*\s+|X\s*Waves?:?\s+)", "", above[number])
        for words in _splittings(line, width):
            found = _with_s_as_sigma(tuple(_heading(word) for word in words))
            kinds = [one.kind for one in found]
            if ("q" in kinds or "angle" in kinds) and ("intensity" in kinds):
                below = above[number + 1] if number + 1 < len(above) else ""
                return _with_units_below(found, below)
    return None


def _stacked(above: tuple[str, ...], width: int) -> tuple[Heading, ...] | None:
    """Headings that stand one a line: a loop of sasCIF, or XDI's Column.1 and so on."""
    loop = [line.split(".")[-1] for line in above if line.startswith("_")][-width:]
    numbered = [match[1] for line in above if (match := re.match(r"[#\s]*column[._ ]?\d+\s*[:=]\s*(.+)", line, re.I))]
    words = [f"{word.split()[0]} [{' '.join(word.split()[1:])}]".replace(" []", "") for word in numbered]
    for some in (loop, words):
        found = tuple(_heading(word) for word in some)
        if len(found) == width and {"q", "intensity"} <= {one.kind for one in found}:
            return found
    return None


def _with_s_as_sigma(found: tuple[Heading, ...]) -> tuple[Heading, ...]:
    """Headings in which s, ATSAS' name of q, is sigma where another column is q."""
    has_q = any(one.kind == "q" and one.name.lower() != "s" for one in found)
    found = tuple(replace(one, kind="sigma") if has_q and one.name.lower() == "s" else one for one in found)
    of_q = [one for one in found if one.kind == "sigma" and re.search(r"\([qs]\)\s*(\W.*)?$", one.name, re.IGNORECASE)]
    if len(of_q) == 1 and sum(one.kind == "sigma" for one in found) == 2:  # sigma(I) and sigma(Q)
        found = tuple(replace(one, kind="dq") if one is of_q[0] else one for one in found)
    return found


def _splittings(line: str, width: int) -> list[list[str]]:
    """Ways to cut a line into as many words as there are columns."""
    tries = []
    for cut in (r"\t", r"\|", r";", r",(?![^(\[]*[)\]])", r"\s{2,}"):
        words = [word.strip().strip("\"'").strip() for word in re.split(cut, line)]
        tries += [words, [word for word in words if word]]
    bare = re.sub(r"\s+(?=[\[(])", "", re.sub(r"(?<=[\[(])([^\])]*)", lambda hit: hit[1].replace(" ", ""), line))
    tries.append([word.strip("\"',;") for word in bare.split()])
    found = []
    for words in tries:
        if len(words) == width + 1:  # such as "The 6 columns are"
            found.append(words[1:])
        if len(words) == width:
            found.append(words)
    return found


def _heading(word: str) -> Heading:
    """One column's name, unit and kind."""
    plain = word.strip().strip("<>")
    unit = ""
    match = _UNIT.search(plain)
    if match and plain[: match.start()].strip() and match[1].strip().lower() not in ("q", "s", "i", "i(q", "i(q)"):
        unit, plain = match[1], plain[: match.start()].strip()
    elif "," in plain and inverse_length(plain.rpartition(",")[2]):
        plain, _, unit = (part.strip() for part in plain.rpartition(","))
    else:
        slash = re.fullmatch(r"(\S+)\s*/\s*(\S+.*)", plain)
        hit = _UNDERSCORED.search(plain)
        if slash and inverse_length(slash[2]):
            plain, unit = slash[1], slash[2]
        elif hit and plain[: hit.start()].strip():
            plain, unit = plain[: hit.start()], hit[1]
    unit = _tidy(unit)
    plain = re.sub(r"^(m_)?(smr|dsm|usaxs|saxs|blank)_", "", plain, flags=re.IGNORECASE)
    lower = plain.strip().strip("$\\").lower().replace("$", "")
    kind = next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(lower)), "")
    return Heading(word.strip(), unit, kind)


def _tidy(unit: str) -> str:
    """A unit of an underscored name as one that is known."""
    bare = unit.strip()
    match = re.fullmatch(r"(?:inv|per_)?(nm|A|Ang|angstrom|cm)(?:inv|_inv|1)?", bare)
    return f"1/{match[1]}" if match and bare != "cm" else bare


def _with_units_below(found: tuple[Heading, ...], line: str) -> tuple[Heading, ...]:
    """Headings with the units that the next line has, as Origin and Irena write them."""
    bare = re.sub(r"^[\s#%!;*'/]+", "", line)
    if not bare or not found_inverse_lengths(bare):
        return found
    for words in _splittings(bare, len(found)):
        if len(words) == len(found) and all(not one.unit for one in found):
            return tuple(
                Heading(one.name, _tidy(word.strip("[](){}")), one.kind) for one, word in zip(found, words, strict=True)
            )
    return found


def columns_told(told: tuple[str, ...], names: tuple[str, ...], width: int) -> list[int]:
    """Places of the columns that the person names, by name or by number from 1.

    Raises
    ------
    InputError
        No such column.
    """
    places = []
    known = [name.lower() for name in names]
    for one in told:
        if one.lower() in known:
            places.append(known.index(one.lower()))
        elif one.isdecimal() and 1 <= int(one) <= width:
            places.append(int(one) - 1)
        else:
            said = ", ".join(names) if names else "no names"
            raise InputError(f"columns need names or numbers from 1 to {width}; {one!r} came; the file has {said}.")
    return places
